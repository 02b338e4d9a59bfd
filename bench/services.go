package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/parts"
)

const (
	servicesCluster = "benchservices"
	servicesOn      = "options: {ingress: true, signIn: true, console: true, nodeExporter: true, cAdvisor: true, metricsServer: true, prometheus: true}\n"

	// How long services are left alone before it is looked what they take, and for how long that is.
	servicesSettle, servicesIdle = 30 * time.Second, 30 * time.Second
	// asked is how long the application behind the ingress is asked each way in one run.
	asked = 5 * time.Second
)

// Samples of the ways to an application: through the ingress, straight to its node port, and to that
// through the ingress's program outside of the cluster, by itself and behind a load balancer like the
// ingress's.
const (
	wayIngress, wayDirect, wayOutside, wayBalanced = "through the ingress", "direct", "through the proxy outside", "through a load balancer and the proxy outside"
	askedRate, askedTail, askedWork                = "requests ", "p99 ", "work "
)

// services brings one master and one worker up with every service of the document: how long that
// takes, what the services take when nobody asks them anything, and what the way through the
// ingress costs.
func (b *bench) services(ctx context.Context) (err error) {
	file, err := b.clusterFile(servicesCluster, 1, servicesOn)
	if err != nil {
		return err
	}
	p, err := planIn(file)
	if err != nil {
		return err
	}
	if err := b.cleanUp(servicesCluster); err != nil {
		return err
	}
	// What the payload lacks is built here, and not while the clock runs.
	want := append(append(payload.Default(), parts.Payload(p)...), "agnhost")
	if _, err := payload.Build(ctx, payload.Options{Want: want}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp(servicesCluster)) }()
	began := time.Now()
	if err := b.bring(ctx, file); err != nil {
		return err
	}
	b.samples.add("up, services", time.Since(began).Seconds())
	if err := b.servicesAtRest(ctx, p); err != nil {
		return err
	}
	return b.throughIngress(ctx, p)
}

// servicesAtRest adds up what the programs of services take when they have nothing to do.
func (b *bench) servicesAtRest(ctx context.Context, p *plan.Plan) error {
	var programs []string
	for _, c := range payload.Components() {
		if c.OnDemand && slices.Contains(parts.Payload(p), c.Name) {
			programs = append(programs, c.Binaries[0].Name)
		}
	}
	if err := pass(ctx, servicesSettle); err != nil {
		return err
	}
	all, err := running(p)
	if err != nil {
		return err
	}
	var pids []int
	var memory int64
	found := map[string]bool{}
	for _, r := range all {
		if slices.Contains(programs, r.program) {
			found[r.program] = true
			pids = append(pids, r.pid)
			memory += statusBytes(r.pid, "VmRSS")
		}
	}
	if len(found) != len(programs) {
		return fmt.Errorf("of the services' programs (%s) these run: %v", strings.Join(programs, ", "), found)
	}
	b.samples.add("memory services", float64(memory))
	shares, err := processorShares(ctx, servicesIdle, map[string][]int{"services": pids})
	b.samples.add("processor services", shares["services"])
	return err
}

// ticksOfSecond are the kernel's to user space, on every architecture.
const ticksOfSecond = 100

// hostTicks is the time that all of the host's processors have worked so far.
func hostTicks() (sum float64) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:] {
		if ticks, err := strconv.ParseFloat(field, 64); err == nil && i != 3 && i != 4 && i < 8 { // neither idle nor waiting for a disk
			sum += ticks
		}
	}
	return sum
}

// throughIngress compares asking an application through the ingress, over TLS, with asking its node
// port on the worker straight away, and with the same program as a bare process before that.
func (b *bench) throughIngress(ctx context.Context, p *plan.Plan) error {
	const web = 8080
	c, err := bootstrap.Open(servicesCluster, bootstrap.Options{})
	if err != nil {
		return err
	}
	secrets, err := pki.Held(filepath.Join(bootstrap.StateRoot, servicesCluster, "pki"), c.Plan, time.Now())
	if err != nil {
		return err
	}
	node, err := applyWeb(ctx, p, web)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secrets.Authorities[pki.KubernetesCA].Cert)
	platform := &local.Platform{Cluster: servicesCluster, Dir: filepath.Join(bootstrap.StateRoot, servicesCluster, "local")}
	application := netip.AddrPortFrom(first(p, contract.Worker).Address, node)
	return b.withProxyOutside(ctx, p, secrets, application, func(ctx context.Context) error {
		ways := []struct {
			name, scheme string
			at           netip.AddrPort
		}{
			{wayDirect, "http", application}, {wayOutside, "https", outside(p)}, {wayBalanced, "https", balancedOutside(p)},
			{wayIngress, "https", p.IngressAddresses()[0]},
		}
		for _, way := range ways {
			transport := &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: callers,
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return platform.Dial(ctx, network, way.at.String())
				},
			}
			defer transport.CloseIdleConnections()
			worked := hostTicks()
			rate, tail, err := ask(ctx, &http.Client{Transport: transport, Timeout: 5 * time.Second}, way.scheme+"://"+p.Network.Console+"/hostname")
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			b.samples.add(askedRate+way.name, rate)
			b.samples.add(askedTail+way.name, tail)
			b.samples.add(askedWork+way.name, (hostTicks()-worked)/ticksOfSecond/(rate*asked.Seconds()))
		}
		return nil
	})
}

// applyWeb applies an application on the worker, with an Ingress object, and says at which port of
// machines it is.
func applyWeb(ctx context.Context, p *plan.Plan, port int32) (node uint16, err error) {
	client, err := administrator(servicesCluster)
	if err != nil {
		return 0, err
	}
	const name, namespace = "web", metav1.NamespaceDefault
	labels, meta := map[string]string{"app": name}, metav1.ObjectMeta{Name: name}
	if _, err := client.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: name, Image: payload.Image("agnhost"), Args: []string{"netexec", fmt.Sprintf("--http-port=%d", port)},
			}}},
		},
	}}, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	service, err := client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(port)}},
	}}, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	_, err = client.NetworkingV1().Ingresses(namespace).Create(ctx, &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
		Rules: []networkingv1.IngressRule{{Host: p.Network.Console, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{
				Path: "/hostname", PathType: new(networkingv1.PathTypePrefix),
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name, Port: networkingv1.ServiceBackendPort{Number: 80}}},
			}},
		}}}},
	}}, metav1.CreateOptions{})
	return uint16(service.Spec.Ports[0].NodePort), err
}

// ask has several callers ask for a page again and again, once it is there: the answers a second,
// and the seconds that all but a hundredth of them took at most.
func ask(ctx context.Context, client *http.Client, url string) (rate, tail float64, err error) {
	get := func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answers %s", url, answer.Status)
		}
		return err
	}
	for end := time.Now().Add(time.Minute); ; {
		if err = get(); err == nil {
			break
		}
		if time.Now().After(end) || pass(ctx, 200*time.Millisecond) != nil {
			return 0, 0, err
		}
	}
	var group errgroup.Group
	took := make([][]float64, callers)
	end := time.Now().Add(asked)
	for i := range callers {
		group.Go(func() error {
			for time.Now().Before(end) {
				began := time.Now()
				if err := get(); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(began).Seconds())
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	return float64(len(all)) / asked.Seconds(), all[len(all)*99/100], nil
}

// pass lets time pass.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
