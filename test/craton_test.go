package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/namespace"
	"craton.dev/craton/plan"
)

// lab is one cluster of these tests and its cluster file.
type lab struct {
	name, file string
	// prometheus is where its service is, once a test has asked it.
	prometheus string
}

// newLab takes the cluster away after the test, and before it where an earlier test was
// killed.
func newLab(t *testing.T, name string) *lab {
	l := &lab{name: name, file: filepath.Join(t.TempDir(), name+".yaml")}
	l.away(t)
	t.Cleanup(func() { l.away(t) })
	return l
}

// newReadyLab is a lab whose cluster is up and ready. Where the test fails later, it says how the
// cluster was.
func newReadyLab(t *testing.T, name string, masters, workers int, more ...string) *lab {
	t.Helper()
	l := newLab(t, name)
	t.Cleanup(func() { l.diagnose(t) })
	l.write(t, masters, workers, more...)
	l.up(t)
	l.ready(t)
	return l
}

// away takes down what there is.
func (l *lab) away(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(bootstrap.StateRoot, l.name)); err == nil {
		l.down(t)
	}
}

func (l *lab) down(t *testing.T) {
	t.Helper()
	if _, err := l.craton("down", "--cluster", l.name); err != nil {
		t.Error(err)
	}
}

// write writes the cluster file: its machines, and further lines.
func (l *lab) write(t *testing.T, masters, workers int, more ...string) {
	t.Helper()
	text := fmt.Sprintf("apiVersion: craton.dev/v1alpha1\nkind: Cluster\nname: %s\nmasters: %d\nworkers: %d\n%s\n",
		l.name, masters, workers, strings.Join(more, "\n"))
	if err := os.WriteFile(l.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// craton runs the program; an error has the end of what it says.
func (l *lab) craton(args ...string) (string, error) {
	out, err := command.Cmd{Name: craton, Args: args, Timeout: 8 * time.Minute}.Run(context.Background())
	return string(out), err
}

func (l *lab) kubectl(args ...string) (string, error) {
	return l.craton(append([]string{"kubectl", "--cluster", l.name}, args...)...)
}

// up brings the cluster up and says how long that took, and, where that is long, with what.
func (l *lab) up(t *testing.T) time.Duration {
	t.Helper()
	const long = 25 * time.Second
	began := time.Now()
	var progress bytes.Buffer
	up := command.Cmd{Name: craton, Args: []string{"up", "--file", l.file}, Stderr: &progress, Timeout: 8 * time.Minute}
	if _, err := up.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("up took %.1f s", took.Seconds())
	if took > long {
		t.Log(progress.String())
	}
	return took
}

// plan is what `craton plan` says of the cluster file.
func (l *lab) plan(t *testing.T) *plan.Plan {
	t.Helper()
	out, err := l.craton("plan", "--file", l.file, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{}
	if err := json.Unmarshal([]byte(out), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// open opens the cluster as a program would that uses the packages.
func (l *lab) open(t *testing.T) *bootstrap.Cluster {
	t.Helper()
	c, err := bootstrap.Open(l.name, bootstrap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// client is a client of the API with the kubeconfig that `craton kubeconfig` prints.
func (l *lab) client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(l.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// config is the way to the API of the kubeconfig that `craton kubeconfig` prints.
func (l *lab) config(t *testing.T) *rest.Config {
	t.Helper()
	out, err := l.craton("kubeconfig", "--cluster", l.name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	if config.Insecure || len(config.CAData) == 0 {
		t.Fatal("the kubeconfig does not verify the API's certificate")
	}
	config.Timeout = 15 * time.Second
	return config
}

// ready fails the test unless status calls every machine and component ready.
func (l *lab) ready(t *testing.T) {
	t.Helper()
	out, err := l.craton("status", "--cluster", l.name, "-o", "json")
	var s bootstrap.Status
	if jsonErr := json.Unmarshal([]byte(out), &s); jsonErr != nil {
		t.Fatalf("status: %v: %s", jsonErr, out)
	}
	if err != nil || !s.Ready {
		t.Errorf("status exits with %v: %s", err, out)
	}
	p := l.open(t).Plan
	if len(s.Machines) != len(p.Machines) || len(s.Components) == 0 {
		t.Errorf("status names %d machines of %d and %d components", len(s.Machines), len(p.Machines), len(s.Components))
	}
	for _, m := range s.Machines {
		if !m.Ready || !m.Running || m.Problem != "" {
			t.Errorf("status of %s: %+v", m.Name, m)
		}
	}
	for _, c := range s.Components {
		if c.Ready != c.Want || c.Want == 0 || c.Problem != "" {
			t.Errorf("status of %s: %+v", c.Name, c)
		}
	}
}

// diagnose prints what helps to see why a test failed.
func (l *lab) diagnose(t *testing.T) {
	if !t.Failed() {
		return
	}
	out, err := l.craton("status", "--cluster", l.name)
	t.Logf("status: %v\n%s", err, out)
	dir := filepath.Join(bootstrap.StateRoot, l.name, "local")
	if drops, err := os.ReadFile(filepath.Join(dir, "log", "drops.json")); err == nil {
		lines := bytes.Split(bytes.TrimSpace(drops), []byte("\n"))
		t.Logf("last drops:\n%s", bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
	}
	c, err := bootstrap.Open(l.name, bootstrap.Options{})
	if err != nil {
		return
	}
	for _, m := range c.Plan.Machines {
		out, _ := l.craton("logs", m.Name, "--cluster", l.name, "--unit", "kubelet", "--lines", "8")
		for line := range strings.Lines(out) {
			t.Logf("%s: %.300s", m.Name, strings.TrimSpace(line))
		}
	}
	pods, _ := l.kubectl("get", "pods", "-A", "-o", "wide", "--request-timeout=10s")
	t.Log(pods)
}

// Namespaces of the surroundings from which these tests connect.
const (
	user     = "user"
	outside  = "outside"
	balancer = "balancer"
)

// in runs f in a network namespace of the cluster: user, outside, balancer, or a machine's. What f
// opens there, stays there.
func (l *lab) in(t *testing.T, where string, f func()) {
	t.Helper()
	name := "craton-" + strings.TrimPrefix(where, "craton-")
	if !strings.HasPrefix(where, l.name+"-") {
		name = "craton-" + l.name + "-" + where
	}
	if err := namespace.In(name, func() error {
		f()
		return nil
	}); err != nil {
		t.Fatalf("namespace %s: %v", name, err)
	}
}

// dial connects from there; no answer within a second is an error.
func (l *lab) dial(t *testing.T, where string, to netip.AddrPort) (net.Conn, error) {
	t.Helper()
	return l.dialWithin(t, where, to, time.Second)
}

func (l *lab) dialWithin(t *testing.T, where string, to netip.AddrPort, limit time.Duration) (conn net.Conn, err error) {
	t.Helper()
	l.in(t, where, func() { conn, err = net.DialTimeout("tcp4", to.String(), limit) })
	return conn, err
}

// listen answers each line with the same line on a machine, till the test ends. ok is
// false where something listens there already.
func (l *lab) listen(t *testing.T, m plan.Machine, port uint16) (at netip.AddrPort, ok bool) {
	t.Helper()
	at = netip.AddrPortFrom(m.Address, port)
	var listener net.Listener
	l.in(t, m.Name, func() { listener, _ = net.Listen("tcp4", at.String()) })
	if listener == nil {
		return at, false
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go io.Copy(c, c)
		}
	}()
	return at, true
}

// background is a `craton up` that a test watches.
type background struct {
	cmd   *exec.Cmd
	mu    sync.Mutex
	lines []string
	times []time.Time
	err   error
	done  chan struct{}
}

func (l *lab) start(t *testing.T) *background {
	t.Helper()
	b := &background{cmd: exec.Command(craton, "up", "--file", l.file), done: make(chan struct{})}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // of a terminal of its own
	stderr, err := b.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			b.mu.Lock()
			b.lines, b.times = append(b.lines, lines.Text()), append(b.times, time.Now())
			b.mu.Unlock()
		}
		b.err = b.cmd.Wait()
		close(b.done)
	}()
	t.Cleanup(func() { b.cmd.Process.Kill(); <-b.done })
	return b
}

// said is when a line with that text was printed; ok is false where none was yet.
func (b *background) said(text string) (at time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, line := range b.lines {
		if strings.Contains(line, text) {
			return b.times[i], true
		}
	}
	return at, false
}

func (b *background) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}

// eventually tries until there is no error, and fails the test with the last one.
func eventually(t *testing.T, limit time.Duration, try func() error) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %s: %v", limit, err)
		}
	}
}
