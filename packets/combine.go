package packets

// operation is what is done to the ends that two nodes reach with the same packet.
type operation uint8

const (
	and operation = iota
	or
	minus
	// guard is the second where the first, a set, holds the packet, and Next elsewhere.
	guard
	// then is the first with what the second says wherever the first goes on.
	then
)

// step is a question to memo.
type step struct {
	op   operation
	a, b node
}

// memory is how many answers memo keeps.
const memory = 1 << 18

// shortcut is the answer where one of the operands decides it.
func shortcut(op operation, a, b node) (node, bool) {
	switch op {
	case and:
		switch {
		case a == 0 || b == 0:
			return 0, true
		case a == 1:
			return b, true
		case b == 1 || a == b:
			return a, true
		}
	case or:
		switch {
		case a == 0 || a == b:
			return b, true
		case b == 0:
			return a, true
		case a < terminals && b < terminals:
			return a | b, true
		}
	case minus:
		switch {
		case a == 0 || b == 1 || a == b:
			return 0, true
		case b == 0:
			return a, true
		}
	case guard:
		switch {
		case a == 1:
			return b, true
		case a == 0 || b == node(Next):
			return node(Next), true
		}
	case then:
		switch {
		case a == node(Next) || b == node(Next) && a >= terminals:
			return pick(a == node(Next), b, a), true
		case a < terminals && a&node(Next) == 0:
			return a, true
		case a < terminals && b < terminals:
			return a&^node(Next) | b, true
		}
	}
	return 0, false
}

func pick(first bool, a, b node) node {
	if first {
		return a
	}
	return b
}

// combine does an operation to two nodes.
func (s *Space) combine(op operation, a, b node) node {
	if n, ok := shortcut(op, a, b); ok {
		return n
	}
	if s.err != nil {
		return 0
	}
	if (op == and || op == or) && a > b {
		a, b = b, a
	}
	key := step{op, a, b}
	if n, ok := s.memo[key]; ok {
		return n
	}
	d := min(s.dimension(a), s.dimension(b))
	ea, eb := s.split(a, d), s.split(b, d)
	start := len(s.scratch)
	for i, j := 0, 0; i < len(ea) && j < len(eb); {
		to := s.combine(op, ea[i].to, eb[j].to)
		last := ea[i].last
		c := last.Compare(eb[j].last)
		if c > 0 {
			last = eb[j].last
		}
		s.scratch = append(s.scratch, edge{last, to})
		if c <= 0 {
			i++
		}
		if c >= 0 {
			j++
		}
	}
	n := s.make(d, start)
	if len(s.memo) >= memory {
		clear(s.memo)
	}
	s.memo[key] = n
	return n
}

// dimension is the one that a node splits; ends come after all.
func (s *Space) dimension(n node) Dimension {
	if n < terminals {
		return dimensions
	}
	return s.nodes[n].dimension
}

// split is a node's edges in a dimension: one where it does not split it.
func (s *Space) split(n node, d Dimension) []edge {
	if s.dimension(n) == d {
		return s.nodes[n].edges
	}
	return []edge{{d.Max(), n}}
}

// all combines many nodes, by halves: the parts stay small, and so does their sum.
func (s *Space) all(op operation, nodes []node, none node) node {
	switch len(nodes) {
	case 0:
		return none
	case 1:
		return nodes[0]
	}
	half := len(nodes) / 2
	return s.combine(op, s.all(op, nodes[:half], none), s.all(op, nodes[half:], none))
}

// ends replaces each end of a node.
func (s *Space) ends(n node, f *[terminals]node) node {
	return s.walk(n, map[node]node{}, func(n node) (node, bool) { return f[n], n < terminals }, nil)
}

// walk rebuilds a node from the bottom. at answers for nodes that are not to be gone into;
// gather, where it is not nil, makes one node of a dimension's nodes instead of splitting.
func (s *Space) walk(n node, done map[node]node, at func(node) (node, bool), gather func(Dimension, []node) (node, bool)) node {
	if n < terminals {
		to, _ := at(n)
		return to
	}
	if to, ok := done[n]; ok {
		return to
	}
	d, edges := s.nodes[n].dimension, s.nodes[n].edges
	start := len(s.scratch)
	for _, e := range edges {
		to := s.walk(e.to, done, at, gather)
		s.scratch = append(s.scratch, edge{e.last, to})
	}
	to, gathered := node(0), false
	if gather != nil {
		below := make([]node, 0, len(edges))
		for _, e := range s.scratch[start:] {
			below = append(below, e.to)
		}
		to, gathered = gather(d, below)
	}
	if gathered {
		s.scratch = s.scratch[:start]
	} else {
		to = s.make(d, start)
	}
	done[n] = to
	return to
}
