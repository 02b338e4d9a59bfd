package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/faults/inject"
	"craton.dev/craton/faults/load"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// lab is the one cluster at a time on which scenarios are played.
type lab struct {
	name   string
	craton string // the program
	dir    string // scratch
	// shape is that of the cluster that is there; the zero value where there is none.
	shape   shape
	cluster *bootstrap.Cluster
	disk    *inject.Disk
	diskOf  string // which machine's it is
	built   *payload.Payload
}

// file writes the cluster file for a shape.
func (l *lab) file(s shape) (string, error) {
	path := filepath.Join(l.dir, l.name+".yaml")
	text := fmt.Sprintf("apiVersion: craton.dev/v1alpha1\nkind: Cluster\nname: %s\nmasters: %d\nworkers: %d\n", l.name, s.masters, s.workers)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// down removes the cluster, and what an earlier run has left of one.
func (l *lab) down(ctx context.Context) error {
	l.shape, l.cluster = shape{}, nil
	state := filepath.Join(bootstrap.StateRoot, l.name)
	if _, err := os.Stat(state); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := l.removeDisk(ctx); err != nil {
		return err
	}
	_, err := command.Cmd{Name: l.craton, Args: []string{"down", "--cluster", l.name}, Timeout: 3 * time.Minute}.Run(ctx)
	return err
}

// removeDisk powers its machine off first: nobody can take a disk that is in use.
func (l *lab) removeDisk(ctx context.Context) error {
	if l.disk == nil {
		return nil
	}
	if c, err := bootstrap.Open(l.name, bootstrap.Options{}); err == nil {
		if err := c.Platform.PowerOff(ctx, l.diskOf); err != nil {
			return err
		}
	}
	err := l.disk.Remove(ctx)
	l.disk, l.diskOf = nil, ""
	return err
}

// fresh takes away what there is, and prepares the disk of the cluster that comes next.
func (l *lab) fresh(ctx context.Context, s shape, disk bool) error {
	if err := l.down(ctx); err != nil {
		return err
	}
	if !disk {
		return nil
	}
	l.diskOf = fmt.Sprintf("%s-%s-%d", l.name, contract.Master, s.masters) // the last master: not the one that began
	dir := filepath.Join(bootstrap.StateRoot, l.name, "local")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var err error
	l.disk, err = inject.NewDisk(ctx, dir, l.diskOf)
	return err
}

// up is a `craton up` that is watched.
type up struct {
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{}
	err  error
}

func (u *up) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.Write(b)
}

func (u *up) said(text string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Contains(u.text.String(), text)
}

// start runs `craton up` for a shape in the background.
func (l *lab) start(ctx context.Context, s shape) (*up, error) {
	file, err := l.file(s)
	if err != nil {
		return nil, err
	}
	l.shape = s
	u := &up{done: make(chan struct{})}
	go func() {
		_, u.err = command.Cmd{Name: l.craton, Args: []string{"up", "--file", file}, Stderr: u, Timeout: 12 * time.Minute}.Run(ctx)
		close(u.done)
	}()
	return u, nil
}

// await waits till up has said something, or has ended.
func (u *up) await(ctx context.Context, text string) error {
	for !u.said(text) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-u.done:
			if u.err == nil && !u.said(text) {
				return fmt.Errorf("`craton up` has ended and never said %q", text)
			}
			if !u.said(text) {
				return u.err
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (u *up) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-u.done:
		return u.err
	}
}

// open opens the cluster that `craton up` makes or has made.
func (l *lab) open() error {
	c, err := bootstrap.Open(l.name, bootstrap.Options{})
	if err != nil {
		return err
	}
	// Machines are booted by the program under test, from the payload that it has built.
	c.Platform.Self = l.craton
	c.Platform.Image.Layers = []string{l.built.NodeFS, l.built.RootFS}
	l.cluster = c
	return nil
}

