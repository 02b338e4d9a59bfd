package plan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// TestEveryRuleComesFromItsClauses: a rule opens nothing that each of its clauses does
// not ask for, and is as strong as the strongest of them. No two rules open the same.
func TestEveryRuleComesFromItsClauses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCluster(t)
		p, err := Make(c)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, r := range p.Rules {
			if len(r.Clauses) == 0 {
				t.Fatalf("rule without a clause: %+v", r)
			}
			if !slices.IsSorted(r.Clauses) || !slices.IsSorted(r.Peers) || !slices.IsSortedFunc(r.Ports, comparePorts) {
				t.Fatalf("a list of the rule is not sorted: %+v", r)
			}
			if seen[r.opening()] {
				t.Fatalf("two rules open %s", r.opening())
			}
			seen[r.opening()] = true
			var levels []contract.Level
			for _, id := range r.Clauses {
				clause, ok := contract.ByID(id)
				if !ok {
					t.Fatalf("rule %+v: no clause has this id", r)
				}
				ports := slices.Clone(clause.Ports)
				if clause.PortFrom == "apiPort" {
					ports = []contract.PortRange{{First: uint16(c.APIPort), Last: uint16(c.APIPort)}}
				}
				if clause.Role != r.Role || clause.Kind != r.Direction || !slices.Contains(clause.Protocols, r.Protocol) ||
					!cmp.Equal(ports, r.Ports) || !sameSet(clause.Peers, r.Peers) {
					t.Fatalf("rule %+v is not what clause %+v asks for", r, clause)
				}
				if clause.Level == contract.May && !deciders[clause.Condition](c) {
					t.Fatalf("%s is open, and nothing in the file turns it on", id)
				}
				levels = append(levels, clause.Level)
			}
			strongest := contract.May
			for _, l := range []contract.Level{contract.Should, contract.Must} {
				if slices.Contains(levels, l) {
					strongest = l
				}
			}
			if r.Level != strongest {
				t.Fatalf("level %s of clauses with %v", r.Level, levels)
			}
		}
	})
}

func sameSet(a, b []contract.Peer) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// TestNothingThatBindsIsMissing: in profile document every MUST and SHOULD whose condition
// holds, and every MAY that the file turns on, is in a rule for each of its protocols,
// unless the cluster has nobody on one of its sides.
func TestNothingThatBindsIsMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCluster(t)
		c.Profile = "document"
		p, err := Make(c)
		if err != nil {
			t.Fatal(err)
		}
		w := world{c, p}
		for _, clause := range contract.Clauses() {
			if clause.Kind != contract.Ingress && clause.Kind != contract.Egress || !deciders[clause.Condition](c) {
				continue
			}
			if !w.hasRole(clause.Role) || !slices.ContainsFunc(clause.Peers, w.hasPeer) {
				continue
			}
			for _, protocol := range clause.Protocols {
				if !slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Protocol == protocol && slices.Contains(r.Clauses, clause.ID) }) {
					t.Fatalf("%s %s %s has no rule", clause.Level, clause.ID, protocol)
				}
			}
		}
	})
}

// TestMinimalIsPartOfDocument: nothing is open in minimal that is shut in document.
func TestMinimalIsPartOfDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCluster(t)
		var plans [2]*Plan
		for i, profile := range []string{"minimal", "document"} {
			with := *c
			with.Profile = profile
			p, err := Make(&with)
			if err != nil {
				t.Fatal(err)
			}
			plans[i] = p
		}
		for range 60 {
			src, dst, protocol, port := anyFlow(t, plans[0])
			if open, by := plans[0].Allows(src, dst, protocol, port); open {
				if wide, _ := plans[1].Allows(src, dst, protocol, port); !wide {
					t.Fatalf("%s to %s %s/%d is open in minimal by %v and shut in document", src, dst, protocol, port, by)
				}
			}
		}
		for _, r := range plans[0].Rules {
			for _, id := range r.Clauses {
				if strings.HasSuffix(id, "-all") {
					t.Fatalf("minimal opens all ports: %s", id)
				}
			}
		}
	})
}

// TestAllows holds Allows to a slow answer that is worked out from the contract's clauses
// and lists of addresses, without rules, prefixes or look-ups.
func TestAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := Make(anyCluster(t))
		if err != nil {
			t.Fatal(err)
		}
		w := world{p.File, p}
		for range 60 {
			src, dst, protocol, port := anyFlow(t, p)
			open, by := p.Allows(src, dst, protocol, port)
			wantOpen, wantBy := w.passes(src, dst, protocol, port)
			if open != wantOpen || !slices.Equal(by, wantBy) {
				t.Fatalf("%s to %s %s/%d: got %v by %v, want %v by %v", src, dst, protocol, port, open, by, wantOpen, wantBy)
			}
		}
	})
}

