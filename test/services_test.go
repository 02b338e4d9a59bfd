package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"k8s.io/apimachinery/pkg/api/meta"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/parts"
)

// metricsOptions are the options of examples/metrics.yaml, as lines of a cluster file.
func metricsOptions(t *testing.T) []string {
	t.Helper()
	const example = "../examples/metrics.yaml"
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	file, err := cluster.Parse(example, text)
	if err != nil {
		t.Fatal(err)
	}
	if o := file.Options; !o.NodeExporter || !o.CAdvisor || !o.MetricsServer || !o.Prometheus {
		t.Fatalf("%s has not all that this test is about: %+v", example, o)
	}
	_, options, _ := strings.Cut(string(text), "\noptions:\n")
	return append([]string{"options:"}, strings.Split(strings.TrimRight(options, "\n"), "\n")...)
}

// TestServices protects the parts that a file turns on: turned on, on a running cluster, each
// does its work and answers whom the contract's clauses name and nobody else, in both profiles;
// turned off, nothing of it remains.
func TestServices(t *testing.T) {
	needHost(t)
	l := newLab(t, servicesCluster)
	t.Cleanup(func() { l.diagnose(t) })
	const infra = "infra: 1" // so that there is every kind of peer
	l.write(t, 1, 1, infra)
	l.up(t)
	before, listening := l.objects(t), l.listening(t)

	on := append(append([]string{infra}, metricsOptions(t)...), "  readOnlyPort: true")
	l.write(t, 1, 1, on...)
	l.up(t)
	l.ready(t)
	l.services(t)
	eventually(t, 30*time.Second, func() error {
		out, err := l.kubectl("top", "pods", "--namespace", "kube-system", "--no-headers")
		if err == nil && !strings.Contains(out, "etcd-") {
			err = fmt.Errorf("kubectl top names no etcd: %s", out)
		}
		return err
	})
	l.alertsAre(t, 40*time.Second, "none fires", func(firing []string) bool { return len(firing) == 0 })
	l.prometheusRefusesPods(t)

	l.write(t, 1, 1, append([]string{"profile: minimal"}, on...)...)
	l.up(t)
	l.services(t)

	// In this profile the ports are open for as long as the services are on.
	p := l.plan(t)
	master, worker := p.OfRole(contract.Master)[0], p.OfRole(contract.Worker)[0]
	exporter, _ := contract.ByID("worker.ingress.node-exporter")
	at := netip.AddrPortFrom(worker.Address, exporter.Ports[0].First)
	l.write(t, 1, 1, "profile: minimal", infra)
	l.switched(t, "shuts", func() bool {
		c, err := l.dialWithin(t, master.Name, at, 2*time.Second) // a lost packet is sent again after one
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	l.write(t, 1, 1, infra)
	l.up(t)
	l.ready(t)
	eventually(t, 20*time.Second, func() error { return same("objects", before, l.objects(t)) })
	eventually(t, 20*time.Second, func() error { return same("open sockets", listening, l.listening(t)) })
	eventually(t, 30*time.Second, func() error {
		for _, m := range l.plan(t).OfRole(contract.Master) {
			if err := l.open(t).Platform.Exec(context.Background(), m.Name, []string{"ls", "/run/craton.prom"}, nil, nil, nil); err == nil {
				return fmt.Errorf("%s still has metrics to serve", m.Name)
			}
		}
		return nil
	})
	l.services(t)
}

// prometheusRefusesPods protects what Prometheus knows: it is asked through the API, and by no pod.
func (l *lab) prometheusRefusesPods(t *testing.T) {
	t.Helper()
	if out, err := l.kubectl("get", "--raw", prometheusProxy+"/-/ready"); err != nil {
		t.Errorf("through the API: %s %v", out, err)
	}
	ctx := context.Background()
	pods, err := l.client(t).CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=prometheus"})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods of Prometheus, %v", len(pods.Items), err)
	}
	service, err := l.client(t).CoreV1().Services("kube-system").Get(ctx, "prometheus", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const name = "asks-prometheus"
	if _, err := l.kubectl("run", name, "--image="+payload.Image("agnhost"), "--", "netexec", fmt.Sprintf("--http-port=%d", webPort)); err != nil {
		t.Fatal(err)
	}
	defer l.kubectl("delete", "pod", name, "--grace-period=1")
	if _, err := l.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=60s"); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(service.Spec.Ports[0].Port))
	for at, open := range map[string]bool{
		net.JoinHostPort(pods.Items[0].Status.PodIP, port): false, net.JoinHostPort(service.Spec.ClusterIP, port): false,
		net.JoinHostPort(l.plan(t).Network.ServiceDNS.String(), "53"): true, // so that it is not the pod that reaches nothing
	} {
		out, err := l.kubectl("exec", name, "--", "agnhost", "connect", "--timeout=3s", at)
		if (err == nil) != open {
			t.Errorf("a pod connects to %s: %s %v", at, out, err)
		}
	}
}

func same(what string, want, got []string) error {
	for _, one := range got {
		if !slices.Contains(want, one) {
			return fmt.Errorf("of %s there is still %s", what, one)
		}
	}
	for _, one := range want {
		if !slices.Contains(got, one) {
			return fmt.Errorf("of %s, %s is gone", what, one)
		}
	}
	return nil
}

// objects are all that may belong to parts, but tokens and what Kubernetes makes of others.
func (l *lab) objects(t *testing.T) []string {
	t.Helper()
	client, err := dynamic.NewForConfig(l.config(t))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, kind := range parts.Kinds() {
		resource, _ := meta.UnsafeGuessKindToResource(kind)
		list, err := client.Resource(resource).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			all = append(all, kind.Kind+" "+o.GetNamespace()+"/"+o.GetName())
		}
	}
	slices.Sort(all)
	return all
}

