package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
)

const infraCluster = "ciinfra"

// failover is how long clients may be without an API, and a dead machine in an answer,
// where names lead to several machines.
const failover = 3 * time.Second

// ingress is a web server on the port of infra machines that users reach, the plainest one
// that there is: it shows the way that an ingress controller takes.
const ingress = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ingress, namespace: default}
spec:
  selector: {matchLabels: {app: ingress}}
  template:
    metadata: {labels: {app: ingress}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: {%q: ""}
      tolerations: [{key: %q, operator: Exists}]
      containers:
      - name: web
        image: %s
        args: [netexec, --http-port=%d]
        ports: [{containerPort: %[4]d, hostPort: %[5]d}]
        readinessProbe: {httpGet: {path: /healthz, port: %[4]d}, periodSeconds: 1}
`

// TestInfra brings a cluster without a load balancer up: its names lead to several machines,
// and whoever uses them goes on when one of those is gone.
func TestInfra(t *testing.T) {
	needHost(t)
	l := newReadyLab(t, infraCluster, 3, 1, "infra: 2", "loadBalancer: false", "options: {infraTaint: true}")
	l.labels(t)
	p := l.plan(t)
	for _, n := range p.Names {
		l.answers(t, n.Name, n.Targets...)
	}
	part := func(name string, f func(*testing.T, *lab)) {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { l.diagnose(t) })
			f(t, l)
		})
	}
	part("ingress", testIngress)
	part("users lose a master", testUsersFailOver)
	part("kubelets lose a master", testKubeletsFailOver)
	t.Run("down", func(t *testing.T) { l.down(t) })
}

// console is the name that leads to infra machines, and the port there.
func console(t *testing.T) (label, taint string, port uint16) {
	t.Helper()
	c, ok := contract.ByID("infra.ingress.console")
	if !ok || len(c.Ports) != 1 {
		t.Fatal("the contract opens no port of infra machines")
	}
	marks := map[string][]string{}
	for _, id := range []string{"infra.machine.label", "infra.machine.taint"} {
		c, _ := contract.ByID(id)
		marks[id] = append(c.Labels, c.Taints...)
		if len(marks[id]) != 1 {
			t.Fatalf("clause %s has %v", id, marks[id])
		}
	}
	taint, _, _ = strings.Cut(marks["infra.machine.taint"][0], ":")
	return marks["infra.machine.label"][0], taint, c.Ports[0].First
}

// testIngress protects the way to infra machines: users reach a pod on their port, by a name
// that a dead machine leaves soon and comes back to.
func testIngress(t *testing.T, l *lab) {
	label, taint, port := console(t)
	l.apply(t, fmt.Sprintf(ingress, label, taint, payload.Image("agnhost"), webPort, port))
	if _, err := l.kubectl("rollout", "status", "daemonset/ingress", "--timeout=90s"); err != nil {
		t.Fatal(err)
	}
	p := l.plan(t)
	name, platform := p.Network.Console, l.open(t).Platform
	infra := p.OfRole(contract.Infra)
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: platform.Dial}}
	for _, m := range infra {
		eventually(t, 20*time.Second, func() error {
			pod, err := get(&client, "http://"+netip.AddrPortFrom(m.Address, port).String()+"/hostname")
			if err == nil && !strings.HasPrefix(pod, "ingress-") {
				err = fmt.Errorf("%s answers %q", m.Name, pod)
			}
			return err
		})
	}
	dead, alive := infra[0], infra[1:]
	for _, fault := range []struct {
		name        string
		begin, undo func()
	}{
		{"no power", func() { l.powerOff(t, dead.Name) }, func() { l.up(t) }},
		{"no network", func() { l.cut(t, dead.Address) }, func() { l.mend(t) }},
	} {
		began := time.Now()
		fault.begin()
		eventually(t, failover, func() error { return l.resolves(t, name, addressesOf(alive)...) })
		t.Logf("%s: %s leaves the answer for %s after %.1f s", fault.name, dead.Name, name, time.Since(began).Seconds())
		fault.undo()
		eventually(t, 60*time.Second, func() error { return l.resolves(t, name, addressesOf(infra)...) })
	}
	if _, err := l.kubectl("delete", "daemonset/ingress"); err != nil {
		t.Fatal(err)
	}
	// An answer is kept where nobody is there at all.
	time.Sleep(failover)
	l.answers(t, name, addressesOf(infra)...)
}

// testUsersFailOver protects users from the loss of a master: on the host's loopback port,
// with connections that are new and one that is old, and by the API's name.
func testUsersFailOver(t *testing.T, l *lab) {
	p := l.plan(t)
	masters := p.OfRole(contract.Master)
	for i, m := range masters {
		for _, fault := range []struct {
			name        string
			begin, undo func()
		}{
			{"no network", func() { l.cut(t, m.Address) }, func() { l.mend(t) }},
			{"hangs", func() { l.signal(t, m.Name, "kube-apiserver", "STOP") }, func() { l.signal(t, m.Name, "kube-apiserver", "CONT") }},
		} {
			if fault.name == "hangs" && i > 0 {
				continue // one is like another
			}
			old, fresh := l.user(t, true), l.user(t, false)
			began := time.Now()
			fault.begin()
			gapOld, gapNew := make(chan time.Duration), make(chan time.Duration)
			go func() { gapOld <- longestGap(old, 6*time.Second) }()
			go func() { gapNew <- longestGap(fresh, 6*time.Second) }()
			eventually(t, failover, func() error {
				return l.resolves(t, p.Network.APIServer, addressesOf(slices.Delete(slices.Clone(masters), i, i+1))...)
			})
			left := time.Since(began)
			o, n := <-gapOld, <-gapNew
			fault.undo()
			t.Logf("%s %s: its address leaves the answer after %.1f s; longest time without the API: %.1f s on an old connection, %.1f s on new ones",
				m.Name, fault.name, left.Seconds(), o.Seconds(), n.Seconds())
			if o > failover || n > failover {
				t.Errorf("%s %s: a client is without the API for %s on an old connection, %s on new ones, more than %s", m.Name, fault.name, o, n, failover)
			}
			eventually(t, 60*time.Second, func() error { return l.resolves(t, p.Network.APIServer, addressesOf(masters)...) })
		}
	}
}

// user is a client as users have them; the old kind keeps its connection.
func (l *lab) user(t *testing.T, old bool) *kubernetes.Clientset {
	t.Helper()
	config := l.config(t)
	config.Timeout, config.QPS = 30*time.Second, -1
	if !old {
		config.Dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext // has no pool in common with others
		config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return closing{rt} })
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Get(context.Background(), "default", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	return client
}

// closing has a connection of its own for each request.
type closing struct{ http.RoundTripper }

func (c closing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Close = true
	return c.RoundTripper.RoundTrip(r)
}

// longestGap reads again and again for so long, and says how long there was no answer.
func longestGap(client *kubernetes.Clientset, lasting time.Duration) (gap time.Duration) {
	began := time.Now()
	for last := began; time.Since(began) < lasting; time.Sleep(20 * time.Millisecond) {
		_, err := client.CoreV1().Namespaces().Get(context.Background(), "default", metav1.GetOptions{})
		now := time.Now()
		gap = max(gap, now.Sub(last))
		if err == nil {
			last = now
		}
	}
	return gap
}

// testKubeletsFailOver protects machines that are no masters: a kubelet whose master is gone
// without a word gives that connection up and is with another one, also when it has just lost
// another: client-go's watches begin again later each time.
func testKubeletsFailOver(t *testing.T, l *lab) {
	p := l.plan(t)
	worker := p.OfRole(contract.Worker)[0]
	for range 3 {
		from := l.kubeletMasters(t, worker.Name)
		if len(from) != 1 {
			t.Fatalf("the kubelet of %s is connected to %v, expected one master", worker.Name, from)
		}
		began := time.Now()
		l.cut(t, from[0])
		eventually(t, failover, func() error {
			if now := l.kubeletMasters(t, worker.Name); !slices.ContainsFunc(now, func(a netip.Addr) bool { return a != from[0] }) {
				return fmt.Errorf("the kubelet of %s is connected to %v; %s is gone, and it should be with another master", worker.Name, now, from[0])
			}
			return nil
		})
		t.Logf("the kubelet of %s is with another master after %.1f s", worker.Name, time.Since(began).Seconds())
		time.Sleep(failover) // what else connects, does so
		if now := l.kubeletMasters(t, worker.Name); slices.Contains(now, from[0]) {
			t.Errorf("the kubelet of %s still has a connection to %s, which is gone, beside %v", worker.Name, from[0], now)
		}
		l.mend(t)
		eventually(t, 60*time.Second, func() error { return l.resolves(t, p.Network.APIServer, addressesOf(p.OfRole(contract.Master))...) })
	}
}

// kubeletMasters are the addresses to which the machine's kubelet has connections for the API.
func (l *lab) kubeletMasters(t *testing.T, machine string) []netip.Addr {
	t.Helper()
	out := &bytes.Buffer{}
	if err := l.open(t).Platform.Exec(context.Background(), machine,
		[]string{"ss", "--no-header", "--tcp", "--numeric", "--processes", "state", "established"}, nil, out, out); err != nil {
		t.Fatal(err)
	}
	p, seen := l.plan(t), map[netip.Addr]bool{}
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.Contains(f[4], `"kubelet"`) {
			continue
		}
		if peer, err := netip.ParseAddrPort(f[3]); err == nil && peer.Port() == p.Network.APIPort {
			seen[peer.Addr()] = true
		}
	}
	var all []netip.Addr
	for a := range seen {
		all = append(all, a)
	}
	return all
}

// answers fails the test unless the resolver has exactly these addresses for the name.
func (l *lab) answers(t *testing.T, name string, want ...string) {
	t.Helper()
	if err := l.resolves(t, name, want...); err != nil {
		t.Error(err)
	}
}

// resolves asks the cluster's resolver from the user network.
func (l *lab) resolves(t *testing.T, name string, want ...string) error {
	t.Helper()
	c := l.open(t)
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return c.Platform.Dial(ctx, network, netip.AddrPortFrom(c.Plan.Network.Resolvers[0], 53).String())
	}}
	got, err := r.LookupHost(context.Background(), name+".")
	if err != nil {
		return err
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s leads to %v, expected %v", name, got, want)
	}
	return nil
}

func addressesOf(of []plan.Machine) (all []string) {
	for _, m := range of {
		all = append(all, m.Address.String())
	}
	return all
}

// apply applies objects as a person would.
func (l *lab) apply(t *testing.T, objects string) {
	t.Helper()
	apply := command.Cmd{Name: craton, Args: []string{"kubectl", "--cluster", l.name, "apply", "-f", "-"}, Stdin: strings.NewReader(objects)}
	if _, err := apply.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) powerOff(t *testing.T, machine string) {
	t.Helper()
	if err := l.open(t).Platform.PowerOff(context.Background(), machine); err != nil {
		t.Fatal(err)
	}
}

// cutTable is a table of the fabric's that drops what comes from or goes to an address, as
// if its cable were out: nobody is told.
const cutTable = "craton-test-cut"

func (l *lab) cut(t *testing.T, a netip.Addr) {
	t.Helper()
	t.Cleanup(func() { l.mend(t) })
	l.fabric(t, fmt.Sprintf("table ip %s {\n chain cut {\n type filter hook forward priority -500\n ip saddr %s drop\n ip daddr %s drop\n }\n}\n", cutTable, a, a))
}

// mend takes all cuts back.
func (l *lab) mend(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("/run/netns", "craton-"+l.name+"-fabric")); err != nil {
		return
	}
	l.fabric(t, fmt.Sprintf("table ip %s {}\ndelete table ip %s\n", cutTable, cutTable))
}

func (l *lab) fabric(t *testing.T, rules string) {
	t.Helper()
	nft := command.Cmd{Name: "nsenter", Args: []string{"--net=/run/netns/craton-" + l.name + "-fabric", "nft", "-f", "-"}, Stdin: strings.NewReader(rules)}
	if _, err := nft.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// signal sends a signal to all processes of that name on a machine.
func (l *lab) signal(t *testing.T, machine, process, signal string) {
	t.Helper()
	out := &bytes.Buffer{}
	if err := l.open(t).Platform.Exec(context.Background(), machine, []string{"pkill", "-" + signal, "-x", process[:min(len(process), 15)]}, nil, out, out); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
