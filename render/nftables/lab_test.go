package nftables_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/namespace"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// world is a host outside of everything, from the block for documentation (RFC 5737).
var world = netip.MustParseAddr("203.0.113.9")

// lab is a fabric with a namespace for each machine and one for all that is no machine.
type lab struct {
	t      *testing.T
	plan   *plan.Plan
	fabric string
	home   map[netip.Addr]string // each address's namespace
	others []netip.Addr          // the addresses of no machine
}

func newLab(t *testing.T, p *plan.Plan) *lab {
	if testing.Short() || os.Getuid() != 0 {
		t.Skip("needs root and some seconds")
	}
	user := p.Network.User.Addr().Next().Next()
	l := &lab{
		t: t, plan: p, home: map[netip.Addr]string{},
		others: []netip.Addr{user, p.Network.LoadBalancer, p.Network.Resolvers[0], world},
	}
	l.fabric = l.namespace("fabric", "ip_forward=1")
	for i, m := range p.Machines {
		l.attach(l.namespace(fmt.Sprintf("m%d", i)), fmt.Sprintf("m%d", i), m.Address)
	}
	l.attach(l.namespace("others"), "others", l.others...)
	l.load(nftables.Options{Ports: ports(p), LogGroup: 4})
	return l
}

func (l *lab) run(name string, args ...string) string {
	l.t.Helper()
	out, err := command.Run(context.Background(), name, args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(out)
}

// namespace makes one that goes away with the test. ICMP errors are not rate-limited in
// it: a refused UDP packet is seen by them.
func (l *lab) namespace(name string, sysctls ...string) string {
	name = fmt.Sprintf("craton-test-%d-%s", os.Getpid(), name)
	l.run("ip", "netns", "add", name)
	l.t.Cleanup(func() { l.run("ip", "netns", "del", name) })
	l.run("ip", "-n", name, "link", "set", "lo", "up")
	for _, s := range append(sysctls, "icmp_ratelimit=0", "conf.all.rp_filter=0", "conf.default.rp_filter=0") {
		l.run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4."+s)
	}
	return name
}

func (l *lab) attach(ns, port string, addresses ...netip.Addr) {
	const gateway = "169.254.1.1"
	l.run("ip", "-n", l.fabric, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns)
	l.run("ip", "-n", l.fabric, "address", "add", gateway+"/32", "dev", port)
	l.run("ip", "-n", l.fabric, "link", "set", port, "up")
	l.run("ip", "-n", ns, "link", "set", "eth0", "up")
	for _, a := range addresses {
		l.home[a] = ns
		l.run("ip", "-n", ns, "address", "add", a.String()+"/32", "dev", "eth0")
		l.run("ip", "-n", l.fabric, "route", "add", a.String(), "dev", port)
	}
	l.run("ip", "-n", ns, "route", "add", gateway, "dev", "eth0")
	l.run("ip", "-n", ns, "route", "add", "default", "via", gateway)
}

func (l *lab) load(opt nftables.Options) {
	l.t.Helper()
	_, err := command.Cmd{
		Name: "ip", Args: []string{"netns", "exec", l.fabric, "nft", "-f", "-"},
		Stdin: bytes.NewReader(nftables.Fabric(l.plan, opt)),
	}.Run(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
}

// packets are the fabric's counters.
func (l *lab) packets() map[string]int {
	var list struct {
		Nftables []struct {
			Counter *struct {
				Name    string
				Packets int
			}
		}
	}
	if err := json.Unmarshal([]byte(l.run("ip", "netns", "exec", l.fabric, "nft", "-j", "list", "counters")), &list); err != nil {
		l.t.Fatal(err)
	}
	out := map[string]int{}
	for _, o := range list.Nftables {
		if o.Counter != nil {
			out[o.Counter.Name] = o.Counter.Packets
		}
	}
	return out
}

// in runs f in a namespace, on a thread that ends with it.
func (l *lab) in(ns string, f func()) {
	if err := namespace.In(ns, func() error {
		f()
		return nil
	}); err != nil {
		l.t.Errorf("namespace %s: %v", ns, err)
	}
}

// passes tells whether a flow's first packet and the answer to it pass. Nobody listens:
// a port that the packet reaches refuses (by RST, or by an ICMP error, which is related),
// and one that it does not reach is silent.
func passes(src, dst netip.Addr, protocol contract.Protocol, port uint16) (bool, error) {
	d := net.Dialer{Timeout: 700 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: src.AsSlice()}}
	if protocol == contract.UDP {
		d.LocalAddr = &net.UDPAddr{IP: src.AsSlice()}
	}
	c, err := d.Dial(string(protocol), netip.AddrPortFrom(dst, port).String())
	if err == nil && protocol == contract.UDP {
		defer c.Close()
		c.SetDeadline(time.Now().Add(d.Timeout))
		if _, err = c.Write([]byte("x")); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true, nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return false, nil
	}
	return false, fmt.Errorf("%s → %s %s/%d: expected a refusal or silence, got %v", src, dst, protocol, port, err)
}
