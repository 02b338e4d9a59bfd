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

	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
)

// Every wait for an answer asks this often, so that both sides of a pair wait alike.
const askEvery = 20 * time.Millisecond

// floor is the least time to a first answer of an API: etcd and an API server, started
// as bare processes on an empty folder, with their keys made before.
func (b *bench) floor(ctx context.Context) (err error) {
	built, err := payload.Build(ctx, payload.Options{Want: []string{"etcd", "kube-apiserver"}})
	if err != nil {
		return err
	}
	p, err := planOf("benchfloor", 0)
	if err != nil {
		return err
	}
	secrets, err := pki.Ensure(filepath.Join(b.dir, "floor-pki"), p, time.Now())
	if err != nil {
		return err
	}
	master := first(p, contract.Master)
	dir, err := os.MkdirTemp(b.dir, "floor-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	pair := secrets.Pairs["kube-apiserver-"+master.Name]
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, data, 0o600))
		return path
	}
	cert, key := file("server.crt", pair.Cert), file("server.key", pair.Key)
	public, private := file("sa.pub", secrets.ServiceAccount.Cert), file("sa.key", secrets.ServiceAccount.Key)
	if err != nil {
		return err
	}
	ns, err := newNamespace("floor")
	if err != nil {
		return err
	}
	defer ns.Close()
	defer func() { err = errors.Join(err, removeNamespace("floor")) }()

	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer group.Wait()
	defer stop()
	const etcd = "http://127.0.0.1:2379"
	began := time.Now()
	background(ctx, group, "floor", built.HostBin("etcd"),
		"--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--log-level=error")
	background(ctx, group, "floor", built.HostBin("kube-apiserver"),
		"--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--secure-port=6443",
		"--advertise-address="+master.Address.String(),
		"--tls-cert-file="+cert, "--tls-private-key-file="+key,
		"--service-account-issuer=https://bench", "--service-account-key-file="+public,
		"--service-account-signing-key-file="+private,
		"--service-cluster-ip-range="+p.Network.Services.String(),
		"--authorization-mode=Node,RBAC", "--anonymous-auth=true")
	if err := firstAnswer(ctx, "127.0.0.1:6443", dialFrom(ns)); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	b.samples.add("floor", time.Since(began).Seconds())
	return nil
}

// background runs a program in a namespace of bench till ctx ends.
func background(ctx context.Context, group *errgroup.Group, namespace, program string, args ...string) {
	group.Go(func() error {
		_, err := command.Cmd{
			Name: "nsenter", Args: append([]string{"--net=/run/netns/" + namespaceName(namespace), program}, args...),
			Timeout: 5 * time.Minute,
		}.Run(ctx)
		if ctx.Err() != nil {
			return nil // it was to end
		}
		if err == nil {
			err = fmt.Errorf("%s ended by itself", program)
		}
		return err
	})
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

func dialFrom(ns netns.NsHandle) dial {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = within(ns, func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// firstAnswer waits until an API server says that it is ready. Its certificate is not
// looked at: nothing is sent, and nothing depends on the answer but a time.
func firstAnswer(ctx context.Context, address string, dial dial) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	defer client.CloseIdleConnections()
	var last error
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(r)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(answer.Status)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer from the API at %s: %w; the last attempt: %v", address, ctx.Err(), last)
		case <-time.After(askEvery):
		}
	}
}
