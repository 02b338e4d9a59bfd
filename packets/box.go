package packets

import "iter"

// Box is a part of a set: a packet is in it whose value in each dimension is in one of that
// dimension's ranges. No range means any value.
type Box [dimensions][]Range

// Of are the packets of a box.
func (s *Space) Of(b Box) Set {
	out := s.All()
	for d := dimensions; d > 0; d-- {
		if ranges := b[d-1]; len(ranges) > 0 {
			out = s.Within(d-1, ranges...).And(out)
		}
	}
	return out
}

// Boxes are parts of a set that have no packet in common and are the whole set together,
// those with the lowest values first.
func (a Set) Boxes() iter.Seq[Box] {
	return func(yield func(Box) bool) {
		var box Box
		a.space.boxes(a.n, &box, yield)
	}
}

func (s *Space) boxes(n node, box *Box, yield func(Box) bool) bool {
	if n == 0 {
		return true
	}
	if n < terminals {
		return yield(*box)
	}
	d, edges := s.nodes[n].dimension, s.nodes[n].edges
	defer func() { box[d] = nil }()
	ranges := map[node][]Range{}
	var order []node
	var first Value
	for _, e := range edges {
		if e.to != 0 {
			if ranges[e.to] == nil {
				order = append(order, e.to)
			}
			ranges[e.to] = append(ranges[e.to], Range{first, e.last})
		}
		first = e.last.next()
	}
	for _, to := range order {
		box[d] = ranges[to]
		if !s.boxes(to, box, yield) {
			return false
		}
	}
	return true
}

// First is the lowest packet of a box.
func (b Box) First() Packet {
	var p Packet
	for d, ranges := range b {
		if len(ranges) > 0 {
			p[d] = ranges[0].First
		}
	}
	return p
}

// First is the lowest packet of a set; of an empty one it means nothing.
func (a Set) First() Packet {
	for box := range a.Boxes() {
		return box.First()
	}
	return Packet{}
}

// Values are a set's values in one dimension, sorted and as long as they can be: the
// ranges of its shadow there.
func (a Set) Values(d Dimension) []Range {
	var others []Dimension
	for o := range dimensions {
		if o != d {
			others = append(others, o)
		}
	}
	flat := a.Some(others...)
	if flat.n == 1 {
		return []Range{{Value{}, d.Max()}}
	}
	for box := range flat.Boxes() {
		return box[d]
	}
	return nil
}

// Size is how many packets of a set there are, as far as these dimensions tell them apart.
func (a Set) Size(ds ...Dimension) float64 {
	var others []Dimension
	for o := range dimensions {
		counted := false
		for _, d := range ds {
			counted = counted || d == o
		}
		if !counted {
			others = append(others, o)
		}
	}
	flat := a.Some(others...)
	total := 0.0
	for box := range flat.Boxes() {
		size := 1.0
		for _, d := range ds {
			ranges := box[d]
			if len(ranges) == 0 {
				ranges = []Range{{Value{}, d.Max()}}
			}
			n := 0.0
			for _, r := range ranges {
				n += float64(r.Last.Hi-r.First.Hi)*(1<<64) + float64(r.Last.Lo) - float64(r.First.Lo) + 1
			}
			size *= n
		}
		total += size
	}
	return total
}
