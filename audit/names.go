package audit

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/packets"
)

// names are the places and networks that ranges of addresses are.
func (s *site) names(ranges []packets.Range) []string {
	real := s.space.Within(packets.Source, ranges...)
	set := real.Or(s.nobody(packets.Source))
	nobody := s.nobody(packets.Source)
	v4, v6 := s.space.Within(packets.Source, packets.IPv4), s.space.Within(packets.Source, packets.IPv6...)
	var out []string
	switch left := v4.Minus(set); {
	case left.Empty():
		out = append(out, "all")
	case left.Size(packets.Source) < 1<<31: // more is in it than not
		out = append(out, "all but "+strings.Join(s.some(left), ", "))
	default:
		out = append(out, s.some(set.And(v4).Minus(nobody))...)
	}
	switch left := v6.Minus(set); {
	case left.Empty():
		out = append(out, "all (IPv6)")
	case left == v6.Minus(nobody):
	case left.Size(packets.Source) < math.Exp2(127):
		out = append(out, "all (IPv6) but "+strings.Join(s.some(v6.Minus(real)), ", "))
	default:
		out = append(out, s.some(set.And(v6).Minus(nobody))...)
	}
	return out
}

// nobody are the addresses that stand for nobody else: what is left of the reserved block, in it the places of
// peers that may be anywhere, and the loopback addresses.
func (s *site) nobody(d packets.Dimension) packets.Set { return s.cache().nobody[d] }

// some are the names of the places in a set, and the networks of what is left.
func (s *site) some(set packets.Set) []string {
	var out []string
	whole := set
	values := set.Values(packets.Source)
	for _, name := range s.cache().sorted {
		p := s.places[name]
		if len(p.ranges) == 0 || !covers(values, p.ranges) || covers(p.ranges, []packets.Range{packets.IPv4}) {
			continue
		}
		own := s.space.Within(packets.Source, p.ranges...)
		if own.And(set).Empty() {
			continue // it has another name
		}
		out = append(out, name)
		set = set.Minus(own)
	}
	// What is left of the blocks belongs to nobody.
	set = set.Minus(s.space.Within(packets.Source, packets.Prefix(reserved)))
	if set.Empty() {
		return out
	}
	// Whole networks read better: with those that were named, and but for some that have a name.
	left, but := set, []string{}
	for _, name := range s.cache().sorted {
		p := s.places[name]
		own := s.space.Within(packets.Source, p.ranges...)
		if !p.known || covers(p.ranges, []packets.Range{packets.IPv4}) || !slices.Contains(out, name) && !own.And(whole).Empty() {
			continue
		}
		if with := left.Or(own); len(networks(with)) < len(networks(left)) {
			left = with
			if !slices.Contains(out, name) {
				but = append(but, name)
			}
		}
	}
	const most = 8
	list := networks(left)
	if n := len(list); n > most {
		list = append(list[:most], fmt.Sprintf("%d more networks", n-most))
	}
	out = append(out, list...)
	if len(but) > 0 {
		out[len(out)-1] += " but " + strings.Join(but, ", ")
	}
	return out
}

// networks are the networks of a set of addresses.
func networks(set packets.Set) (out []string) {
	for _, r := range set.Values(packets.Source) {
		for _, p := range packets.Prefixes(r) {
			out = append(out, p.String())
		}
	}
	return out
}

// protocols are a set's protocols in words.
func protocols(set packets.Set) string {
	values := set.Values(packets.Protocol)
	if len(values) == 1 && values[0].First.Lo == 0 && values[0].Last == packets.Protocol.Max() {
		return "all"
	}
	if set.Size(packets.Protocol) > 200 {
		return "all but " + protocols(set.Some(packets.Port, packets.Source, packets.Destination).Not())
	}
	// Neighbours with names of their own are written apart.
	var out []packets.Range
	for _, r := range values {
		if r.Last.Lo-r.First.Lo < 4 {
			for n := r.First.Lo; n <= r.Last.Lo; n++ {
				out = append(out, packets.Numbers(n, n))
			}
			continue
		}
		out = append(out, r)
	}
	return cloud.Protocols(out)
}

// ports are a set's ports.
func ports(set packets.Set) []string {
	values := set.Values(packets.Port)
	if p := set.Values(packets.Protocol); len(p) == 1 && p[0].First == p[0].Last && (p[0].First.Lo == packets.ICMP || p[0].First.Lo == packets.ICMPv6) {
		return cloud.Types(values)
	}
	if len(values) == 1 && values[0].First.Lo <= 1 && values[0].Last.Lo == 65535 {
		return []string{"all"}
	}
	var out []string
	for i, r := range values {
		if i == 12 {
			return append(out, fmt.Sprintf("%d more ranges", len(values)-i))
		}
		out = append(out, cloud.Numbers([]packets.Range{r}))
	}
	return out
}
