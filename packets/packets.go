// Package packets is an exact algebra of sets of packets: union, intersection, difference,
// equality and projection over whole dimensions (interfaces, addresses, protocol, ports,
// the state of a connection), never by sampling.
//
// A set is a decision diagram over intervals: each node splits one dimension into ranges
// of values, each of which leads to the node of a later dimension. Equal sets are the same
// node, so that equality costs nothing, and what differs is found rather than searched for.
//
// It knows nothing of firewalls, formats and plans (packages filter and verify do), does no
// I/O and imports nothing of this module.
package packets

import (
	"fmt"
	"net/netip"
)

// Dimension is one property of a packet.
type Dimension uint8

// The dimensions, in the order in which diagrams ask for them.
const (
	// State is what connection tracking says of the packet: New and the others.
	State Dimension = iota
	// Back is 1 where the route back to the packet's source leads to the interface that
	// it came in by, and 0 elsewhere.
	Back
	// Out and In are the interfaces that a packet leaves and enters by: values of
	// Space.Name.
	Out
	In
	// Source and Destination are addresses: see Address.
	Source
	Destination
	// Protocol is the IP protocol's number.
	Protocol
	SourcePort
	// Port is the destination port; of ICMP and ICMPv6 it is type·256 + code.
	Port

	dimensions
)

func (d Dimension) String() string {
	return [...]string{"state", "reverse path", "output interface", "input interface", "source", "destination", "protocol", "source port", "port"}[d]
}

// The states of connection tracking.
const (
	New = iota
	Established
	Related
	Invalid
	Untracked
)

// The numbers of protocols that have a place of their own in rules.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
)

// Value is a place in a dimension. Numbers have Hi 0.
type Value struct{ Hi, Lo uint64 }

// Number is the value of a number: a port, a protocol, a state.
func Number(n uint64) Value { return Value{Lo: n} }

// Compare orders values.
func (v Value) Compare(w Value) int {
	switch {
	case v == w:
		return 0
	case v.Hi < w.Hi || v.Hi == w.Hi && v.Lo < w.Lo:
		return -1
	}
	return 1
}

func (v Value) next() Value {
	v.Lo++
	if v.Lo == 0 {
		v.Hi++
	}
	return v
}

func (v Value) previous() Value {
	if v.Lo == 0 {
		v.Hi--
	}
	v.Lo--
	return v
}

// Range is an inclusive range of values.
type Range struct{ First, Last Value }

// Multicast are the addresses of groups.
var Multicast = []Range{Prefix(netip.MustParsePrefix("224.0.0.0/4")), Prefix(netip.MustParsePrefix("ff00::/8"))}

// Numbers is the range of numbers from first to last.
func Numbers(first, last uint64) Range { return Range{Number(first), Number(last)} }

// One is the range that holds one value.
func One(v Value) Range { return Range{v, v} }

var limits = [dimensions]Value{
	State: Number(Untracked), Back: Number(1),
	Out: Number(1<<32 - 1), In: Number(1<<32 - 1),
	Source: {^uint64(0), ^uint64(0)}, Destination: {^uint64(0), ^uint64(0)},
	Protocol: Number(255), SourcePort: Number(65535), Port: Number(65535),
}

// Max is a dimension's last value.
func (d Dimension) Max() Value { return limits[d] }

// Packet is one packet: a value in each dimension.
type Packet [dimensions]Value

func (p Packet) String() string {
	return fmt.Sprintf("%s → %s, protocol %d, port %d → %d",
		ToAddress(p[Source]), ToAddress(p[Destination]), p[Protocol].Lo, p[SourcePort].Lo, p[Port].Lo)
}

// v4 is where the addresses of IPv4 begin, as IPv6 maps them.
const v4 = 0xffff << 32

// Address is the value of an address. Those of IPv4 have the place that IPv6 maps them to.
func Address(a netip.Addr) Value {
	b := a.As16()
	var v Value
	for i := range 8 {
		v.Hi = v.Hi<<8 | uint64(b[i])
		v.Lo = v.Lo<<8 | uint64(b[8+i])
	}
	return v
}

// ToAddress is the address of a value.
func ToAddress(v Value) netip.Addr {
	var b [16]byte
	for i := range 8 {
		b[i] = byte(v.Hi >> (56 - 8*i))
		b[8+i] = byte(v.Lo >> (56 - 8*i))
	}
	return netip.AddrFrom16(b).Unmap()
}

// Prefix is the range of a prefix's addresses.
func Prefix(p netip.Prefix) Range {
	first := Address(p.Masked().Addr())
	host := p.Addr().BitLen() - p.Bits()
	last := first
	switch {
	case host >= 128:
		last = Value{^uint64(0), ^uint64(0)}
	case host >= 64:
		last.Lo = ^uint64(0)
		last.Hi |= 1<<(host-64) - 1
	default:
		last.Lo |= 1<<host - 1
	}
	return Range{first, last}
}

// Prefixes is the shortest list of prefixes that holds exactly the addresses of a range.
func Prefixes(r Range) []netip.Prefix {
	var out []netip.Prefix
	for r.First.Compare(r.Last) <= 0 {
		a := ToAddress(r.First)
		bits := a.BitLen()
		for bits > 0 {
			wider := Prefix(netip.PrefixFrom(a, bits-1))
			if wider.First != r.First || wider.Last.Compare(r.Last) > 0 {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(a, bits)
		out = append(out, p)
		last := Prefix(p).Last
		if last.Compare(r.Last) >= 0 || last == (Value{^uint64(0), ^uint64(0)}) {
			break
		}
		r.First = last.next()
	}
	return out
}

// IPv4 is the range of all addresses of IPv4.
var IPv4 = Range{Value{Lo: v4}, Value{Lo: v4 + 1<<32 - 1}}

// IPv6 are all other addresses.
var IPv6 = []Range{{Value{}, Value{Lo: v4 - 1}}, {Value{Lo: v4 + 1<<32}, Value{^uint64(0), ^uint64(0)}}}
