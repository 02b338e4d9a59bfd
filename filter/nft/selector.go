package nft

import (
	"slices"

	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// selector is what a match looks at.
type selector struct {
	dimension packets.Dimension
	read      reader
	implies   []filter.Tuple
	// special takes the place of all else where values mean more than values.
	special func(op string, values []any, unknown []filter.Condition) []filter.Condition
	names   bool // values are names of interfaces
	// guess is set where protocols without ports have something else in their place.
	guess bool
}

// reader reads one value of a selector's kind.
type reader func(v any) (packets.Range, bool)

func protocol(numbers ...uint64) []filter.Tuple {
	f := filter.Field{Dimension: packets.Protocol}
	for _, n := range numbers {
		f.Ranges = append(f.Ranges, packets.Numbers(n, n))
	}
	return []filter.Tuple{{f}}
}

func family(ranges ...packets.Range) []filter.Tuple {
	return []filter.Tuple{{{Dimension: packets.Source, Ranges: ranges}, {Dimension: packets.Destination, Ranges: ranges}}}
}

var (
	v4Only = family(packets.IPv4)
	v6Only = family(packets.IPv6...)
)

// ported are the protocols that have ports where tcp has them.
var ported = map[string]uint64{"tcp": packets.TCP, "udp": packets.UDP, "sctp": 132, "dccp": 33, "udplite": 136}

// havePorts are the packets of protocols with ports, haveNone all others.
var (
	havePorts = filter.Field{Dimension: packets.Protocol, Ranges: protocol(packets.TCP, packets.UDP, 33, 132, 136)[0][0].Ranges}
	haveNone  = filter.Field{Dimension: packets.Protocol, Ranges: others(havePorts.Ranges)}
)

// selectors are the parts of a left side: one, or those of a concatenation.
func selectors(left any) ([]selector, bool) {
	o, ok := left.(map[string]any)
	if !ok || len(o) != 1 {
		return nil, false
	}
	if parts, is := o["concat"]; is {
		var all []selector
		for _, p := range list(parts) {
			s, ok := one(p)
			if !ok {
				return nil, false
			}
			all = append(all, s)
		}
		return all, len(all) > 0
	}
	s, ok := one(left)
	return []selector{s}, ok
}

func one(left any) (selector, bool) {
	o, ok := left.(map[string]any)
	if !ok || len(o) != 1 {
		return selector{}, false
	}
	for kind, value := range o {
		fields, _ := value.(map[string]any)
		switch kind {
		case "payload":
			return payload(text(fields["protocol"]), text(fields["field"]))
		case "meta":
			return meta(text(fields["key"]))
		case "ct":
			if text(fields["key"]) == "state" && fields["dir"] == nil {
				return selector{special: states}, true
			}
			if text(fields["key"]) == "status" && fields["dir"] == nil {
				return selector{special: status}, true
			}
			if text(fields["key"]) == "direction" {
				return selector{special: direction}, true
			}
		case "fib":
			flags := list(fields["flags"])
			if len(flags) == 1 && text(flags[0]) == "daddr" && text(fields["result"]) == "type" {
				return selector{special: destination}, true
			}
			if slices.Contains(flags, any("saddr")) && slices.Contains(flags, any("iif")) && len(flags) == 2 &&
				(text(fields["result"]) == "oif" || text(fields["result"]) == "oifname") {
				return selector{special: reversePath}, true
			}
		}
	}
	return selector{}, false
}

func payload(proto, field string) (selector, bool) {
	switch proto + " " + field {
	case "ip saddr":
		return selector{dimension: packets.Source, read: address, implies: v4Only}, true
	case "ip daddr":
		return selector{dimension: packets.Destination, read: address, implies: v4Only}, true
	case "ip6 saddr":
		return selector{dimension: packets.Source, read: address, implies: v6Only}, true
	case "ip6 daddr":
		return selector{dimension: packets.Destination, read: address, implies: v6Only}, true
	case "ip protocol":
		return selector{dimension: packets.Protocol, read: protocolNumber, implies: v4Only}, true
	case "ip6 nexthdr":
		return selector{dimension: packets.Protocol, read: protocolNumber, implies: v6Only}, true
	case "icmp type":
		return selector{dimension: packets.Port, read: icmpType(icmpTypes), implies: protocol(packets.ICMP)}, true
	case "icmpv6 type":
		return selector{dimension: packets.Port, read: icmpType(icmpv6Types), implies: protocol(packets.ICMPv6)}, true
	case "th dport", "th sport":
		d := packets.Port
		if field == "sport" {
			d = packets.SourcePort
		}
		return selector{dimension: d, read: port, guess: true}, true
	case "tcp flags":
		return selector{special: func(op string, values []any, unknown []filter.Condition) []filter.Condition {
			return tcpFlags(nil, op, values, unknown)
		}}, true
	}
	if number, ok := ported[proto]; ok && (field == "dport" || field == "sport") {
		d := packets.Port
		if field == "sport" {
			d = packets.SourcePort
		}
		return selector{dimension: d, read: port, implies: protocol(number)}, true
	}
	return selector{}, false
}

// others are the numbers outside of sorted ranges, up to 65535.
func others(in []packets.Range) []packets.Range {
	sorted := slices.Clone(in)
	slices.SortFunc(sorted, func(a, b packets.Range) int { return a.First.Compare(b.First) })
	out, next := []packets.Range{}, uint64(0)
	for _, r := range sorted {
		if r.First.Lo > next {
			out = append(out, packets.Numbers(next, r.First.Lo-1))
		}
		next = max(next, r.Last.Lo+1)
	}
	if next <= 65535 {
		out = append(out, packets.Numbers(next, 65535))
	}
	return out
}

func meta(key string) (selector, bool) {
	switch key {
	case "iif", "iifname":
		return selector{dimension: packets.In, names: true}, true
	case "oif", "oifname":
		return selector{dimension: packets.Out, names: true}, true
	case "l4proto":
		return selector{dimension: packets.Protocol, read: protocolNumber}, true
	case "nfproto", "protocol":
		return selector{special: func(op string, values []any, unknown []filter.Condition) []filter.Condition {
			c := filter.Condition{Any: []filter.Tuple{}, Not: op == "!="}
			for _, v := range values {
				switch text(v) {
				case "ipv4", "ip", "2":
					c.Any = append(c.Any, v4Only...)
				case "ipv6", "ip6", "10":
					c.Any = append(c.Any, v6Only...)
				case "arp", "vlan":
				default:
					return unknown
				}
			}
			return []filter.Condition{c}
		}}, true
	}
	return selector{}, false
}

// field is a selector's dimension with the values that fulfil a comparison; of != it is the
// values themselves.
func (s selector) field(op string, values []any) (filter.Field, bool) {
	f := filter.Field{Dimension: s.dimension}
	for _, v := range values {
		v = bare(v)
		if s.names {
			name := text(v)
			if name == "" || op != "==" && op != "!=" && op != "in" {
				return f, false
			}
			f.Names = append(f.Names, name)
			continue
		}
		if set, ok := v.(map[string]any); ok && set["set"] != nil {
			inner, ok := s.field(op, list(set["set"]))
			if !ok {
				return f, false
			}
			f.Ranges = append(f.Ranges, inner.Ranges...)
			continue
		}
		r, ok := s.read(v)
		if !ok {
			return f, false
		}
		switch op {
		case "==", "!=", "in":
		case "<", "<=", ">", ">=":
			if r.First.Hi != 0 || s.dimension == packets.Source || s.dimension == packets.Destination {
				return f, false
			}
			switch op {
			case "<":
				if r.First.Lo == 0 {
					continue
				}
				r = packets.Numbers(0, r.First.Lo-1)
			case "<=":
				r = packets.Numbers(0, r.Last.Lo)
			case ">":
				r = packets.Numbers(r.Last.Lo+1, 1<<32)
			case ">=":
				r = packets.Numbers(r.First.Lo, 1<<32)
			}
		default:
			return f, false
		}
		f.Ranges = append(f.Ranges, r)
	}
	return f, true
}
