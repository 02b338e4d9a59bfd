package verify

import (
	"net/netip"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/packets"
	"craton.dev/craton/plan"
)

// place is a set of addresses that a plan's rules do not tell apart.
type place struct {
	name   string
	ranges []packets.Range
	role   contract.Role // of machines
}

// outside is the name of all addresses that no rule has a peer for.
const outside = "outside"

// namedBy are the addresses of the plan's peers and of its roles, by name; roles says which names
// are those of roles.
func namedBy(p *plan.Plan) (names map[string][]packets.Range, roles map[string]contract.Role) {
	names, roles = map[string][]packets.Range{}, map[string]contract.Role{}
	for peer, prefixes := range p.Peers {
		if peer == contract.All {
			continue
		}
		for _, x := range prefixes {
			if x.Bits() > 0 {
				names[string(peer)] = append(names[string(peer)], packets.Prefix(x))
			}
		}
	}
	for _, role := range contract.Roles() {
		var of []packets.Range
		for _, m := range p.OfRole(role) {
			of = append(of, packets.One(packets.Address(m.Address)))
		}
		if len(of) > 0 {
			name := roleName(role)
			roles[name], names[name] = role, of
		}
	}
	return names, roles
}

// placesOf divides all addresses of IPv4 by the peers and roles that they belong to.
func placesOf(p *plan.Plan) []place {
	names, roles := namedBy(p)
	type mark struct {
		at   packets.Value
		name string
		from bool
	}
	var marks []mark
	for name, ranges := range names {
		for _, r := range ranges {
			marks = append(marks, mark{r.First, name, true}, mark{after(r.Last), name, false})
		}
	}
	slices.SortFunc(marks, func(a, b mark) int { return a.at.Compare(b.at) })
	places := map[string]*place{}
	var order []string
	open := map[string]int{}
	start := packets.IPv4.First
	flush := func(end packets.Value) { // the addresses from start to before end
		if start.Compare(end) >= 0 {
			return
		}
		var of []string
		for name, n := range open {
			if n > 0 {
				of = append(of, name)
			}
		}
		slices.Sort(of)
		name := strings.Join(of, "+")
		if name == "" {
			name = outside
		}
		if places[name] == nil {
			places[name] = &place{name: name}
			order = append(order, name)
			for _, part := range of {
				if roles[part] != "" {
					places[name].role = roles[part]
				}
			}
		}
		places[name].ranges = append(places[name].ranges, packets.Range{First: start, Last: before(end)})
		start = end
	}
	for _, m := range marks {
		flush(m.at)
		if m.from {
			open[m.name]++
		} else {
			open[m.name]--
		}
	}
	flush(after(packets.IPv4.Last))
	slices.Sort(order)
	out := make([]place, len(order))
	for i, name := range order {
		out[i] = *places[name]
	}
	return out
}

// roleName is what a role's machines are called as peers.
func roleName(role contract.Role) string {
	switch role {
	case contract.Master:
		return string(contract.Masters)
	case contract.Worker:
		return string(contract.Workers)
	}
	return string(role)
}

// Addresses of IPv4 have room on both sides.
func after(v packets.Value) packets.Value  { v.Lo++; return v }
func before(v packets.Value) packets.Value { v.Lo--; return v }

// two are an address of each of two places, not the same one; ok is false where there are
// none.
func two(a, b place) (src, dst netip.Addr, ok bool) {
	src, dst = packets.ToAddress(a.ranges[0].First), packets.ToAddress(b.ranges[0].First)
	if src != dst {
		return src, dst, true
	}
	last := b.ranges[len(b.ranges)-1].Last
	dst = packets.ToAddress(last)
	return src, dst, src != dst
}
