package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
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
	"craton.dev/craton/payload"
)

// lab is the one cluster at a time on which scenarios are played.
type lab struct {
	name   string
	craton string // the program
	dir    string // scratch
	// shape and etcd are those of the cluster that is there; zero values where there is none.
	shape   shape
	etcd    string
	cluster *bootstrap.Cluster
	disk    *inject.Disk
	diskOf  string // which machine's it is
	built   *payload.Payload
}

// file writes the cluster file for a shape and a kind of etcd.
func (l *lab) file(s shape, etcd string) (string, error) {
	path := filepath.Join(l.dir, l.name+".yaml")
	text := fmt.Sprintf("apiVersion: craton.dev/v1alpha1\nkind: Cluster\nname: %s\nmasters: %d\nworkers: %d\netcd: %s\n", l.name, s.masters, s.workers, etcd)
	if etcd == external {
		dir := filepath.Join(bootstrap.StateRoot, l.name, "local", "etcd") // the platform plays it where its files are there
		text += fmt.Sprintf("externalEtcd:\n  endpoints: [%s]\n  caFile: %s/ca.crt\n  certFile: %[2]s/client.crt\n  keyFile: %[2]s/client.key\n",
			strings.Join(endpoints, ", "), dir)
	}
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// down removes the cluster, and what an earlier run has left of one.
func (l *lab) down(ctx context.Context) error {
	l.shape, l.etcd, l.cluster = shape{}, "", nil
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

// up is a `craton up`, or another command that takes its time, which is watched.
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

// start runs `craton up` in the background.
func (l *lab) start(ctx context.Context, s shape, etcd string) (*up, error) {
	file, err := l.file(s, etcd)
	if err != nil {
		return nil, err
	}
	l.shape, l.etcd = s, etcd
	return l.run(ctx, "up", "--file", file), nil
}

// run runs craton in the background.
func (l *lab) run(ctx context.Context, args ...string) *up {
	u := &up{done: make(chan struct{})}
	go func() {
		_, u.err = command.Cmd{Name: l.craton, Args: args, Stderr: u, Timeout: 12 * time.Minute}.Run(ctx)
		close(u.done)
	}()
	return u
}

// await waits till up has said something, or has ended.
func (u *up) await(ctx context.Context, text string) error {
	for !u.said(text) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-u.done:
			if u.err == nil && !u.said(text) {
				return fmt.Errorf("craton has ended and never said %q", text)
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
func (l *lab) ensure(ctx context.Context, s shape, etcd string, disk bool) error {
	if l.shape == s && l.etcd == etcd && l.cluster != nil && (l.disk != nil) == disk {
		return nil
	}
	if err := l.fresh(ctx, s, disk); err != nil {
		return err
	}
	say("bringing a cluster of %s up, etcd: %s", s, etcd)
	u, err := l.start(ctx, s, etcd)
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
	for _, m := range l.cluster.Plan.OfRole(role) {
		names = append(names, m.Name)
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

// problem is the first thing that keeps a machine from being ready, the first that keeps the cluster, and
// the first stand-in that runs; "" where there is none.
func (l *lab) problem(ctx context.Context) (machine, whole, standIn string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := l.cluster.Status(ctx)
	if err != nil {
		return err.Error(), err.Error(), ""
	}
	for _, m := range s.Machines {
		machine = cmp.Or(machine, m.Problem)
	}
	whole, standIn = s.Problem()
	return machine, whole, standIn
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
