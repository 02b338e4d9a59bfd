package audit

import (
	"fmt"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/packets"
)

// names are the places and networks that ranges of addresses are.
func (s *site) names(ranges []packets.Range) []string {
	set := s.space.Within(packets.Source, ranges...).Or(s.nobody(packets.Source))
	v4, v6 := s.space.Within(packets.Source, packets.IPv4), s.space.Within(packets.Source, packets.IPv6...)
	var out []string
	switch left := v4.Minus(set); {
	case left.Empty():
		out = append(out, "all")
	case left.Size(packets.Source) < 1<<31: // more is in it than not
		out = append(out, "all but "+strings.Join(s.some(left), ", "))
	default:
		out = append(out, s.some(set.And(v4).Minus(s.nobody(packets.Source)))...)
	}
	switch left := v6.Minus(set); {
	case left.Empty():
		out = append(out, "all (IPv6)")
	case left == v6:
	default:
		out = append(out, s.some(set.And(v6))...)
	}
	return out
}

// nobody are the addresses that stand for nobody: what is left of the reserved block, and
// in it the places of peers that may be anywhere.
func (s *site) nobody(d packets.Dimension) packets.Set { return s.cache().nobody[d] }

// some are the names of the places in a set, and the networks of what is left.
func (s *site) some(set packets.Set) []string {
	var out []string
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
	const most = 8
	n := 0
	if !set.Empty() {
		for _, r := range set.Values(packets.Source) {
			for _, p := range packets.Prefixes(r) {
				if n++; n <= most {
					out = append(out, p.String())
				}
			}
		}
	}
	if n > most {
		out = append(out, fmt.Sprintf("%d more networks", n-most))
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
