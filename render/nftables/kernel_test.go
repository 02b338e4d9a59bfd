package nftables_test

import (
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/render/internal/example"
	"craton.dev/craton/render/nftables"
)

// TestKernel protects what everything else rests on: real packets through real nftables
// pass exactly where the plan says so. It tries ports at random and both sides of each
// boundary that a rule has, between all kinds of peers.
func TestKernel(t *testing.T) {
	for name, p := range example.Golden(t) {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, p)
			type flow struct {
				src, dst netip.Addr
				protocol contract.Protocol
				port     uint16
			}
			var ports []uint16
			for _, r := range p.Rules {
				for _, x := range r.Ports {
					ports = append(ports, x.First-1, x.First, x.Last, x.Last+1)
				}
			}
			ports = slices.DeleteFunc(ports, func(p uint16) bool { return p == 0 })
			random := rand.New(rand.NewPCG(1, 2))
			addresses := slices.Clone(l.others)
			for _, m := range p.Machines {
				addresses = append(addresses, m.Address)
			}
			flows := map[flow]bool{}
			const each = 200 // so many that pass and so many that do not
			count := map[bool]int{}
			for count[true] < each || count[false] < each {
				f := flow{
					src: addresses[random.IntN(len(addresses))], dst: addresses[random.IntN(len(addresses))],
					protocol: contract.TCP, port: uint16(1 + random.IntN(65535)),
				}
				if random.IntN(2) == 0 {
					f.protocol = contract.UDP
				}
				if random.IntN(5) > 0 {
					f.port = ports[random.IntN(len(ports))]
				}
				want, _ := p.Allows(f.src, f.dst, f.protocol, f.port)
				if _, twice := flows[f]; l.home[f.src] != l.home[f.dst] && count[want] < each && !twice {
					flows[f] = want
					count[want]++
				}
			}
			var wait sync.WaitGroup
			var mu sync.Mutex
			clauses := map[string]bool{}
			slots := make(chan struct{}, 48)
			for f, want := range flows {
				_, ids := p.Allows(f.src, f.dst, f.protocol, f.port)
				for _, id := range ids {
					clauses[id] = true
				}
				wait.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					l.in(l.home[f.src], func() {
						got, err := passes(f.src, f.dst, f.protocol, f.port)
						for range 2 { // silence may be a packet that a busy host lost
							if want && !got && err == nil {
								got, err = passes(f.src, f.dst, f.protocol, f.port)
							}
						}
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							t.Error(err)
						} else if got != want {
							t.Errorf("%s → %s %s/%d passes: %t, the plan says %t (%v)", f.src, f.dst, f.protocol, f.port, got, want, ids)
						}
					})
				})
			}
			wait.Wait()
			for counter, n := range l.packets() {
				clause, ok := nftables.ClauseOf(counter)
				if ok && n > 0 && !clauses[clause] {
					// Egress of a flow that the other side's ingress then drops counts too.
					if c, _ := contract.ByID(clause); c.Kind != contract.Egress {
						t.Errorf("%s counted %d packets, and no flow was its own", counter, n)
					}
				}
				if what, ok := nftables.DropOf(counter); ok && n == 0 && slices.Contains([]string{"master.ingress", "worker.ingress", "worker.egress"}, what) {
					t.Errorf("%s counted nothing", counter)
				}
			}
		})
	}
}

// TestSpoofing protects that no machine can send with another's address, which would get
// it through rules that are not its own.
func TestSpoofing(t *testing.T) {
	p := example.Plan(t, 1, 2)
	l := newLab(t, p)
	master, first, second := p.Machines[0].Address, p.Machines[1].Address, p.Machines[2].Address
	port, _ := contract.ByID("worker.ingress.kubelet")
	try := func(from, as netip.Addr) bool {
		var ok bool
		l.in(l.home[from], func() {
			var err error
			if ok, err = passes(as, second, contract.TCP, port.Ports[0].First); err != nil {
				t.Error(err)
			}
		})
		return ok
	}
	if !try(master, master) {
		t.Fatal("the master does not reach the worker: nothing to show")
	}
	before := l.packets()[nftables.DropCounter("spoofed")]
	for _, from := range []netip.Addr{first, world} {
		l.run("ip", "-n", l.home[from], "address", "add", master.String()+"/32", "dev", "lo")
		if try(from, master) {
			t.Errorf("%s reaches a worker with the master's address", from)
		}
		after := l.packets()[nftables.DropCounter("spoofed")]
		if after == before {
			t.Errorf("what %s sent with the master's address was not counted as spoofed", from)
		}
		before = after
	}
}

// TestReload protects connections: one that is open goes on through a new ruleset, and the
// counters go on from the values that they are given.
func TestReload(t *testing.T) {
	p := example.Plan(t, 1, 1)
	l := newLab(t, p)
	ssh, _ := contract.ByID("master.ingress.ssh")
	address := netip.AddrPortFrom(p.Machines[0].Address, ssh.Ports[0].First).String()
	var listener net.Listener
	l.in(l.home[p.Machines[0].Address], func() { listener, _ = net.Listen("tcp", address) })
	if listener == nil {
		t.Fatalf("nobody can listen on %s", address)
	}
	defer listener.Close()
	go func() {
		if c, err := listener.Accept(); err == nil {
			io.Copy(c, c)
		}
	}()
	var c net.Conn
	l.in(l.home[l.others[0]], func() {
		d := net.Dialer{Timeout: 2 * time.Second, LocalAddr: &net.TCPAddr{IP: l.others[0].AsSlice()}}
		c, _ = d.Dial("tcp", address)
	})
	if c == nil {
		t.Fatal("the user network does not reach the master's ssh")
	}
	defer c.Close()
	for round, text := range []string{"before", "after "} {
		if round == 1 {
			l.load(nftables.Options{Ports: ports(p), Counts: map[string]nftables.Count{"master.ingress.ssh": {Packets: 77}}})
		}
		c.SetDeadline(time.Now().Add(2 * time.Second))
		got := make([]byte, len(text))
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
			t.Fatalf("%s: %q, %v", strings.TrimSpace(text), got, err)
		}
	}
	if n := l.packets()["master.ingress.ssh"]; n != 77 {
		t.Errorf("the counter is at %d: expected 77, as an open connection is not counted again", n)
	}
}
