package local

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/namespace"
)

// TestFlows protects what verify --traffic tells from being made up: a connection through a fabric's kernel is
// among its flows, with the end that was asked, its port, and since when.
func TestFlows(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	p := &Platform{Cluster: fmt.Sprintf("flows%d", os.Getpid()), Dir: t.TempDir()}
	t.Cleanup(func() {
		for _, name := range []string{fabricNS, balancer, userNS} {
			if err := p.removeNamespace(name); err != nil {
				t.Error(err)
			}
		}
	})
	fabric, err := p.ensureNamespace(fabricNS)
	if err != nil {
		t.Skipf("this place lets nobody make a network namespace: %v", err)
	}
	defer fabric.Close()
	before := time.Now()
	server, client := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, l := range []link{{balancer, balancer, []netip.Addr{server}}, {userNS, userNS, []netip.Addr{client}}} {
		if err := p.ensureLink(fabric, l); err != nil {
			t.Fatal(err)
		}
	}
	// A kernel follows connections where a rule asks for their state.
	rules := "table inet follow {\n chain forward {\n  type filter hook forward priority 0; policy accept;\n  ct state established counter accept\n }\n}\n"
	if err := p.nft(t.Context(), []byte(rules), &bytes.Buffer{}, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if err := namespace.Do(fabric, func() error { return errors.Join(setSysctls(fabricSysctls), setSysctls(followSysctls)) }); err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	if err := p.In(balancer, func() (err error) {
		listener, err = net.Listen("tcp4", "192.0.2.1:8443")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := p.dialFrom(userNS, func() (net.Conn, error) { return net.DialTimeout("tcp4", "192.0.2.1:8443", 5*time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	flows, err := p.Flows()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(flows, func(f Flow) bool { return f.Port == 8443 })
	if i < 0 {
		t.Fatalf("the connection is not among %v", flows)
	}
	if f := flows[i]; f.Source != client || f.Destination != server || f.Protocol != contract.TCP || f.Began.Before(before.Add(-time.Second)) || f.Began.After(time.Now()) {
		t.Errorf("%+v: expected a connection of tcp from %s to %s that began after %s", f, client, server, before)
	}
	if since, err := p.Counting(); err != nil || since.Before(before.Add(-time.Minute)) || since.After(time.Now()) {
		t.Errorf("the fabric counts since %s, %v", since, err)
	}
}
