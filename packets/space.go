package packets

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooLarge is the error of a space whose sets do not fit into its limit.
var ErrTooLarge = errors.New("the rules are too entangled to be decided exactly within the memory allowed")

// Space holds the nodes of sets. Sets of different spaces have nothing to do with each
// other. A space is for one goroutine at a time.
type Space struct {
	nodes  []splitter
	unique map[uint64]node
	limit  int // of edges
	edges  int
	err    error

	memo    map[step]node
	scratch []edge
	arena   []edge

	names map[string]Value
	by    []string
}

// node is the number of a node; those below terminals are ends.
type node uint32

// terminals is how many ends there are: each is a set of outcomes, and of two of them
// (none and Accept) are sets of packets made.
const terminals = 16

// splitter splits one dimension: values up to edges[0].last lead to edges[0].to, and so on.
// There are two edges at least, neighbours lead to different nodes, and the last edge ends
// where the dimension does.
type splitter struct {
	dimension Dimension
	edges     []edge
	same      node // the next one with this hash
}

type edge struct {
	last Value
	to   node
}

// DefaultLimit is about 200 MiB of sets.
const DefaultLimit = 4 << 20

// NewSpace makes a space of at most limit edges (24 bytes each, some more beside them); 0
// means DefaultLimit. What grows beyond makes Err return ErrTooLarge; sets made from then
// on mean nothing.
func NewSpace(limit int) *Space {
	if limit == 0 {
		limit = DefaultLimit
	}
	return &Space{
		nodes: make([]splitter, terminals), unique: map[uint64]node{}, limit: limit,
		memo: map[step]node{}, names: map[string]Value{}, by: []string{"any other"},
	}
}

// Err is ErrTooLarge once the space has grown too large, and nil before.
func (s *Space) Err() error {
	if s.err != nil {
		return fmt.Errorf("%w (%d ranges)", s.err, s.limit)
	}
	return nil
}

// Edges is how many edges the space has made: a measure of its work and memory.
func (s *Space) Edges() int { return s.edges }

// Name is the value of an interface's name, in dimensions In and Out. A name that ends in
// * stands for the interfaces that begin so and have no name of their own here. Value 0 is
// any interface without a name.
func (s *Space) Name(name string) Value {
	if v, ok := s.names[name]; ok {
		return v
	}
	v := Number(uint64(len(s.by)))
	s.names[name] = v
	s.by = append(s.by, name)
	return v
}

// NameOf is the name of a value in dimensions In and Out.
func (s *Space) NameOf(v Value) string {
	if v.Lo < uint64(len(s.by)) {
		return s.by[v.Lo]
	}
	return s.by[0]
}

// Lookup is the value that an interface of this name has: the name's own or, where it has
// none, that of the longest pattern that it begins like, or 0.
func (s *Space) Lookup(name string) Value {
	if v, ok := s.names[name]; ok {
		return v
	}
	best, v := -1, Value{}
	for i, pattern := range s.by[1:] {
		if prefix, wild := strings.CutSuffix(pattern, "*"); wild && len(prefix) > best && strings.HasPrefix(name, prefix) {
			best, v = len(prefix), Number(uint64(i+1))
		}
	}
	return v
}

// Named are the values of the names that a pattern means: of the name itself or, where it
// ends in *, of all names so far that begin so. All names must be known before the first
// pattern is asked for.
func (s *Space) Named(pattern string) []Range {
	own := s.Name(pattern)
	prefix, wild := strings.CutSuffix(pattern, "*")
	if !wild {
		return []Range{One(own)}
	}
	var out []Range
	for i, name := range s.by[1:] {
		if strings.HasPrefix(strings.TrimSuffix(name, "*"), prefix) {
			out = append(out, One(Number(uint64(i+1))))
		}
	}
	return out
}

// make is the node that splits d by the edges on top of scratch, from start on, and takes
// them off.
func (s *Space) make(d Dimension, start int) node {
	edges := s.scratch[start:]
	out := edges[:0]
	for _, e := range edges {
		if n := len(out); n > 0 && out[n-1].to == e.to {
			out[n-1].last = e.last
			continue
		}
		out = append(out, e)
	}
	s.scratch = s.scratch[:start]
	if len(out) == 1 {
		return out[0].to
	}
	h := hash(d, out)
	first, found := s.unique[h]
	for n := first; found && n != 0; n = s.nodes[n].same {
		if equal(&s.nodes[n], d, out) {
			return n
		}
	}
	if s.edges+len(out) > s.limit {
		s.err = ErrTooLarge
		return 0
	}
	s.edges += len(out)
	n := node(len(s.nodes))
	s.nodes = append(s.nodes, splitter{dimension: d, edges: s.keep(out), same: first})
	s.unique[h] = n
	return n
}

// keep copies edges to where they stay.
func (s *Space) keep(edges []edge) []edge {
	const chunk = 1 << 12
	if len(edges) > chunk/4 {
		return append([]edge(nil), edges...)
	}
	if len(edges) > cap(s.arena)-len(s.arena) {
		s.arena = make([]edge, 0, chunk)
	}
	n := len(s.arena)
	s.arena = append(s.arena, edges...)
	return s.arena[n:len(s.arena):len(s.arena)]
}

func hash(d Dimension, edges []edge) uint64 {
	const prime = 0x9e3779b97f4a7c15
	h := uint64(d) + 1
	mix := func(v uint64) {
		h = (h ^ v) * prime
		h ^= h >> 29
	}
	for _, e := range edges {
		mix(e.last.Hi)
		mix(e.last.Lo)
		mix(uint64(e.to))
	}
	return h
}

func equal(n *splitter, d Dimension, edges []edge) bool {
	if n.dimension != d || len(n.edges) != len(edges) {
		return false
	}
	for i := range edges {
		if n.edges[i] != edges[i] {
			return false
		}
	}
	return true
}
