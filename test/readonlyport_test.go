package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"

	"craton.dev/craton/contract"
	"craton.dev/craton/faults/inject"
)

// testReadOnlyPort protects the load balancer's other way to ask masters, by the kubelet's
// read-only port, in a cluster whose file turns that on: all masters are in rotation, and one
// whose kubelet hangs is out of it after a short time, though its API server is well.
func testReadOnlyPort(t *testing.T, l *lab) {
	const rotation = 3 * time.Second
	p, platform := l.plan(t), l.open(t).Platform
	config, err := rest.TLSConfigFor(l.config(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ServerName = p.Network.APIServer
	// led names the master to which a new connection leads: each API server has a certificate of
	// its own, with its machine's address. Connections stay: the load balancer leads to whom has the
	// fewest, and that may be one master again and again.
	led := func(from string, to netip.Addr) (string, error) {
		conn, err := platform.DialFrom(context.Background(), from, "tcp", netip.AddrPortFrom(to, p.Network.APIPort).String(), time.Second)
		if err != nil {
			return "", err
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return "", err
		}
		client := tls.Client(conn, config)
		if err := client.Handshake(); err != nil {
			return "", err
		}
		return client.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
	}
	sick := p.OfRole(contract.Master)[0]
	its, err := led(p.OfRole(contract.Worker)[0].Name, sick.Address) // users have no way past the load balancer
	if err != nil {
		t.Fatal(err)
	}
	inRotation := func() bool {
		for range 60 {
			if to, err := led(user, p.Network.LoadBalancer); err == nil && to == its {
				return true
			}
		}
		return false
	}
	if !inRotation() {
		t.Fatalf("the load balancer leads nobody to %s, which is well", sick.Name)
	}

	kubelets, err := (&inject.Cluster{Plan: p, Platform: platform}).SignalAll([]string{sick.Name}, "kubelet", unix.SIGSTOP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inject.Signal(kubelets, unix.SIGCONT) })
	began := time.Now()
	var last time.Duration // after the fault, the latest connection that led there was begun
	var failed []error
	for time.Since(began) < 2*rotation {
		at := time.Since(began)
		to, err := led(user, p.Network.LoadBalancer)
		if err != nil {
			failed = append(failed, err)
		}
		if to == its {
			last = at
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("the last connection that was led to %s was begun %.2f s after its kubelet hung", sick.Name, last.Seconds())
	// What is led there when the master leaves the rotation is cut.
	if len(failed) > 1 {
		t.Errorf("%d connections failed, and every API server is well: %v", len(failed), failed)
	}
	if last > rotation {
		t.Errorf("the load balancer led connections to %s for %s after its kubelet hung: expected at most %s", sick.Name, last, rotation)
	}
	if err := inject.Signal(kubelets, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() error {
		if !inRotation() {
			return fmt.Errorf("the load balancer leads nobody to %s, which is well again", sick.Name)
		}
		return nil
	})
	l.ready(t)
}
