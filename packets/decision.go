package packets

// Outcome is what may become of a packet: a set of ends.
type Outcome uint8

// The ends. A packet that has several may come to any of them.
const (
	Accept Outcome = 1 << iota
	Drop
	// Next goes on with the rule after this one.
	Next
	// Return goes back to the rules that led here.
	Return
)

// Decision says of every packet what may become of it. A sequence of rules is one, and two
// sequences after each other are one again (Then), so that rules can be put together in
// any grouping.
type Decision struct {
	space *Space
	n     node
}

// Always is one outcome for all packets.
func (s *Space) Always(o Outcome) Decision { return Decision{s, node(o)} }

// Where is a decision for the packets of a set; all others go on.
func (s *Space) Where(a Set, d Decision) Decision { return Decision{s, s.combine(guard, a.n, d.n)} }

// Then is what becomes of packets that meet d, and e where they go on.
func (d Decision) Then(e Decision) Decision {
	return Decision{d.space, d.space.combine(then, d.n, e.n)}
}

// Or is either decision: what may become of a packet where nobody knows which holds.
func (d Decision) Or(e Decision) Decision { return Decision{d.space, d.space.combine(or, d.n, e.n)} }

// Sequence is decisions one after another; it is quicker than one Then after another.
func (s *Space) Sequence(ds ...Decision) Decision {
	nodes := make([]node, len(ds))
	for i, d := range ds {
		nodes[i] = d.n
	}
	return Decision{s, s.all(then, nodes, node(Next))}
}

// Turn replaces some outcomes: each end that holds from gets to in its place.
func (d Decision) Turn(from, to Outcome) Decision {
	var f [terminals]node
	for i := range f {
		f[i] = node(i)
		if Outcome(i)&from != 0 {
			f[i] = node(Outcome(i)&^from | to)
		}
	}
	return Decision{d.space, d.space.ends(d.n, &f)}
}

// May are the packets that may come to one of these outcomes.
func (d Decision) May(o Outcome) Set {
	var f [terminals]node
	for i := range f {
		if Outcome(i)&o != 0 {
			f[i] = 1
		}
	}
	return Set{d.space, d.space.ends(d.n, &f)}
}

// Must are the packets that come to one of these outcomes and to no other.
func (d Decision) Must(o Outcome) Set {
	var f [terminals]node
	for i := 1; i < terminals; i++ {
		if Outcome(i)&^o == 0 {
			f[i] = 1
		}
	}
	return Set{d.space, d.space.ends(d.n, &f)}
}

// Of is what may become of one packet.
func (d Decision) Of(p Packet) Outcome { return Outcome(d.space.end(d.n, p)) }
