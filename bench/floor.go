package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/namespace"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// Every wait for an answer asks this often, so that both sides of a pair wait alike.
const askEvery = 20 * time.Millisecond

// floor is the least time to a first answer of an API: etcd and an API server, started
// as bare processes on an empty folder, with their keys made before.
func (b *bench) floor(ctx context.Context) error {
	const name = "floor"
	p, err := planOf("bench"+name, 0)
	if err != nil {
		return err
	}
	return b.withAPI(ctx, name, p, func(ctx context.Context, api *bareAPI) error {
		b.samples.add(name, api.answered.Seconds())
		return nil
	})
}

// bareAPI is etcd and an API server as bare processes in a namespace of their own.
type bareAPI struct {
	ns       netns.NsHandle
	name     string // of the namespace
	secrets  *pki.Secrets
	address  string
	answered time.Duration // from the processes' start to the first answer
	group    *errgroup.Group
}

// withAPI starts one with the keys of a plan, waits for its first answer, and ends it
// after do.
func (b *bench) withAPI(ctx context.Context, name string, p *plan.Plan, do func(context.Context, *bareAPI) error) (err error) {
	built, err := payload.Build(ctx, payload.Options{Want: []string{"etcd", "kube-apiserver"}})
	if err != nil {
		return err
	}
	secrets, err := pki.Ensure(filepath.Join(b.dir, name+"-pki"), p, time.Now())
	if err != nil {
		return err
	}
	master := first(p, contract.Master)
	dir, err := os.MkdirTemp(b.dir, name+"-")
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
	clients := file("ca.crt", secrets.Authorities[plan.KubernetesCA].Cert)
	public, private := file("sa.pub", secrets.ServiceAccount.Cert), file("sa.key", secrets.ServiceAccount.Key)
	if err != nil {
		return err
	}
	ns, err := newNamespace(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	defer func() { err = errors.Join(err, removeNamespace(name)) }()

	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer group.Wait()
	defer stop()
	const etcd = "http://127.0.0.1:2379"
	api := &bareAPI{ns: ns, name: name, secrets: secrets, address: "127.0.0.1:6443", group: group}
	began := time.Now()
	background(ctx, group, name, built.HostBin("etcd"),
		"--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--log-level=error")
	background(ctx, group, name, built.HostBin("kube-apiserver"),
		"--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--secure-port=6443",
		"--advertise-address="+master.Address.String(), "--client-ca-file="+clients,
		"--tls-cert-file="+cert, "--tls-private-key-file="+key,
		"--service-account-issuer=https://bench", "--service-account-key-file="+public,
		"--service-account-signing-key-file="+private,
		"--service-cluster-ip-range="+p.Network.Services.String(),
		"--authorization-mode=Node,RBAC", "--anonymous-auth=true")
	if err := firstAnswer(ctx, api.address, dialFrom(ns)); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	api.answered = time.Since(began)
	if err := do(ctx, api); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
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
		err = namespace.Do(ns, func() (err error) {
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
			// Read to its end, so that the next question needs no new connection: making one
			// takes a server that is starting some of the time that is measured.
			_, _ = io.Copy(io.Discard, answer.Body)
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
