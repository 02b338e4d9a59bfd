package nftables

import (
	"net/netip"
	"sort"
	"strconv"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// sets writes the address sets that rules use, and those of the roles in always.
func (r *ruleset) sets(rules []plan.Rule, always ...contract.Role) {
	prefixes := map[contract.Peer][]netip.Prefix{}
	for _, rule := range rules {
		for _, peer := range rule.Peers {
			if !everyone(r.plan, peer) {
				prefixes[peer] = r.plan.Peers[peer]
			}
		}
	}
	for _, role := range always {
		peer := rolePeer[role]
		if _, ok := r.plan.Peers[peer]; ok {
			prefixes[peer] = r.plan.Peers[peer]
			continue
		}
		prefixes[peer] = nil
		for _, m := range r.plan.OfRole(role) {
			prefixes[peer] = append(prefixes[peer], netip.PrefixFrom(m.Address, 32))
		}
	}
	peers := make([]contract.Peer, 0, len(prefixes))
	for peer := range prefixes {
		peers = append(peers, peer)
	}
	sort.Slice(peers, func(i, j int) bool { return peers[i] < peers[j] })
	for _, peer := range peers {
		r.prefixSet(setName(peer), prefixes[peer])
	}
}

// prefixSet writes a set of prefixes. The kernel keeps single addresses in a hash table and
// prefixes in a tree: neither gets slower with the number of machines to speak of.
func (r *ruleset) prefixSet(name string, prefixes []netip.Prefix) {
	prefixes = withoutInner(prefixes)
	single := true
	for _, p := range prefixes {
		single = single && p.IsSingleIP()
	}
	r.line("\tset %s {", name)
	r.line("\t\ttype ipv4_addr")
	if !single {
		r.line("\t\tflags interval")
	}
	r.elements(len(prefixes), func(b []byte, i int) []byte {
		if prefixes[i].IsSingleIP() {
			return prefixes[i].Addr().AppendTo(b)
		}
		return prefixes[i].AppendTo(b)
	})
	r.line("\t}")
}

// withoutInner sorts prefixes and leaves out those that lie within others, which nft
// refuses in one set.
func withoutInner(prefixes []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4() {
			sorted = append(sorted, p.Masked())
		}
	}
	sort.Slice(sorted, func(i, j int) bool {
		if c := sorted[i].Addr().Compare(sorted[j].Addr()); c != 0 {
			return c < 0
		}
		return sorted[i].Bits() < sorted[j].Bits()
	})
	var out []netip.Prefix
	for _, p := range sorted {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue
		}
		out = append(out, p)
	}
	return out
}

// elements writes a set's elements, a few a line; nft does not take an empty list.
func (r *ruleset) elements(n int, element func(b []byte, i int) []byte) {
	if n == 0 {
		return
	}
	const perLine = 8
	b := []byte("\t\telements = {")
	for i := range n {
		if i%perLine == 0 && n > perLine {
			b = append(b, "\n\t\t\t"...)
		} else {
			b = append(b, ' ')
		}
		b = element(b, i)
		if i < n-1 {
			b = append(b, ',')
		}
	}
	if n > perLine {
		b = append(b, "\n\t\t}\n"...)
	} else {
		b = append(b, " }\n"...)
	}
	r.Write(b)
}

// portSet writes the interfaces of machines, alone and with each one's address.
func (r *ruleset) portSet(machines []plan.Machine) {
	var with []plan.Machine
	for _, m := range machines {
		if r.opt.Ports[m.Name] != "" {
			with = append(with, m)
		}
	}
	r.line("\tset ports {")
	r.line("\t\ttype ifname")
	r.elements(len(with), func(b []byte, i int) []byte {
		return strconv.AppendQuote(b, r.opt.Ports[with[i].Name])
	})
	r.line("\t}")
	r.line("\tset port-addresses {")
	r.line("\t\ttypeof iifname . ip saddr")
	r.elements(len(with), func(b []byte, i int) []byte {
		b = strconv.AppendQuote(b, r.opt.Ports[with[i].Name])
		b = append(b, " . "...)
		return with[i].Address.AppendTo(b)
	})
	r.line("\t}")
}
