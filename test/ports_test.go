package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
	"craton.dev/craton/verify"
)

// drop is a line of the fabric's log of dropped packets.
type drop = local.Drop

// peers are the kinds of places that connect to machines: where, and with which address.
func (l *lab) peers(t *testing.T) map[string]netip.Addr {
	t.Helper()
	p := l.plan(t)
	worker := p.OfRole(contract.Worker)[0]
	world := map[string]netip.Addr{user: local.UserAddress(p.Network), worker.Name: worker.Address}
	// The address of the outside is the platform's choice: a connection tells it.
	l.in(t, outside, func() {
		if c, err := net.Dial("udp4", netip.AddrPortFrom(p.Machines[0].Address, 9).String()); err == nil {
			world[outside] = netip.MustParseAddrPort(c.LocalAddr().String()).Addr()
			c.Close()
		}
	})
	if len(world) != 3 {
		t.Fatal("the outside has no address")
	}
	return world
}

// port is the first tcp port from there to the machine which is open or shut in the plan,
// and on which a test can listen.
func (l *lab) port(t *testing.T, p *plan.Plan, from netip.Addr, to plan.Machine, open bool, also func(uint16) bool) netip.AddrPort {
	t.Helper()
	for port := uint16(1); port != 0; port++ {
		if allowed, _ := p.Allows(from, to.Address, contract.TCP, port); allowed != open || (also != nil && !also(port)) {
			continue
		}
		if at, ok := l.listen(t, to, port); ok {
			return at
		}
	}
	t.Fatalf("from %s to %s there is no port which is open: %t", from, to.Name, open)
	return netip.AddrPort{}
}

