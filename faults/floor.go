package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"craton.dev/craton/cluster"
	"craton.dev/craton/command"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// build makes what the scenarios need of the payload: what machines are booted from, and
// the programs of the floor.
func (l *lab) build(ctx context.Context) (err error) {
	// What `craton up` needs is built by the program under test.
	if _, err := (command.Cmd{Name: l.craton, Args: []string{"payload", "build"}, Timeout: 2 * time.Hour}).Run(ctx); err != nil {
		return err
	}
	want := []string{payload.MachineImage, "etcd", "kube-apiserver"}
	for _, c := range payload.Components() {
		if c.NodeDir != "" {
			want = append(want, c.Name)
		}
	}
	l.built, err = payload.Build(ctx, payload.Options{Want: want})
	return err
}

// bare is how long etcd and an API server take from nothing to the first answer, as plain
// processes on this host's loopback: nothing that a cluster does can be faster.
func (l *lab) bare(ctx context.Context) (took time.Duration, err error) {
	file, err := l.file(one, internal)
	if err != nil {
		return 0, err
	}
	f, err := cluster.Load(file)
	if err != nil {
		return 0, err
	}
	p, err := plan.Make(f)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(l.dir, "bare-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	secrets, err := pki.Ensure(filepath.Join(dir, "pki"), p, time.Now())
	if err != nil {
		return 0, err
	}
	path := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, data, 0o600))
		return path
	}
	pair := secrets.Pairs["kube-apiserver-"+p.Machines[0].Name]
	cert, key := path("server.crt", pair.Cert), path("server.key", pair.Key)
	public, private := path("sa.pub", secrets.ServiceAccount.Cert), path("sa.key", secrets.ServiceAccount.Key)
	ports, errPorts := freePorts(3)
	if err := errors.Join(err, errPorts); err != nil {
		return 0, err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer func() {
		stop()
		if err == nil {
			err = group.Wait()
		}
	}()
	start := func(program string, args ...string) {
		group.Go(func() error {
			_, err := command.Cmd{Name: program, Args: args, Timeout: 3 * time.Minute}.Run(ctx)
			if ctx.Err() != nil {
				return nil // it was to end
			}
			return err
		})
	}
	began := time.Now()
	start(l.built.HostBin("etcd"), "--data-dir="+filepath.Join(dir, "etcd"), "--log-level=error",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	start(l.built.HostBin("kube-apiserver"), "--etcd-servers="+client, "--bind-address=127.0.0.1", "--secure-port="+ports[2],
		"--advertise-address="+p.Machines[0].Address.String(), "--tls-cert-file="+cert, "--tls-private-key-file="+key,
		"--service-account-issuer=https://faults", "--service-account-key-file="+public, "--service-account-signing-key-file="+private,
		"--service-cluster-ip-range="+p.Network.Services.String(), "--authorization-mode=Node,RBAC", "--anonymous-auth=true")
	// Nothing is sent, and nothing depends on the answer but a time.
	asker := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer asker.CloseIdleConnections()
	for {
		if answer, err := asker.Get("https://127.0.0.1:" + ports[2] + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return time.Since(began), nil
			}
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return 0, fmt.Errorf("bare etcd and API server: %w", errors.Join(ctx.Err(), group.Wait()))
		}
	}
}

// freePorts are loopback ports that nobody has now.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
