package verify

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// other is what checks call all protocols but tcp and udp.
const other contract.Protocol = "other"

// cell compares all packets from one place to another: a check for each protocol and range
// of ports that the plan opens by the same clauses, or not at all.
func (c *comparison) cell(way side, d difference, src, dst place) {
	between := c.space.Within(packets.Source, src.ranges...).And(c.space.Within(packets.Destination, dst.ranges...))
	missing, surplus, unsure := d.missing.And(between), d.surplus.And(between), d.unsure.And(between)
	for _, protocol := range []contract.Protocol{contract.TCP, contract.UDP, other} {
		only := c.only(protocol)
		for _, seg := range c.segments(way, src, dst, protocol) {
			ports := c.space.Within(packets.Port, packets.Numbers(seg.first, seg.last))
			check := Check{
				Clause: strings.Join(seg.clauses, ","), Source: src.name, Destination: dst.name, Protocol: protocol, Expected: seg.expected,
			}
			check.Machine, check.Peer = dst.name, src.name
			if dst.role == "" {
				check.Machine, check.Peer = src.name, dst.name
			}
			wrong, now := missing, Closed
			if seg.expected == Closed {
				wrong, now = surplus, Open
			}
			here := only.And(ports)
			bad, dark := wrong.And(here), unsure.And(here)
			for _, r := range pieces(seg, bad, dark) {
				one := check
				one.Ports = contract.PortRange{First: uint16(max(r.first, 1)), Last: uint16(r.last)}
				one.ID = fmt.Sprintf("%s>%s/%s/%s", src.name, dst.name, protocol, one.Ports)
				at := c.space.Within(packets.Port, packets.Numbers(r.first, r.last))
				switch {
				case r.bad:
					one.Observed, one.Evidence = now, c.example(bad.And(at), way.hooks)
				case r.dark:
					one.Observed, one.Evidence = Unknown, c.example(dark.And(at), way.hooks)
				default:
					one.Observed, one.Evidence = seg.expected, "decided for every packet"
				}
				c.add(one)
			}
		}
	}
}

// only are the packets of a protocol, as checks name them.
func (c *comparison) only(protocol contract.Protocol) packets.Set {
	if protocol == other {
		return c.protocol(contract.Any).Not()
	}
	return c.protocol(protocol)
}

// segment is a range of ports that a plan treats alike.
type segment struct {
	first, last uint64
	expected    State
	clauses     []string
}

// segments cuts the ports where the plan's rules do.
func (c *comparison) segments(way side, src, dst place, protocol contract.Protocol) []segment {
	from, to, _ := two(src, dst)
	starts := []uint64{0}
	if protocol != other {
		starts[0] = 1 // port 0 has a check of its own
		for _, r := range c.plan.Rules {
			if r.Role != src.role && r.Role != dst.role {
				continue
			}
			for _, x := range r.Ports {
				starts = append(starts, uint64(x.First), uint64(x.Last)+1)
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var out []segment
	for i, first := range starts {
		if first > 65535 {
			break
		}
		s := segment{first: first, last: 65535, expected: Closed}
		if i+1 < len(starts) {
			s.last = starts[i+1] - 1
		}
		var p packets.Packet
		p[packets.Source], p[packets.Destination] = packets.Address(from), packets.Address(to)
		p[packets.Protocol] = packets.Number(map[contract.Protocol]uint64{contract.TCP: packets.TCP, contract.UDP: packets.UDP, other: packets.ICMP}[protocol])
		p[packets.Port] = packets.Number(first)
		if way.open.Holds(p) {
			s.expected = Open
			if _, ids := c.plan.Allows(from, to, protocol, uint16(first)); way.machine == "" {
				s.clauses = ids
			} else {
				s.clauses = slices.DeleteFunc(ids, func(id string) bool {
					clause, _ := contract.ByID(id)
					return clause.Kind == contract.Ingress && dst.role == "" || clause.Kind == contract.Egress && src.role == ""
				})
			}
		}
		if n := len(out); n > 0 && out[n-1].expected == s.expected && slices.Equal(out[n-1].clauses, s.clauses) {
			out[n-1].last = s.last
			continue
		}
		out = append(out, s)
	}
	return out
}

// piece is a part of a segment that was found alike.
type piece struct {
	first, last uint64
	bad, dark   bool
}

// pieces cuts a segment where what was found changes.
func pieces(seg segment, bad, dark packets.Set) []piece {
	if bad.Empty() && dark.Empty() {
		return []piece{{first: seg.first, last: seg.last}}
	}
	within := func(ranges []packets.Range, port uint64) bool {
		return slices.ContainsFunc(ranges, func(r packets.Range) bool { return r.First.Lo <= port && port <= r.Last.Lo })
	}
	badPorts, darkPorts := bad.Values(packets.Port), dark.Values(packets.Port)
	starts := []uint64{seg.first}
	for _, r := range slices.Concat(badPorts, darkPorts) {
		starts = append(starts, max(r.First.Lo, seg.first), r.Last.Lo+1)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var out []piece
	for i, first := range starts {
		if first > seg.last {
			break
		}
		p := piece{first: first, last: seg.last, bad: within(badPorts, first), dark: within(darkPorts, first)}
		if i+1 < len(starts) {
			p.last = min(p.last, starts[i+1]-1)
		}
		out = append(out, p)
	}
	return out
}

// example describes one packet of a set, and which rule decides about it.
func (c *comparison) example(set packets.Set, hooks []string) string {
	// A source port as clients have them, where the rules leave it open.
	if usual := set.And(c.space.Within(packets.SourcePort, packets.Numbers(40000, 40000))); !usual.Empty() {
		set = usual
	}
	p := set.First()
	// Two different machines, where there are two.
	if p[packets.Source] == p[packets.Destination] {
		if others := set.Minus(c.space.Within(packets.Destination, packets.One(p[packets.Source]))); !others.Empty() {
			p = others.First()
		}
	}
	what := fmt.Sprintf("protocol %d", p[packets.Protocol].Lo)
	switch p[packets.Protocol].Lo {
	case packets.TCP:
		what = fmt.Sprintf("tcp %d", p[packets.Port].Lo)
	case packets.UDP:
		what = fmt.Sprintf("udp %d", p[packets.Port].Lo)
	}
	s := fmt.Sprintf("for instance %s → %s %s", c.who(p[packets.Source]), c.who(p[packets.Destination]), what)
	if in := c.space.NameOf(p[packets.In]); p[packets.In].Lo != 0 {
		s += " by " + in
	}
	if state := p[packets.State].Lo; state != packets.New {
		s += " (" + [...]string{"new", "established", "related", "invalid", "untracked"}[state] + ")"
	}
	steps := c.filter.Trace(p, hooks...)
	if len(steps) == 0 {
		return s + ": there are no rules that it meets"
	}
	last := steps[len(steps)-1]
	// Of several chains that let it pass, the one whose rule did says more than a policy.
	for i := len(steps) - 1; last.Verdict == filter.Accept && last.Rule == nil && i >= 0; i-- {
		if steps[i].Rule != nil {
			last = steps[i]
		}
	}
	return s + ": " + last.String()
}

// who is an address, with the name of the machine that has it.
func (c *comparison) who(v packets.Value) string {
	a := packets.ToAddress(v)
	for _, m := range c.plan.Machines {
		if m.Address == a {
			return fmt.Sprintf("%s (%s)", m.Name, a)
		}
	}
	return a.String()
}
