// Package filter holds the rules of a packet filter (nftables, iptables) as data, and
// decides exactly which packets they let through: chains, jumps, policies and the order of
// hooks, over the whole space of package packets.
//
// Readers of formats are packages below it. What a reader does not understand stays in the
// rules as a part that may or may not match, and the decision then says "either": never
// that all is fine. The package compares with no plan (package verify does) and does no I/O.
package filter

import (
	"fmt"
	"slices"

	"craton.dev/craton/packets"
)

// Ruleset is what a file or a kernel has.
type Ruleset struct {
	Chains []*Chain
	// Sets are named sets of addresses.
	Sets map[string][]packets.Range
	// Notes are what a reader did not understand outside of rules.
	Notes []Note
}

// Place is where something stands: a line of a file or, where a format has no lines that
// mean anything, a name in it.
type Place struct {
	File string
	Line int
	Name string
}

func (p Place) String() string {
	switch {
	case p.Line > 0 && p.File != "":
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	case p.Name != "" && p.File != "":
		return p.File + ": " + p.Name
	case p.Name != "":
		return p.Name
	}
	return p.File
}

// Note is something that was not understood.
type Note struct {
	Place Place
	Text  string
}

// Families are those of the packets that a chain sees.
type Families uint8

// The families.
const (
	V4 Families = 1 << iota
	V6
)

// Chain is a list of rules. One with a Hook is run for each packet that comes there, the
// others by jumps.
type Chain struct {
	Table    string
	Name     string
	Families Families
	Hook     string // prerouting, input, forward, output, postrouting; "" for none
	Priority int    // of chains of one hook, the lowest runs first
	Policy   Verdict
	Rules    []*Rule
	Place    Place
}

// Verdict is what a rule does with a packet that it matches.
type Verdict uint8

// The verdicts. GoOn is a rule that only counts, logs or marks.
const (
	GoOn Verdict = iota
	Accept
	Drop
	Return
	Jump
	Goto
	// Unsure is a verdict whose end depends on what nobody can see here: a program that
	// packets are queued to, an address that is translated before further rules.
	Unsure
)

// Rule is one rule.
type Rule struct {
	Place Place
	Text  string // as it was written or, from JSON, much like it
	// Conditions must all hold.
	Conditions []Condition
	Verdict    Verdict
	Target     string // the chain of Jump and Goto
	// Cases are the verdicts of a map, by what it looks up; Verdict is then GoOn.
	Cases []Case
	// Names are those of counters and comments, by which people know a rule.
	Names []string
	// Implied is set for a provider's own rules, which nobody wrote and nobody can take away.
	Implied bool
}

// Case is one element of a verdict map.
type Case struct {
	Conditions []Condition
	Verdict    Verdict
	Target     string
}

// Condition holds for packets of any of some boxes, or of none of them where Not is set.
type Condition struct {
	Any []Tuple
	Not bool
	// Perhaps, where it is not nil, holds more boxes than Any: packets in these alone may or
	// may not fulfil the condition.
	Perhaps []Tuple
	// Unknown says what was not understood, where Perhaps is set.
	Unknown string
	// Hangs is what somebody may know on whom the condition hangs; who does asks Ruleset.For.
	Hangs Hangs
	// Placeholder is the name of a set without elements that Any comes from: such a rule
	// matches nothing now, but somebody may fill the set.
	Placeholder string
}

// Hangs is what an unknown condition hangs on.
type Hangs uint8

// What conditions hang on: whether a packet goes to the machine itself, to all of its network, or has had another
// destination before its address was translated.
const (
	OnNothing Hangs = iota
	OnLocal
	OnBroadcast
	OnTranslated
)

// For are the rules as packets meet them that come to the machine whose own rules they are (local), or leave it for
// others. Whose destination is translated stays unknown where rules may do so.
func (r *Ruleset) For(local bool) *Ruleset {
	translates := slices.ContainsFunc(r.Chains, func(c *Chain) bool {
		return slices.ContainsFunc(c.Rules, func(r *Rule) bool { return r.Verdict == Unsure })
	})
	out := &Ruleset{Sets: r.Sets, Notes: r.Notes}
	for _, c := range r.Chains {
		own := *c
		own.Rules = make([]*Rule, len(c.Rules))
		for i, rule := range c.Rules {
			own.Rules[i] = rule
			if !slices.ContainsFunc(rule.Conditions, func(c Condition) bool { return c.Hangs != OnNothing }) {
				continue
			}
			known := *rule
			known.Conditions = slices.Clone(rule.Conditions)
			for j, cond := range known.Conditions {
				holds := cond.Hangs == OnLocal && local
				if cond.Hangs == OnNothing || cond.Hangs == OnTranslated && translates {
					continue
				}
				known.Conditions[j] = Condition{Any: []Tuple{}, Not: holds != cond.Not} // no packet, or every one
			}
			own.Rules[i] = &known
		}
		out.Chains = append(out.Chains, &own)
	}
	return out
}

// Tuple is a box: fields that must all hold. An empty one holds every packet.
type Tuple []Field

// Field is some values of one dimension: Ranges or, for interfaces, Names.
type Field struct {
	Dimension packets.Dimension
	Ranges    []packets.Range
	Names     []string
}

// Is is a condition on one dimension.
func Is(d packets.Dimension, ranges ...packets.Range) Condition {
	return Condition{Any: []Tuple{{{Dimension: d, Ranges: ranges}}}}
}

// Interface is a condition on an interface's name; one that ends in * is a prefix.
func Interface(d packets.Dimension, names ...string) Condition {
	return Condition{Any: []Tuple{{{Dimension: d, Names: names}}}}
}

// Unknown is a condition that nobody understands: it may or may not hold.
func Unknown(text string) Condition {
	return Condition{Perhaps: []Tuple{{}}, Unknown: text}
}

// FirstPacket is a condition on what only a connection's packets after the first can
// vary, such as the flags of tcp: holds says whether the first one fulfils it.
func FirstPacket(holds bool, text string) Condition {
	isNew := Field{Dimension: packets.State, Ranges: []packets.Range{packets.Numbers(packets.New, packets.New)}}
	later := Field{Dimension: packets.State, Ranges: []packets.Range{packets.Numbers(packets.New+1, packets.Untracked)}}
	if holds {
		return Condition{Any: []Tuple{{isNew}}, Perhaps: []Tuple{{}}, Unknown: text}
	}
	return Condition{Perhaps: []Tuple{{later}}, Unknown: text}
}
