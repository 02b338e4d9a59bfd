package verify

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/packets"
	"craton.dev/craton/plan"
)

// A plan as a set of packets is what the plan itself says of each packet, at the edges of
// every rule and address; and the places are what no rule tells apart.
func TestPlannedIsThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := fmt.Sprintf("name: p\nmasters: %d\nworkers: %d\nprofile: %s\ningress: %s\napiPort: %d\n",
			rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "masters"), rapid.IntRange(0, 9).Draw(t, "workers"),
			rapid.SampledFrom([]string{"document", "minimal"}).Draw(t, "profile"),
			rapid.SampledFrom([]string{"nodePort", "hostPort"}).Draw(t, "ingress"),
			rapid.SampledFrom([]int{443, 6443}).Draw(t, "apiPort"))
		if rapid.Bool().Draw(t, "registries") {
			text += "registries: [10.32.0.0/24, 198.51.100.0/28]\n"
		}
		if rapid.Bool().Draw(t, "infra") {
			text += "infra: 2\nloadBalancer: false\n"
		}
		c, err := cluster.Parse("cluster.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Make(c)
		if err != nil {
			t.Fatal(err)
		}
		between := planOf(packets.NewSpace(0), p).between()
		places := placesOf(p)
		addresses := []netip.Addr{netip.MustParseAddr("203.0.113.9")}
		ports := []uint16{1, 65535}
		for _, prefixes := range p.Peers {
			for _, x := range prefixes {
				addresses = append(addresses, x.Addr(), packets.ToAddress(packets.Prefix(x).Last))
			}
		}
		for _, r := range p.Rules {
			for _, x := range r.Ports {
				ports = append(ports, max(x.First-1, 1), x.First, x.Last, min(x.Last, 65534)+1)
			}
		}
		home := func(a netip.Addr) string {
			var in []string
			for _, place := range places {
				for _, r := range place.ranges {
					if v := packets.Address(a); r.First.Compare(v) <= 0 && v.Compare(r.Last) <= 0 {
						in = append(in, place.name)
					}
				}
			}
			if len(in) != 1 {
				t.Fatalf("%s is in %q: expected one place", a, in)
			}
			return in[0]
		}
		alike := map[string]bool{}
		for range 500 {
			src, dst := rapid.SampledFrom(addresses).Draw(t, "src"), rapid.SampledFrom(addresses).Draw(t, "dst")
			protocol := rapid.SampledFrom([]contract.Protocol{contract.TCP, contract.UDP}).Draw(t, "protocol")
			port := rapid.SampledFrom(ports).Draw(t, "port")
			if src == dst {
				continue // a machine that talks to itself meets no rule
			}
			want, _ := p.Allows(src, dst, protocol, port)
			var packet packets.Packet
			packet[packets.Source], packet[packets.Destination] = packets.Address(src), packets.Address(dst)
			packet[packets.Protocol], packet[packets.Port] = packets.Number(map[contract.Protocol]uint64{contract.TCP: packets.TCP, contract.UDP: packets.UDP}[protocol]), packets.Number(uint64(port))
			if got := between.Holds(packet); got != want {
				t.Fatalf("%s → %s %s %d: the set says %t, the plan %t", src, dst, protocol, port, got, want)
			}
			key := fmt.Sprint(home(src), home(dst), protocol, port)
			if before, ok := alike[key]; ok && before != want {
				t.Fatalf("%s: two pairs of its addresses are treated differently", key)
			}
			alike[key] = want
		}
	})
}
