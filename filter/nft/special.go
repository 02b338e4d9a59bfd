package nft

import (
	"encoding/json"

	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// stateNumbers are the states by nft's names, and by its numbers: so they are listed by `nft -n`, as
// text and in JSON.
var stateNumbers = map[string]uint64{
	"new": packets.New, "established": packets.Established, "related": packets.Related,
	"invalid": packets.Invalid, "untracked": packets.Untracked,
	"0x1": packets.Invalid, "0x2": packets.Established, "0x4": packets.Related, "0x8": packets.New, "0x40": packets.Untracked,
	"1": packets.Invalid, "2": packets.Established, "4": packets.Related, "8": packets.New, "64": packets.Untracked,
}

// states is "ct state": its values are a mask, of which a packet has one.
func states(op string, values []any, unknown []filter.Condition) []filter.Condition {
	f := filter.Field{Dimension: packets.State}
	var add func(v any) bool
	add = func(v any) bool {
		v = bare(v)
		if inner := list(v); len(inner) > 1 {
			for _, one := range inner {
				if !add(one) {
					return false
				}
			}
			return true
		}
		if o, ok := v.(map[string]any); ok {
			if parts, ok := o["|"]; ok {
				return add(parts)
			}
			return false
		}
		n, ok := stateNumbers[text(v)]
		f.Ranges = append(f.Ranges, packets.Numbers(n, n))
		return ok
	}
	for _, v := range values {
		if !add(v) {
			return unknown
		}
	}
	if op != "==" && op != "in" && op != "!=" {
		return unknown
	}
	return []filter.Condition{{Any: []filter.Tuple{{f}}, Not: op == "!="}}
}

// direction is "ct direction": a connection's first packet goes in the original one.
func direction(op string, values []any, unknown []filter.Condition) []filter.Condition {
	if len(values) != 1 || op != "==" && op != "!=" {
		return unknown
	}
	original := text(values[0]) == "original" || text(values[0]) == "0"
	return []filter.Condition{filter.FirstPacket(original == (op == "=="), unknown[0].Unknown)}
}

// status is "ct status": of dnat alone it is known on what it hangs.
func status(op string, values []any, unknown []filter.Condition) []filter.Condition {
	if len(values) == 1 && text(values[0]) == "dnat" && (op == "==" || op == "in" || op == "&") {
		unknown[0].Hangs = filter.OnTranslated
	}
	return unknown
}

// destination is "fib daddr type": what kind of address a packet goes to.
func destination(op string, values []any, unknown []filter.Condition) []filter.Condition {
	if len(values) != 1 || op != "==" && op != "!=" && op != "in" {
		return unknown
	}
	unknown[0].Not = op == "!="
	switch text(values[0]) {
	case "local":
		unknown[0].Hangs = filter.OnLocal
	case "broadcast":
		unknown[0].Hangs = filter.OnBroadcast
	case "multicast":
		c := filter.Is(packets.Destination, packets.Multicast...)
		c.Not = op == "!="
		return []filter.Condition{c}
	}
	return unknown
}

// reversePath is "fib saddr . iif oif": the interface that leads back to the source, where
// that is the one that the packet came by, and otherwise none.
func reversePath(op string, values []any, unknown []filter.Condition) []filter.Condition {
	if len(values) != 1 || op != "==" && op != "!=" {
		return unknown
	}
	exists := op == "!="
	switch v := values[0].(type) {
	case bool: // "exists" and "missing"
		exists = v == (op == "==")
	case string:
		if v != "0" && v != "" {
			return unknown
		}
	case json.Number:
		if v.String() != "0" {
			return unknown
		}
	default:
		return unknown
	}
	back := uint64(0)
	if exists {
		back = 1
	}
	return []filter.Condition{filter.Is(packets.Back, packets.Numbers(back, back))}
}

var flagBits = map[string]uint8{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}

// flags are the bits of flags' names; ok is false where one is not known.
func flags(v any) (bits uint8, ok bool) {
	v = bare(v)
	if o, is := v.(map[string]any); is {
		parts, is := o["|"]
		if !is {
			return 0, false
		}
		v = parts
	}
	if inner, is := v.([]any); is {
		for _, one := range inner {
			b, ok := flags(one)
			if !ok {
				return 0, false
			}
			bits |= b
		}
		return bits, true
	}
	if n, is := number(v); is {
		return uint8(n), n >= 0 && n < 256
	}
	bits, ok = flagBits[text(v)]
	return bits, ok
}

// tcpFlags is a comparison of tcp's flags. Those of a connection's first packet are known:
// syn alone.
func tcpFlags(mask any, op string, values []any, unknown []filter.Condition) []filter.Condition {
	const first = 2
	m := uint8(63) // of the congestion flags, a first packet may have any
	if mask != nil {
		var ok bool
		if m, ok = flags(mask); !ok {
			return unknown
		}
	}
	holds := false
	switch op {
	case "==", "!=", "in":
		for _, v := range values {
			b, ok := flags(v)
			if !ok {
				return unknown
			}
			if mask == nil && op == "in" {
				holds = holds || first&b != 0
			} else {
				holds = holds || first&m == b
			}
		}
		holds = holds == (op != "!=")
	default:
		return unknown
	}
	return []filter.Condition{{Any: protocol(packets.TCP)}, filter.FirstPacket(holds, unknown[0].Unknown)}
}

// masked is a comparison of what is left under a mask.
func masked(parts []any, op string, values []any, unknown []filter.Condition) []filter.Condition {
	if len(parts) != 2 {
		return unknown
	}
	o, _ := parts[0].(map[string]any)
	fields, _ := o["payload"].(map[string]any)
	if text(fields["protocol"]) == "tcp" && text(fields["field"]) == "flags" {
		return tcpFlags(parts[1], op, values, unknown)
	}
	s, ok := one(parts[0])
	if !ok || s.special != nil || (s.dimension != packets.Source && s.dimension != packets.Destination) || op != "==" && op != "!=" {
		return unknown
	}
	f := filter.Field{Dimension: s.dimension}
	for _, v := range values {
		r, ok := maskedAddress(text(bare(v)), text(parts[1]))
		if !ok {
			return unknown
		}
		f.Ranges = append(f.Ranges, r)
	}
	return []filter.Condition{{Any: s.implies}, {Any: []filter.Tuple{{f}}, Not: op == "!="}}
}
