package etcd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lab is a set of machines, all on loopback, that run the real etcd.
type lab struct {
	t       *testing.T
	program string
	tls     TLS
	log     logr.Logger

	mu   sync.Mutex
	plan []*machine
	last Status
	// rounds counts the keeper's: what it saw before a machine was killed says nothing.
	rounds int
}

type machine struct {
	lab             *lab
	name, dir       string
	peerURL, client string
	process         *exec.Cmd
	exited          chan struct{}
	output          *bytes.Buffer
}

// newLab skips where there is no etcd to run.
func newLab(t *testing.T) *lab {
	t.Helper()
	program := os.Getenv("CRATON_ETCD")
	if program == "" {
		t.Skip("CRATON_ETCD is not set: expected the path of etcd, such as the one that `craton payload build etcd` makes")
	}
	if testing.Short() {
		t.Skip("runs real etcd servers for some seconds")
	}
	t.Parallel()
	l := &lab{t: t, program: program, log: testr.New(t)}
	l.tls = certificates(t, t.TempDir())
	return l
}

func (l *lab) machine(name string) *machine {
	l.t.Helper()
	m := &machine{lab: l, name: name, dir: l.t.TempDir()}
	m.peerURL, m.client = "https://"+freePort(l.t), "https://"+freePort(l.t)
	l.t.Cleanup(m.kill)
	return m
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (m *machine) data() data { return data{filepath.Join(m.dir, "etcd", "data")} }

// options are for a machine whose other masters are those.
func (m *machine) options(others ...*machine) Options {
	o := Options{
		Cluster: "lab", Name: m.name, PeerURL: m.peerURL, DataDir: m.data().dir, Out: filepath.Join(m.dir, "etcd.yaml"),
		TLS: m.lab.tls, Log: m.lab.log.WithName(m.name), Every: 100 * time.Millisecond,
		Server: Server{
			ClientURL: m.client, CA: m.lab.tls.CA, Cert: m.lab.tls.Cert, Key: m.lab.tls.Key,
			PeerCert: m.lab.tls.Cert, PeerKey: m.lab.tls.Key,
		},
	}
	for _, other := range others {
		if other != m {
			o.Endpoints = append(o.Endpoints, other.client)
		}
	}
	return o
}

// join fails the test where the machine does not come to a member in time. It may be
// called from any goroutine.
func (m *machine) join(o Options) Result {
	m.lab.t.Helper()
	ctx, cancel := context.WithTimeout(m.lab.t.Context(), time.Minute)
	defer cancel()
	r, err := Join(ctx, o)
	if err != nil {
		m.lab.t.Errorf("%s: %v", m.name, err)
	}
	return r
}

// run starts etcd on what Join wrote.
func (m *machine) run() {
	m.lab.t.Helper()
	m.output = &bytes.Buffer{}
	m.process = exec.Command(m.lab.program, "--config-file="+filepath.Join(m.dir, "etcd.yaml"))
	m.process.Stdout, m.process.Stderr = m.output, m.output
	if err := m.process.Start(); err != nil {
		m.lab.t.Error(err)
		m.process = nil
		return
	}
	m.exited = make(chan struct{})
	go func(p *exec.Cmd, exited chan struct{}) {
		p.Wait()
		close(exited)
	}(m.process, m.exited)
}

// kill is a loss of power: nothing is said, nothing written.
func (m *machine) kill() {
	if m.process == nil {
		return
	}
	m.process.Process.Kill()
	<-m.exited
	m.process = nil
	if m.lab.t.Failed() {
		text := m.output.String()
		m.lab.t.Logf("the end of %s's log:\n%s", m.name, text[max(0, len(text)-3000):])
	}
}

// up joins and starts.
func (m *machine) up(others ...*machine) Result {
	m.lab.t.Helper()
	r := m.join(m.options(others...))
	m.run()
	return r
}

// upAll joins and starts all at once, as machines do.
func (l *lab) upAll(all, others []*machine) {
	l.t.Helper()
	var group sync.WaitGroup
	for _, m := range all {
		group.Go(func() {
			if r := m.up(others...); r.How != Joined || r.Member == 0 {
				l.t.Errorf("%s: %+v, want that it joins", m.name, r)
			}
		})
	}
	group.Wait()
}

// keep runs the keeper till the test ends. Its plan is set with want.
func (l *lab) keep(endpoints ...*machine) {
	var urls []string
	for _, m := range endpoints {
		urls = append(urls, m.client)
	}
	l.keepWith(KeepOptions{Endpoints: urls})
}

func (l *lab) keepWith(o KeepOptions) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	o.TLS, o.Log, o.Every = l.tls, l.log.WithName("keeper"), 200*time.Millisecond
	o.Masters = func() ([]Master, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		var out []Master
		for _, m := range l.plan {
			out = append(out, Master{Name: m.name, PeerURL: m.peerURL, ClientURL: m.client})
		}
		return out, nil
	}
	o.Report = func(s Status) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.last, l.rounds = s, l.rounds+1
	}
	go func() { done <- Keep(ctx, o) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("keep: %v", err)
		}
	})
}

func (l *lab) want(plan ...*machine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plan = plan
}

func (l *lab) status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// await fails the test where a thing does not come about.
func (l *lab) await(what string, is func() bool) {
	l.t.Helper()
	for end := time.Now().Add(90 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("%s: not after 90 s; the keeper's last: %+v", what, l.status())
		}
	}
}

// settled waits until the voters are the plan's machines and all are well.
func (l *lab) settled(plan ...*machine) {
	l.t.Helper()
	l.want(plan...)
	var want []string
	for _, m := range plan {
		want = append(want, m.name)
	}
	slices.Sort(want)
	l.mu.Lock()
	enough := l.rounds + 2
	l.mu.Unlock()
	l.await(fmt.Sprintf("members %v", want), func() bool {
		var have []string
		l.mu.Lock()
		early := l.rounds < enough
		l.mu.Unlock()
		if early {
			return false
		}
		for _, m := range l.status().Members {
			if m.Learner || !m.Healthy {
				return false
			}
			have = append(have, m.Name)
		}
		slices.Sort(have)
		return slices.Equal(have, want)
	})
}

func (l *lab) client(machines ...*machine) *clientv3.Client {
	l.t.Helper()
	var urls []string
	for _, m := range machines {
		urls = append(urls, m.client)
	}
	c, err := Client(l.tls, urls...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}

func (l *lab) put(c *clientv3.Client, key string) {
	l.t.Helper()
	l.await("write "+key, func() bool {
		ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.Put(ctx, key, key)
		return err == nil
	})
}

func (l *lab) has(c *clientv3.Client, keys ...string) {
	l.t.Helper()
	for _, key := range keys {
		ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Second)
		got, err := c.Get(ctx, key)
		cancel()
		if err != nil || len(got.Kvs) != 1 {
			l.t.Fatalf("%s is lost: %v %v", key, got, err)
		}
	}
}