// testShutPorts protects the rule that what no clause names is shut: a listener on such a
// port of a master cannot be reached from any kind of peer, while one on an open port can.
// Each attempt is counted, and the log names machine, peer and port.
func testShutPorts(t *testing.T, l *lab) {
	p := l.plan(t)
	master := p.OfRole(contract.Master)[0]
	for where, address := range l.peers(t) {
		t.Run(where, func(t *testing.T) {
			if at := l.port(t, p, address, master, true, nil); true {
				c, err := l.dial(t, where, at)
				if err != nil {
					t.Fatalf("%s is open in the plan, but from %s: %v", at, where, err)
				}
				c.Close()
			}
			at := l.port(t, p, address, master, false, nil)
			_, before, err := l.open(t).Platform.Counters(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if c, err := l.dial(t, where, at); err == nil {
				c.Close()
				t.Fatalf("%s is shut in the plan, but from %s it is open", at, where)
			}
			_, after, err := l.open(t).Platform.Counters(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, 3*time.Second, func() error {
				for _, d := range l.drops(t) {
					if d.Source == address && d.Destination == at.Addr() && d.Port == at.Port() && d.Protocol == string(contract.TCP) {
						if after[d.Rule].Packets <= before[d.Rule].Packets {
							return fmt.Errorf("the drop was logged for %s, but not counted: %v, %v", d.Rule, before, after)
						}
						return nil
					}
				}
				return fmt.Errorf("the log of drops does not name %s → %s", address, at)
			})
		})
	}
	t.Run("traffic", func(t *testing.T) { l.traffic(t, master) })
}

// traffic protects what verify --traffic tells: of a cluster that has worked for a while it knows clauses that were
// used and connections by them, and it names who knocked at a master's door in vain.
func (l *lab) traffic(t *testing.T, master plan.Machine) {
	out, err := l.craton("verify", "--traffic", "--cluster", l.name, "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got verify.Traffic
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"worker.egress.images", "worker.egress.dns"} {
		i := slices.IndexFunc(got.Clauses, func(u verify.Used) bool { return u.Clause == id })
		if i < 0 || got.Clauses[i].Connections == 0 {
			t.Errorf("no connection by %s, without which no worker joins", id)
		}
	}
	if !slices.ContainsFunc(got.Clauses, func(u verify.Used) bool {
		return slices.ContainsFunc(u.Now, func(g verify.FlowGroup) bool { return g.Destination == master.Name && !g.Since.IsZero() })
	}) {
		t.Errorf("no connection to %s, or none with its beginning: %s", master.Name, out)
	}
	if !slices.ContainsFunc(got.Dropped, func(r verify.Refused) bool {
		return r.Source == string(contract.UserNetwork) && r.Destination == master.Name && r.Detail != ""
	}) {
		t.Errorf("nothing that was dropped on its way from the user network to %s: %+v", master.Name, got.Dropped)
	}
}

// echo sends a line on a connection and expects it back.
func echo(c net.Conn) error {
	c.SetDeadline(time.Now().Add(2 * time.Second))
	const line = "still there?"
	if _, err := io.WriteString(c, line); err != nil {
		return err
	}
	got := make([]byte, len(line))
	_, err := io.ReadFull(c, got)
	if err == nil && string(got) != line {
		err = fmt.Errorf("%q came back", got)
	}
	return err
}

// testOpenAndShut protects changes of rules on a running cluster: a port that the file
// turns on is open within a second, and shut as quickly when it is turned off, when also
// its connections end; a connection that stays allowed never notices.
func testOpenAndShut(t *testing.T, l *lab) {
	shut := l.plan(t)
	from := local.UserAddress(shut.Network)
	master, worker := shut.OfRole(contract.Master)[0], shut.OfRole(contract.Worker)[0]
	kept, err := l.dial(t, user, l.port(t, shut, from, worker, true, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	broken, stop := make(chan error, 1), make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				broken <- nil
				return
			case <-time.After(20 * time.Millisecond):
				if err := echo(kept); err != nil {
					broken <- err
					return
				}
			}
		}
	}()
	l.write(t, 1, 2, "options:", "  nodePortRange: true")
	at := l.port(t, l.plan(t), from, master, true, func(port uint16) bool {
		was, _ := shut.Allows(from, master.Address, contract.TCP, port)
		return !was
	})
	try := func(limit time.Duration) bool {
		c, err := l.dialWithin(t, user, at, limit)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if try(time.Second) {
		t.Fatalf("%s is open before the file opens it", at)
	}
	// A dropped first packet is sent again after a second only: tries are shorter.
	l.switched(t, "opens", func() bool { return try(100 * time.Millisecond) })
	through, err := l.dial(t, user, at)
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	if err := echo(through); err != nil {
		t.Fatal(err)
	}
	l.write(t, 1, 2)
	l.switched(t, "shuts", func() bool { return !try(time.Second) })
	if err := echo(through); err == nil {
		t.Error("a connection through the port that was shut goes on")
	}
	close(stop)
	if err := <-broken; err != nil {
		t.Errorf("a connection that stays allowed was broken by the change: %v", err)
	}
	l.ready(t)
}

// switched applies the file and measures when the port has become what it says, from the
// moment that up begins with the network.
func (l *lab) switched(t *testing.T, what string, done func() bool) {
	t.Helper()
	began := time.Now()
	up := l.start(t)
	var tried time.Time
	for ended := false; ; {
		tried = time.Now()
		if done() {
			break
		}
		if ended {
			t.Fatalf("up has ended, but the port never %s:\n%s", what, up.all())
		}
		select {
		case <-up.done:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	<-up.done
	if up.err != nil {
		t.Fatalf("up: %v:\n%s", up.err, up.all())
	}
	network, ok := up.said("network,")
	if !ok {
		t.Fatalf("up does not say when it begins with the network:\n%s", up.all())
	}
	t.Logf("the port %s %.2f s after up began with the network, %.2f s after it was started", what,
		tried.Sub(network).Seconds(), tried.Sub(began).Seconds())
	if late := tried.Sub(network); late > time.Second {
		t.Errorf("the port %s %s after up began with the network: expected less than a second", what, late)
	}
}
