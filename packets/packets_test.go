package packets_test

import (
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/packets"
)

// The small space of these tests: every packet of it can be tried. No range of a test
// begins or ends beyond values, so that the value at its edge stands for all after it.
const values = 5

var (
	some = []packets.Dimension{packets.State, packets.In, packets.Source, packets.Port}
	grid = everyPacket()
)

// everyPacket is all packets of the small space; the one at i has value (i / values^k) %
// values in the kth dimension.
func everyPacket() []packets.Packet {
	all := []packets.Packet{{}}
	for _, d := range some {
		var next []packets.Packet
		for v := range uint64(values) {
			for _, p := range all {
				p[d] = packets.Number(v)
				next = append(next, p)
			}
		}
		all = next
	}
	return all
}

// pair is a set, and the same as a table: brute force.
type pair struct {
	set   packets.Set
	holds []bool
}

func tabled(set packets.Set, f func(i int) bool) pair {
	p := pair{set, make([]bool, len(grid))}
	for i := range grid {
		p.holds[i] = f(i)
	}
	return p
}

func anyRanges(t *rapid.T) []packets.Range {
	var out []packets.Range
	for range rapid.IntRange(0, 3).Draw(t, "ranges") {
		first := rapid.Uint64Range(0, values-1).Draw(t, "first")
		last := packets.Number(rapid.Uint64Range(0, values-1).Draw(t, "last"))
		if last == packets.Number(values-1) {
			last = packets.Source.Max() // of all dimensions, this one reaches farthest
		}
		out = append(out, packets.Range{First: packets.Number(first), Last: last})
	}
	return out
}

func anySet(t *rapid.T, s *packets.Space, depth int) pair {
	if depth == 0 || rapid.IntRange(0, 4).Draw(t, "leaf") == 0 {
		d, ranges := rapid.SampledFrom(some).Draw(t, "dimension"), anyRanges(t)
		return tabled(s.Within(d, ranges...), func(i int) bool {
			for _, r := range ranges {
				if r.First.Compare(grid[i][d]) <= 0 && grid[i][d].Compare(r.Last) <= 0 {
					return true
				}
			}
			return false
		})
	}
	a, b := anySet(t, s, depth-1), anySet(t, s, depth-1)
	switch rapid.IntRange(0, 5).Draw(t, "operation") {
	case 0:
		return tabled(a.set.And(b.set), func(i int) bool { return a.holds[i] && b.holds[i] })
	case 1:
		return tabled(a.set.Or(b.set), func(i int) bool { return a.holds[i] || b.holds[i] })
	case 2:
		return tabled(a.set.Minus(b.set), func(i int) bool { return a.holds[i] && !b.holds[i] })
	case 3:
		return tabled(a.set.Not(), func(i int) bool { return !a.holds[i] })
	case 4:
		k := rapid.IntRange(0, len(some)-1).Draw(t, "dimension")
		within := anySet(t, s, 0)
		return tabled(a.set.Every(within.set, some[k]), func(i int) bool {
			return !among(i, k, func(j int) bool { return within.holds[j] && !a.holds[j] })
		})
	}
	k := rapid.IntRange(0, len(some)-1).Draw(t, "dimension")
	return tabled(a.set.Some(some[k]), func(i int) bool { return among(i, k, func(j int) bool { return a.holds[j] }) })
}

// among tells whether f holds for a packet that differs from the one at i in the kth
// dimension at most.
func among(i, k int, f func(int) bool) bool {
	step := 1
	for range k {
		step *= values
	}
	first := i - i/step%values*step
	for v := range values {
		if f(first + v*step) {
			return true
		}
	}
	return false
}

