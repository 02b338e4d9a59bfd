package plan

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// at is the nth address of an IPv4 prefix, and whether it lies inside it and is neither
// the network's own nor its broadcast address.
func at(network netip.Prefix, n int) (netip.Addr, bool) {
	size := uint64(1) << (32 - network.Bits())
	if n < 1 || uint64(n) >= size-1 {
		return netip.Addr{}, false
	}
	return fromNumber(number(network.Masked().Addr()) + uint32(n)), true
}

func number(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return binary.BigEndian.Uint32(b[:])
}

func fromNumber(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// span is a range of addresses as numbers. They are 64 bits wide so that the one after
// the last address is a number too.
type span struct{ first, last uint64 }

// spans are the addresses of prefixes as ranges that neither touch nor overlap, sorted.
func spans(in []netip.Prefix) []span {
	all := make([]span, 0, len(in))
	for _, p := range in {
		first := uint64(number(p.Masked().Addr()))
		all = append(all, span{first, first + 1<<(32-p.Bits()) - 1})
	}
	slices.SortFunc(all, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last))
	})
	joined := all[:0]
	for _, s := range all {
		if n := len(joined); n > 0 && s.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, s.last)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// prefixes are the shortest list of prefixes that holds exactly the addresses of sorted
// ranges.
func prefixes(in []span) []netip.Prefix {
	out := []netip.Prefix{}
	for _, s := range in {
		for s.first <= s.last {
			// The largest block that starts here and does not reach past the end.
			host := 32
			if s.first != 0 {
				host = min(host, bits.TrailingZeros64(s.first))
			}
			host = min(host, bits.Len64(s.last-s.first+1)-1)
			out = append(out, netip.PrefixFrom(fromNumber(uint32(s.first)), 32-host))
			s.first += 1 << host
		}
	}
	return out
}

// cover is the shortest list of prefixes that holds exactly the addresses of the given
// ones, sorted. Five thousand workers in a row become a dozen prefixes, which keeps
// rule sets, sheets and look-ups small, and it never covers an address too many.
func cover(in []netip.Prefix) []netip.Prefix { return prefixes(spans(in)) }

// without are the addresses of some prefixes that are not those of others.
func without(in, others []netip.Prefix) []netip.Prefix {
	var left []span
	cut := spans(others)
	for _, s := range spans(in) {
		for _, c := range cut {
			if c.last < s.first || s.last < c.first {
				continue
			}
			if s.first < c.first {
				left = append(left, span{s.first, c.first - 1})
			}
			s.first = c.last + 1
		}
		if s.first <= s.last {
			left = append(left, s)
		}
	}
	return prefixes(left)
}
