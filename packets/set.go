package packets

import "slices"

// Set is a set of packets. Equal sets of one space are equal (==).
type Set struct {
	space *Space
	n     node
}

// None holds no packet, All every one.
func (s *Space) None() Set { return Set{s, 0} }

// All holds every packet.
func (s *Space) All() Set { return Set{s, 1} }

// Within are the packets whose value in a dimension is in one of the ranges, which need
// neither be sorted nor apart. Ranges that end before they start hold nothing.
func (s *Space) Within(d Dimension, ranges ...Range) Set {
	sorted := slices.DeleteFunc(slices.Clone(ranges), func(r Range) bool { return r.First.Compare(r.Last) > 0 || r.First.Compare(d.Max()) > 0 })
	slices.SortFunc(sorted, func(a, b Range) int { return a.First.Compare(b.First) })
	start := len(s.scratch)
	next, ended := Value{}, false // next is the first value that has no edge yet
	for _, r := range sorted {
		if ended || r.Last.Compare(next) < 0 {
			continue
		}
		if r.Last.Compare(d.Max()) > 0 {
			r.Last = d.Max()
		}
		if r.First.Compare(next) > 0 {
			s.scratch = append(s.scratch, edge{r.First.previous(), 0})
		}
		s.scratch = append(s.scratch, edge{r.Last, 1})
		ended = r.Last == d.Max()
		next = r.Last.next()
	}
	if !ended {
		s.scratch = append(s.scratch, edge{d.Max(), 0})
	}
	return Set{s, s.make(d, start)}
}

// And are the packets of both.
func (a Set) And(b Set) Set { return Set{a.space, a.space.combine(and, a.n, b.n)} }

// Or are the packets of either.
func (a Set) Or(b Set) Set { return Set{a.space, a.space.combine(or, a.n, b.n)} }

// Minus are the packets of a that are not of b.
func (a Set) Minus(b Set) Set { return Set{a.space, a.space.combine(minus, a.n, b.n)} }

// Not are all other packets.
func (a Set) Not() Set { return a.space.All().Minus(a) }

// Empty tells whether no packet is in the set.
func (a Set) Empty() bool { return a.n == 0 }

// In tells whether each packet of a is one of b.
func (a Set) In(b Set) bool { return a.Minus(b).Empty() }

// Union are the packets of any of the sets; it is quicker than one Or after another.
func (s *Space) Union(sets ...Set) Set { return Set{s, s.all(or, numbers(sets), 0)} }

func numbers(sets []Set) []node {
	out := make([]node, len(sets))
	for i, a := range sets {
		out[i] = a.n
	}
	return out
}

// Holds tells whether a packet is in the set.
func (a Set) Holds(p Packet) bool { return a.space.end(a.n, p) == 1 }

// end is the end that a packet comes to.
func (s *Space) end(n node, p Packet) node {
	for n >= terminals {
		split := &s.nodes[n]
		v := p[split.dimension]
		i, _ := slices.BinarySearchFunc(split.edges, v, func(e edge, v Value) int { return e.last.Compare(v) })
		n = split.edges[i].to
	}
	return n
}

// Some are the packets that would be in the set with another value in these dimensions:
// the set's shadow, which no longer depends on them.
func (a Set) Some(ds ...Dimension) Set {
	s := a.space
	return Set{s, s.walk(a.n, map[node]node{}, func(n node) (node, bool) { return n, true }, func(d Dimension, below []node) (node, bool) {
		if !slices.Contains(ds, d) {
			return 0, false
		}
		return s.all(or, below, 0), true
	})}
}

// Every are the packets that are in the set whatever their values in these dimensions, as
// long as the packet is one of within.
func (a Set) Every(within Set, ds ...Dimension) Set {
	return within.Minus(a).Some(ds...).Not()
}

// Swap exchanges source and destination, addresses and ports: the answers to the packets
// of a set that does not ask for interfaces.
func (a Set) Swap() Set {
	var parts []Set
	for box := range a.Boxes() {
		turned := box
		turned[Source], turned[Destination] = box[Destination], box[Source]
		turned[SourcePort], turned[Port] = box[Port], box[SourcePort]
		parts = append(parts, a.space.Of(turned))
	}
	return a.space.Union(parts...)
}