// listening are the machines' own addresses on which something listens.
func (l *lab) listening(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, m := range l.plan(t).Machines {
		var out strings.Builder
		if err := l.open(t).Platform.Exec(context.Background(), m.Name, []string{"ss", "-Hltn", "src", m.Address.String()}, nil, &out, nil); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			all = append(all, m.Name+" "+strings.Fields(line)[3])
		}
	}
	slices.Sort(all)
	return all
}

// service is a port of the document that is for a service: where it listens, if it is on.
type service struct {
	name, clause, scheme, path string
	roles                      []contract.Role
	on                         bool
}

// services asks every service on every machine from every kind of peer. One that the plan lets
// in is answered, and nobody else reaches it. Where nothing listens nobody is answered.
func (l *lab) services(t *testing.T) {
	t.Helper()
	p := l.plan(t)
	both := []contract.Role{contract.Master, contract.Worker}
	options := l.open(t).Plan.File.Options
	services := []service{
		{"node exporter", "worker.ingress.node-exporter", "http", "/metrics", both, options.NodeExporter},
		{"cAdvisor", "worker.ingress.cadvisor", "http", "/metrics", []contract.Role{contract.Worker}, options.CAdvisor},
		{"kubelet", "worker.ingress.kubelet", "https", "/healthz", append([]contract.Role{contract.Infra}, both...), true},
		{"read-only kubelet", "master.ingress.kubelet-read-only", "http", "/healthz", []contract.Role{contract.Master}, options.ReadOnlyPort},
	}
	peers := map[string]netip.Addr{}
	for _, m := range p.Machines {
		peers[m.Name] = m.Address
	}
	for where, address := range l.peers(t) {
		peers[where] = address
	}
	peers[balancer] = p.Network.LoadBalancer
	if len(peers) != 6 {
		t.Fatalf("%d kinds of peers, expected user network, outside, load balancer, a master, an infra machine and a worker", len(peers))
	}
	for _, s := range services {
		c, ok := contract.ByID(s.clause)
		if !ok {
			t.Fatalf("no clause %s", s.clause)
		}
		port := c.Ports[0].First
		for _, m := range p.Machines {
			there := s.on && slices.Contains(s.roles, m.Role)
			for where, address := range peers {
				allowed, _ := p.Allows(address, m.Address, contract.TCP, port)
				want := there && allowed
				status, err := l.get(t, where, s.scheme, netip.AddrPortFrom(m.Address, port), s.path)
				if got := err == nil; got != want {
					t.Errorf("%s of %s (%d), asked by %s: answers %t (%d, %v), expected %t", s.name, m.Name, port, where, got, status, err, want)
				}
				// A worker's own programs reach its cAdvisor past the firewall, and are refused.
				if s.name == "cAdvisor" && want && (status == http.StatusOK) != (roleAt(p, address) == contract.Master) {
					t.Errorf("cAdvisor of %s answers %s with status %d", m.Name, where, status)
				}
			}
		}
	}
}

func roleAt(p *plan.Plan, a netip.Addr) contract.Role {
	for _, m := range p.Machines {
		if m.Address == a {
			return m.Role
		}
	}
	return ""
}

// get asks from there. No answer at all within a moment is an error.
func (l *lab) get(t *testing.T, where, scheme string, at netip.AddrPort, path string) (status int, err error) {
	t.Helper()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		// Who is there is asked, not who it is.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(_ context.Context, _, _ string) (net.Conn, error) {
			return l.dialWithin(t, where, at, 400*time.Millisecond)
		},
	}}
	answer, err := client.Get(scheme + "://" + at.String() + path)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}