// ensure brings the cluster of a scenario up where it is not there.
func (l *lab) ensure(ctx context.Context, s shape, disk bool) error {
	if l.shape == s && l.cluster != nil && (l.disk != nil) == disk {
		return nil
	}
	if err := l.fresh(ctx, s, disk); err != nil {
		return err
	}
	say("bringing a cluster of %s up", s)
	u, err := l.start(ctx, s)
	if err != nil {
		return err
	}
	if err := u.wait(ctx); err != nil {
		return err
	}
	return l.open()
}

// machines are those of a role.
func (l *lab) machines(role contract.Role) (names []string) {
	for _, m := range l.cluster.Plan.Machines {
		if m.Role == role {
			names = append(names, m.Name)
		}
	}
	return names
}

// config is the administrator's, by way of this host's loopback port.
func (l *lab) config() (*rest.Config, error) {
	kubeconfig, err := l.cluster.Kubeconfig()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Timeout = -1, 5*time.Second
	return config, nil
}

func (l *lab) client() (*kubernetes.Clientset, error) {
	config, err := l.config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// targets are what the load uses: the API as the user network sees it, and each member of
// etcd as seen from its own machine.
func (l *lab) targets() (api load.Target, members []load.Target, err error) {
	config, err := l.config()
	if err != nil {
		return api, nil, err
	}
	secure, err := rest.TLSConfigFor(config)
	if err != nil {
		return api, nil, err
	}
	c := l.cluster
	address := c.Plan.Network.LoadBalancer
	if !address.IsValid() {
		address = c.Plan.Machines[0].Address
	}
	api = load.Target{
		Name: "API", URL: "https://" + netip.AddrPortFrom(address, c.Plan.Network.APIPort).String(),
		TLS: secure, Dial: c.Platform.Dial,
	}
	port, err := etcdPort()
	if err != nil {
		return api, nil, err
	}
	for _, m := range c.Plan.Machines {
		if m.Role != contract.Master {
			continue
		}
		secure, err := etcdTLS(c.Secrets, m)
		if err != nil {
			return api, nil, err
		}
		members = append(members, load.Target{
			Name: m.Name, URL: "https://" + netip.AddrPortFrom(m.Address, port).String(), TLS: secure,
			Dial: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
				err = c.Platform.In(m.Name, func() (err error) {
					conn, err = (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, address)
					return err
				})
				return conn, err
			},
		})
	}
	return api, members, nil
}

func etcdTLS(secrets *pki.Secrets, m plan.Machine) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secrets.Authorities[pki.EtcdCA].Cert) {
		return nil, errors.New("the cluster's secrets have no authority of etcd")
	}
	pair := secrets.Pairs["etcd-server-"+m.Name]
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("etcd's certificate of %s: %w", m.Name, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{cert}}, nil
}

// problem is the first thing that keeps the cluster from being ready, and standIns the
// first stand-in that runs; "" where there is none.
func (l *lab) problem(ctx context.Context) (problem, standIns string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := l.cluster.Status(ctx)
	if err != nil {
		return err.Error(), ""
	}
	for _, m := range s.Machines {
		if m.Problem != "" {
			return m.Name + ": " + m.Problem, ""
		}
	}
	for _, c := range s.Components {
		switch {
		case c.Problem == "":
		case strings.Contains(c.Problem, "stand-in"): // the component does its work all the same
			standIns = cmp.Or(standIns, c.Name+": "+c.Problem)
		default:
			problem = cmp.Or(problem, c.Problem)
		}
	}
	return problem, standIns
}

// neighbours are other clusters on this host, which take of its processors.
func (l *lab) neighbours() (names []string) {
	entries, _ := os.ReadDir(bootstrap.StateRoot)
	for _, e := range entries {
		if e.Name() != l.name {
			names = append(names, e.Name())
		}
	}
	return names
}

// etcdPort is where members serve their clients.
func etcdPort() (uint16, error) {
	const id = "master.ingress.etcd-client"
	c, ok := contract.ByID(id)
	if !ok || len(c.Ports) != 1 {
		return 0, fmt.Errorf("the contract has no clause %s with one port", id)
	}
	return c.Ports[0].First, nil
}