// anyFlow draws flows between machines, their surroundings and the world, to ports at and
// beside the edges of the plan's rules.
func anyFlow(t *rapid.T, p *Plan) (src, dst netip.Addr, protocol contract.Protocol, port uint16) {
	others := []netip.Addr{p.Network.Registry, p.Network.ServiceAPI}
	for _, text := range []string{"10.32.0.3", "10.0.0.7", "8.8.8.8", "198.51.100.7", "198.51.100.3", "198.51.100.5", "192.0.2.11", "192.0.2.13", "192.0.2.123", "203.0.113.53", "10.32.0.2", "10.32.0.9", "10.32.4.0"} {
		others = append(others, netip.MustParseAddr(text))
	}
	end := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.IntRange(0, 2).Draw(t, "machine") > 0 {
			return rapid.SampledFrom(p.Machines).Draw(t, "which").Address
		}
		return rapid.SampledFrom(others).Draw(t, "other")
	})
	edges := []int{0, 1, 65535}
	for _, r := range p.Rules {
		for _, r := range r.Ports {
			edges = append(edges, int(r.First)-1, int(r.First), int(r.Last), min(65535, int(r.Last)+1))
		}
	}
	return end.Draw(t, "src"), end.Draw(t, "dst"),
		rapid.SampledFrom([]contract.Protocol{contract.TCP, contract.UDP, contract.Any}).Draw(t, "protocol"),
		uint16(rapid.SampledFrom(edges).Draw(t, "port"))
}

// world answers from the contract itself what a cluster opens.
type world struct {
	c *cluster.Cluster
	p *Plan
}

func (w world) hasRole(role contract.Role) bool {
	return slices.ContainsFunc(w.p.Machines, func(m Machine) bool { return m.Role == role })
}

// hasPeer tells whether some address of the world is the peer's.
func (w world) hasPeer(peer contract.Peer) bool {
	switch peer {
	case contract.Masters:
		return true
	case contract.InfraNodes:
		return w.c.Infra > 0
	case contract.Workers:
		return w.c.Workers > 0
	case contract.ExternalEtcd:
		return w.c.ExternalEtcd != nil
	case contract.LoadBalancers:
		return w.c.LoadBalancer
	case contract.TimeServers:
		return len(w.c.TimeServers) > 0
	}
	return true
}

func (w world) isPeer(peer contract.Peer, a netip.Addr) bool {
	role := func(role contract.Role) bool {
		return slices.ContainsFunc(w.p.Machines, func(m Machine) bool { return m.Role == role && m.Address == a })
	}
	switch peer {
	case contract.All:
		return true
	case contract.UserNetwork:
		return netip.MustParsePrefix(w.c.UserNetwork).Contains(a)
	case contract.Masters:
		return role(contract.Master)
	case contract.InfraNodes:
		return role(contract.Infra)
	case contract.Workers:
		return role(contract.Worker)
	case contract.Registries:
		in := func(text string) bool { return netip.MustParsePrefix(text).Contains(a) }
		return len(w.c.Registries) == 0 || slices.ContainsFunc(w.c.Registries, in) || a == w.p.Network.Registry
	case contract.ExternalEtcd:
		return w.c.ExternalEtcd != nil && slices.Contains(w.c.ExternalEtcd.Endpoints, "https://"+a.String()+":2379")
	case contract.LoadBalancers:
		return w.c.LoadBalancer && a.String() == "10.32.0.3"
	case contract.Resolvers:
		return slices.Contains(w.c.Resolvers, a.String()) || len(w.c.Resolvers) == 0 && a.String() == "10.32.0.2"
	case contract.TimeServers:
		return slices.Contains(w.c.TimeServers, a.String())
	}
	panic("the test does not know peer " + peer)
}

func (w world) passes(src, dst netip.Addr, protocol contract.Protocol, port uint16) (bool, []string) {
	if src == dst {
		return true, nil
	}
	var by []string
	for _, half := range []struct {
		own, other netip.Addr
		kind       contract.Kind
	}{{src, dst, contract.Egress}, {dst, src, contract.Ingress}} {
		i := slices.IndexFunc(w.p.Machines, func(m Machine) bool { return m.Address == half.own })
		if i < 0 {
			continue
		}
		n := len(by)
		for _, clause := range contract.Clauses() {
			if clause.Role != w.p.Machines[i].Role || clause.Kind != half.kind || !deciders[clause.Condition](w.c) {
				continue
			}
			if w.c.Profile == "minimal" && !w.needed(clause.ID) {
				continue
			}
			first, last := 0, 0
			for _, r := range clause.Ports {
				if r.First <= port && port <= r.Last {
					first, last = int(r.First), int(r.Last)
				}
			}
			if clause.PortFrom == "apiPort" && int(port) == w.c.APIPort {
				first, last = w.c.APIPort, w.c.APIPort
			} else if clause.PortFrom == "apiPort" {
				continue
			}
			fits := slices.Contains(clause.Protocols, protocol) && first > 0 && last >= first
			if fits && slices.ContainsFunc(clause.Peers, func(peer contract.Peer) bool { return w.isPeer(peer, half.other) }) {
				by = append(by, clause.ID)
			}
		}
		if len(by) == n {
			return false, nil
		}
	}
	slices.Sort(by)
	return true, slices.Compact(by)
}

func (w world) needed(id string) bool {
	for _, component := range contract.Components() {
		if slices.Contains(w.p.Components, component.Name) && slices.Contains(component.Clauses, id) {
			return true
		}
	}
	return false
}
