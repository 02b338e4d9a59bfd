package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
)

// kubeadmCluster is the cluster that kubeadm makes, and kubeadmPort its API's port.
const (
	kubeadmCluster = "benchadm"
	kubeadmPort    = 6443
	kubeadmToken   = "abcdef.0123456789abcdef"
	// kubeadmFile is where a machine has kubeadm's configuration.
	kubeadmFile = "/root/kubeadm.yaml"
)

// kubeadm makes a cluster of one master and one worker, kubeadmMasters one of several masters.
func (b *bench) kubeadm(ctx context.Context) error { return b.kubeadmOf(ctx, 1, "") }

func (b *bench) kubeadmMasters(ctx context.Context) error {
	return b.kubeadmOf(ctx, severalMasters, severalSuffix)
}

// kubeadmOf makes a cluster with one worker as people do without craton: on machines of the
// same image, kubeadm init, kubeadm join and flannel. Machines join all at once, and through the
// first master: a load balancer would only take time. What craton does before its static pods
// start (surroundings, boot, images from the same registry) is timed apart, so that both ways can
// be compared from the same start.
func (b *bench) kubeadmOf(ctx context.Context, masters int, suffix string) (err error) {
	if err := b.cleanUp(kubeadmCluster); err != nil {
		return err
	}
	file, err := b.clusterFile(kubeadmCluster, 1, fmt.Sprintf("masters: %d\napiPort: %d\n", masters, kubeadmPort))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp(kubeadmCluster)) }()
	m, err := b.newBare(ctx, file)
	if err != nil {
		return err
	}
	master := first(m.plan, contract.Master)

	began := time.Now()
	if err := m.boot(ctx); err != nil {
		return err
	}
	boot := time.Since(began)

	if err := m.installKubeadm(ctx); err != nil { // a real machine's image has it
		return err
	}
	began = time.Now()
	pulls, pullCtx := errgroup.WithContext(ctx)
	everywhere := []string{"pause", "kube-proxy", "flannel", "coredns"}
	for _, machine := range m.plan.Machines {
		images := everywhere
		if machine.Role == contract.Master {
			images = slices.Concat(everywhere, []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"})
		}
		pulls.Go(func() error { return m.pull(pullCtx, machine, images...) })
	}
	if err := pulls.Wait(); err != nil {
		return err
	}
	images := time.Since(began)

	began = time.Now()
	if err := m.on(ctx, master, nil, "kubeadm", "init", "--config="+kubeadmFile, "--upload-certs", "--ignore-preflight-errors=all"); err != nil {
		return err
	}
	say("kubeadm init ended after %.1f s", time.Since(began).Seconds())
	joined, joinCtx := errgroup.WithContext(ctx)
	for _, machine := range m.plan.Machines {
		if machine.Name != master.Name {
			joined.Go(func() error {
				return m.on(joinCtx, machine, nil, "kubeadm", "join", "--config="+kubeadmFile, "--ignore-preflight-errors=all")
			})
		}
	}
	joined.Go(func() error { return m.applyFlannel(joinCtx, master) })
	if err := joined.Wait(); err != nil {
		return err
	}
	say("kubeadm join ended after %.1f s", time.Since(began).Seconds())
	if err := m.awaitReady(ctx, master); err != nil {
		return err
	}
	took := time.Since(began)
	b.samples.add("kubeadm"+suffix, took.Seconds())
	b.samples.add("kubeadm machines"+suffix, boot.Seconds())
	b.samples.add("kubeadm images"+suffix, images.Seconds())
	b.samples.add("kubeadm from nothing"+suffix, (boot + images + took).Seconds())
	return nil
}

// config is a client's configuration, from the kubeconfig that kubeadm wrote.
func (m *bare) config(ctx context.Context, master plan.Machine) (*rest.Config, error) {
	var out bytes.Buffer
	if err := m.platform.Exec(ctx, master.Name, []string{"cat", "/etc/kubernetes/admin.conf"}, nil, &out, nil); err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(out.Bytes())
	if err != nil {
		return nil, err
	}
	config.Dial, config.QPS, config.Timeout = m.platform.Dial, -1, 20*time.Second
	return config, nil
}

// applyFlannel applies craton's own objects of flannel, which reach the API at the
// master's address here: no load balancer passes on what kubeadm's authority signs.
func (m *bare) applyFlannel(ctx context.Context, master plan.Machine) error {
	config, err := m.config(ctx, master)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	objects, err := manifests.Objects(m.plan, m.secrets, payload.Image, time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	applied := 0
	for _, o := range objects {
		if !strings.Contains(o.GetName(), "flannel") {
			continue
		}
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte(m.plan.Network.APIServer), []byte(master.Address.String()))
		object := &unstructured.Unstructured{}
		if err := json.Unmarshal(text, &object.Object); err != nil {
			return err
		}
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		if _, err := client.Resource(resource).Namespace(object.GetNamespace()).
			Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "bench", Force: true}); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		applied++
	}
	if applied == 0 {
		return errors.New("craton has no objects named flannel any more: which one makes the pods' network?")
	}
	return nil
}

// awaitReady waits for what `craton up` waits for: nodes, and all pods of the system.
func (m *bare) awaitReady(ctx context.Context, master plan.Machine) error {
	config, err := m.config(ctx, master)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	said := ""
	for {
		reason := m.notReady(limited, client)
		if reason == "" {
			return nil
		}
		if reason != said {
			said = reason
			say("waiting: %s", reason)
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("kubeadm's cluster: %s: %w", reason, limited.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (m *bare) notReady(ctx context.Context, client kubernetes.Interface) string {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	if len(nodes.Items) < len(m.plan.Machines) {
		return fmt.Sprintf("%d of %d nodes have joined", len(nodes.Items), len(m.plan.Machines))
	}
	for _, n := range nodes.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return "node " + n.Name + " is not ready: " + c.Message
			}
		}
	}
	pods, err := client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	ready := map[string]int{}
	for _, p := range pods.Items {
		ok := false
		for _, c := range p.Status.Conditions {
			ok = ok || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}
		if !ok {
			return fmt.Sprintf("pod %s is not ready: %s", p.Name, why(&p))
		}
		for _, c := range p.Spec.Containers {
			ready[c.Name]++
		}
	}
	masters := len(m.plan.OfRole(contract.Master))
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if ready[name] < masters {
			return fmt.Sprintf("%s is ready on %d of %d masters", name, ready[name], masters)
		}
	}
	if ready["coredns"] == 0 {
		return "there is no pod of coredns"
	}
	for _, name := range []string{"kube-proxy", "flannel"} {
		if ready[name] < len(m.plan.Machines) {
			return fmt.Sprintf("%s is ready on %d of %d machines", name, ready[name], len(m.plan.Machines))
		}
	}
	return ""
}

// why says in a few words what keeps a pod.
func why(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			return w.Reason + " " + w.Message
		}
	}
	return string(p.Status.Phase)
}

func endpoint(master plan.Machine) string {
	return net.JoinHostPort(master.Address.String(), strconv.Itoa(kubeadmPort))
}