// The algebra is what brute force over a small space says, packet for packet; and equal
// sets are equal, however they came about.
func TestSetsAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := packets.NewSpace(0)
		a, b := anySet(t, s, 3), anySet(t, s, 3)
		same := true
		for i, p := range grid {
			if a.set.Holds(p) != a.holds[i] {
				t.Fatalf("%v: the set says %t", p, a.set.Holds(p))
			}
			same = same && a.holds[i] == b.holds[i]
		}
		if (a.set == b.set) != same {
			t.Fatalf("two sets are equal: %t; their packets are the same: %t", a.set == b.set, same)
		}
		if left := a.set.And(b.set).Or(a.set.Minus(b.set)); left != a.set {
			t.Fatal("(a ∩ b) ∪ (a − b) is not a")
		}
		if a.set.Not().Not() != a.set || a.set.Or(b.set).Not() != a.set.Not().And(b.set.Not()) {
			t.Fatal("negation does not turn around")
		}
		var parts []packets.Set
		for box := range a.set.Boxes() {
			part := s.Of(box)
			if !part.In(a.set) || !part.Holds(box.First()) {
				t.Fatalf("%v is not part of its set", box)
			}
			for _, other := range parts {
				if !part.And(other).Empty() {
					t.Fatal("two boxes of a set have packets in common")
				}
			}
			parts = append(parts, part)
		}
		if s.Union(parts...) != a.set {
			t.Fatal("the boxes of a set are not the set")
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	})
}

// rule is a rule of a small packet filter; run is a filter as a kernel runs it.
type rule struct {
	match   pair
	outcome packets.Outcome
	unsure  bool // the match has a part that nobody understands
}

func run(rules []rule, packet int) packets.Outcome {
	for i, r := range rules {
		if !r.match.holds[packet] {
			continue
		}
		if r.unsure {
			return r.outcome | run(rules[i+1:], packet)
		}
		return r.outcome
	}
	return packets.Next
}

// A sequence of rules is the rules one after another, in whatever halves it is computed.
func TestDecisionsAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := packets.NewSpace(0)
		var rules []rule
		var ds []packets.Decision
		one := s.Always(packets.Next)
		for range rapid.IntRange(0, 8).Draw(t, "rules") {
			r := rule{anySet(t, s, 1), rapid.SampledFrom([]packets.Outcome{packets.Accept, packets.Drop, packets.Return}).Draw(t, "outcome"), rapid.IntRange(0, 3).Draw(t, "unsure") == 0}
			d := s.Always(r.outcome)
			if r.unsure {
				d = d.Or(s.Always(packets.Next))
			}
			rules, ds = append(rules, r), append(ds, s.Where(r.match.set, d))
			one = one.Then(ds[len(ds)-1])
		}
		d := s.Sequence(ds...)
		if d != one {
			t.Fatal("the sequence by halves is not the sequence one by one")
		}
		ended := d.Turn(packets.Next|packets.Return, packets.Drop)
		for i, p := range grid {
			want := run(rules, i)
			if got := d.Of(p); got != want {
				t.Fatalf("%v comes to %b, expected %b", p, got, want)
			}
			if got := d.May(packets.Accept).Holds(p); got != (want&packets.Accept != 0) {
				t.Fatalf("%v may be accepted: %t", p, got)
			}
			if got := d.Must(packets.Accept).Holds(p); got != (want == packets.Accept) {
				t.Fatalf("%v must be accepted: %t", p, got)
			}
			if got := ended.Of(p); got&^(packets.Accept|packets.Drop) != 0 || got&packets.Accept != want&packets.Accept {
				t.Fatalf("%v ends at %b", p, got)
			}
		}
	})
}

// Every is for all values of a dimension what Some is for one.
func TestEvery(t *testing.T) {
	s := packets.NewSpace(0)
	ports := s.Within(packets.Port, packets.Numbers(10, 20))
	a := ports.And(s.Within(packets.In, packets.Numbers(1, 3)))
	if a.Every(s.Within(packets.In, packets.Numbers(2, 3)), packets.In) != ports {
		t.Error("ports that are open on all interfaces asked for are not found")
	}
	if !a.Every(s.All(), packets.In).Empty() {
		t.Error("a port counts as open on each interface, but it is on some only")
	}
}

