package plan

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCover holds cover and without to membership, address by address: a prefix too wide
// would open the way to somebody else's machine.
func TestCover(t *testing.T) {
	base := netip.MustParsePrefix("10.32.0.0/24")
	some := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
		return netip.PrefixFrom(fromNumber(number(base.Addr())+uint32(rapid.IntRange(0, 255).Draw(t, "address"))), rapid.IntRange(26, 32).Draw(t, "bits"))
	}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		in, others := some.Draw(t, "in"), some.Draw(t, "others")
		covered, rest := cover(in), without(in, others)
		for a := base.Addr(); base.Contains(a); a = a.Next() {
			isIn := slices.ContainsFunc(in, func(p netip.Prefix) bool { return p.Masked().Contains(a) })
			isOther := slices.ContainsFunc(others, func(p netip.Prefix) bool { return p.Masked().Contains(a) })
			if holds(covered, a) != isIn {
				t.Fatalf("%s: cover(%v) is %v", a, in, covered)
			}
			if holds(rest, a) != (isIn && !isOther) {
				t.Fatalf("%s: without(%v, %v) is %v", a, in, others, rest)
			}
		}
		for i, p := range covered {
			if p != p.Masked() || i > 0 && covered[i-1].Overlaps(p) {
				t.Fatalf("cover(%v) is %v", in, covered)
			}
		}
	})
	for _, test := range []struct{ in, want string }{
		{"0.0.0.0/0", "0.0.0.0/0"}, {"255.255.255.255/32", "255.255.255.255/32"}, {"0.0.0.0/32", "0.0.0.0/32"},
		{"128.0.0.0/1", "128.0.0.0/1"},
	} {
		if got := cover([]netip.Prefix{netip.MustParsePrefix(test.in)}); len(got) != 1 || got[0].String() != test.want {
			t.Errorf("cover(%s) is %v", test.in, got)
		}
	}
}

// TestAt: neither the network's own address nor its broadcast is anybody's.
func TestAt(t *testing.T) {
	network := netip.MustParsePrefix("10.32.0.0/28")
	for n, want := range map[int]string{-1: "", 0: "", 1: "10.32.0.1", 14: "10.32.0.14", 15: "", 16: ""} {
		got, ok := at(network, n)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("at(%s, %d) is %v, %v; want %q", network, n, got, ok, want)
		}
	}
}