// Addresses keep their order and family, and a prefix holds its addresses and no others.
func TestAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
		a := netip.AddrFrom16([16]byte(b)).Unmap()
		if rapid.Bool().Draw(t, "v4") {
			a = netip.AddrFrom4([4]byte(b[:4]))
		}
		if got := packets.ToAddress(packets.Address(a)); got != a {
			t.Fatalf("%s comes back as %s", a, got)
		}
		p, _ := a.Prefix(rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
		r := packets.Prefix(p)
		if first, last := packets.ToAddress(r.First), packets.ToAddress(r.Last); !p.Contains(first) || !p.Contains(last) ||
			p.Addr() != first || p.Contains(last.Next()) && last.Next().IsValid() {
			t.Fatalf("%s is %s to %s", p, first, last)
		}
	})
}

// The families are all addresses together, and have none in common.
func TestFamilies(t *testing.T) {
	if packets.IPv4 != packets.Prefix(netip.MustParsePrefix("0.0.0.0/0")) {
		t.Errorf("IPv4 is %v", packets.IPv4)
	}
	s := packets.NewSpace(0)
	v4, v6 := s.Within(packets.Source, packets.IPv4), s.Within(packets.Source, packets.IPv6...)
	if v4.Not() != v6 {
		t.Error("an address belongs to no family, or to both")
	}
}

// Answers have the ends turned around, and answers to answers are the packets.
func TestSwap(t *testing.T) {
	s := packets.NewSpace(0)
	a := s.Within(packets.Source, packets.Prefix(netip.MustParsePrefix("10.0.0.0/8"))).
		And(s.Within(packets.Destination, packets.Prefix(netip.MustParsePrefix("192.0.2.1/32")))).
		And(s.Within(packets.Port, packets.Numbers(22, 22)))
	b := a.Swap()
	var p packets.Packet
	p[packets.Source] = packets.Address(netip.MustParseAddr("192.0.2.1"))
	p[packets.Destination] = packets.Address(netip.MustParseAddr("10.1.1.1"))
	p[packets.SourcePort] = packets.Number(22)
	if !b.Holds(p) || a.Holds(p) || b.Swap() != a {
		t.Error("the answer is not the packet turned around")
	}
}

// A pattern stands for the names that begin so, also for those with no name of their own.
func TestNames(t *testing.T) {
	s := packets.NewSpace(0)
	for _, name := range []string{"eth0", "eth1", "eth*", "lo"} {
		s.Name(name)
	}
	eth := s.Within(packets.In, s.Named("eth*")...)
	for name, want := range map[string]bool{"eth0": true, "eth1": true, "eth*": true, "lo": false} {
		var p packets.Packet
		p[packets.In] = s.Name(name)
		if eth.Holds(p) != want {
			t.Errorf("eth* holds %s: %t", name, !want)
		}
	}
	if v := s.Lookup("eth7"); v != s.Name("eth*") || s.Lookup("eth1") != s.Name("eth1") || s.Lookup("wlan0") != packets.Number(0) {
		t.Errorf("eth7 has value %v", v)
	}
	if s.NameOf(s.Name("lo")) != "lo" || eth.Holds(packets.Packet{}) {
		t.Error("names get mixed up")
	}
}

// A space that is too small says so; it neither panics nor goes on growing.
func TestLimit(t *testing.T) {
	s := packets.NewSpace(1000)
	a := s.None()
	for i := range uint64(5000) {
		a = a.Or(s.Within(packets.Source, packets.Numbers(3*i, 3*i)).And(s.Within(packets.Port, packets.Numbers(i, i))))
	}
	if !errors.Is(s.Err(), packets.ErrTooLarge) || s.Edges() > 1000 {
		t.Errorf("%d edges, %v", s.Edges(), s.Err())
	}
}

// Size counts packets, and Values are a dimension's ranges.
func TestSize(t *testing.T) {
	s := packets.NewSpace(0)
	a := s.Within(packets.Port, packets.Numbers(1, 65535)).And(s.Within(packets.Protocol, packets.Numbers(6, 6), packets.Numbers(17, 17)))
	if n := a.Size(packets.Protocol, packets.Port); n != 2*65535 {
		t.Errorf("%v packets", n)
	}
	if got := a.Values(packets.Protocol); len(got) != 2 || got[1] != packets.Numbers(17, 17) {
		t.Errorf("%v", got)
	}
}
