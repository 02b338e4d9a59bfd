// Package cloud holds the security groups of clouds as data, and turns those of one
// machine into the rules of a packet filter, with each provider's own meaning: what is
// implied, in which order rules count, who a reference to a group is.
//
// Readers of documents are packages below it. It decides nothing about what should be open
// (package audit does), asks no cloud and does no I/O.
package cloud

import (
	"cmp"
	"net/netip"
	"slices"

	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// Document is what a file says.
type Document struct {
	Groups []*Group
	// Networks are those that machines are in.
	Networks []netip.Prefix
	// Users are machines, or templates of them, with the groups that they have.
	Users []User
	Notes []filter.Note
	// LeftOut are sentences about what has nothing to do with machines' ports.
	LeftOut []string
}

// User is something that has groups.
type User struct {
	Name   string
	Groups []string // any of their names
	// Balancer is set for load balancers, which are no machines.
	Balancer bool
}

// Group is a security group, or whatever a provider calls a set of rules that machines
// have.
type Group struct {
	// Names are all by which it may be known: its id, name, address in the document.
	Names []string
	Place filter.Place
	Rules []*Rule
	// Layer is the set of rules that this group belongs to: a packet has to pass each layer
	// that there is for a machine.
	Layer string
	// Alone is set where a machine has one group of a layer at most.
	Alone bool
	// Everyone is set where all machines of the document have the group.
	Everyone bool
	// Label is set for a name by which other groups' rules tell machines apart, such as an application
	// security group of Azure: it has no rules of its own.
	Label bool
	// AllowsIn and AllowsOut are what becomes of packets that no rule has a word on.
	AllowsIn, AllowsOut bool
}

// Rule is one rule of a group.
type Rule struct {
	Place filter.Place
	Text  string
	Out   bool
	Deny  bool
	// Priority orders rules of a layer, the lowest first; denying ones come before others
	// of theirs.
	Priority int
	// Protocols and the others are nil for any.
	Protocols, SourcePorts, Ports []packets.Range
	// Families are those of the packets; 0 is both.
	Families filter.Families
	// Peers are those on the other side; nil is everybody.
	Peers []Peer
	// Targets are the names of the groups whose machines the rule is for; nil is those of
	// its own group.
	Targets []string
	// Unknown are parts that were not understood: the rule may or may not match.
	Unknown []string
	// Implied is set for the provider's own rules, which nobody can take away.
	Implied bool
}

// Peer is who is on the other side of a rule: a prefix, the machines of a group, or what
// was not understood.
type Peer struct {
	Prefix  netip.Prefix
	Group   string
	Unknown string
}

// OwnNetworks is the name of a group that holds all addresses of the document's networks.
const OwnNetworks = "*networks"

// Find is the group that has a name; nil where none has.
func (d *Document) Find(name string) *Group {
	for _, g := range d.Groups {
		if slices.Contains(g.Names, name) {
			return g
		}
	}
	return nil
}

// Binds tells whether a machine with these groups has the rules of g: by a name of it, or by a label that
// its rules are for.
func (g *Group) Binds(groups []string) bool {
	has := func(n string) bool { return slices.Contains(groups, n) }
	return slices.ContainsFunc(g.Names, has) || slices.ContainsFunc(g.Rules, func(r *Rule) bool { return slices.ContainsFunc(r.Targets, has) })
}

// Members resolves a group's name to the addresses of its machines; ok is false where
// nobody knows them.
type Members func(group string) (addresses []packets.Range, ok bool)

// Rules are the rules of a machine that has some groups, with hooks input and output.
func (d *Document) Rules(groups []string, members Members) *filter.Ruleset {
	out := &filter.Ruleset{}
	byLayer := map[string][]*Group{}
	var layers []string
	for _, g := range d.Groups {
		if g.Label || !g.Everyone && !g.Binds(groups) {
			continue
		}
		if byLayer[g.Layer] == nil {
			layers = append(layers, g.Layer)
		}
		byLayer[g.Layer] = append(byLayer[g.Layer], g)
	}
	for i, layer := range layers {
		for _, hook := range []string{"input", "output"} {
			chain := &filter.Chain{Table: "cloud " + layer, Name: hook, Families: filter.V4 | filter.V6, Hook: hook, Priority: i, Policy: filter.Drop, Place: byLayer[layer][0].Place}
			var rules []*Rule
			for _, g := range byLayer[layer] {
				if hook == "input" && g.AllowsIn || hook == "output" && g.AllowsOut {
					chain.Policy = filter.Accept
				}
				for _, r := range g.Rules {
					if r.Out == (hook == "output") && (r.Targets == nil || slices.ContainsFunc(r.Targets, func(t string) bool { return slices.Contains(groups, t) })) {
						rules = append(rules, r)
					}
				}
			}
			slices.SortStableFunc(rules, func(a, b *Rule) int {
				return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(rank(a), rank(b)))
			})
			for _, r := range rules {
				chain.Rules = append(chain.Rules, r.rule(members))
			}
			out.Chains = append(out.Chains, chain)
		}
	}
	return out
}

func rank(r *Rule) int {
	if r.Deny {
		return 0
	}
	return 1
}

// rule is the rule in a packet filter's terms.
func (r *Rule) rule(members Members) *filter.Rule {
	out := &filter.Rule{Place: r.Place, Text: r.Text, Verdict: filter.Accept, Implied: r.Implied}
	if r.Deny {
		out.Verdict = filter.Drop
	}
	add := func(d packets.Dimension, ranges []packets.Range) {
		if ranges != nil {
			out.Conditions = append(out.Conditions, filter.Is(d, ranges...))
		}
	}
	add(packets.Protocol, r.Protocols)
	add(packets.SourcePort, r.SourcePorts)
	add(packets.Port, r.Ports)
	side := packets.Source
	if r.Out {
		side = packets.Destination
	}
	switch r.Families {
	case filter.V4:
		add(side, []packets.Range{packets.IPv4})
	case filter.V6:
		add(side, packets.IPv6)
	}
	if r.Peers != nil {
		c := filter.Condition{Any: []filter.Tuple{}}
		field := filter.Field{Dimension: side}
		for _, p := range r.Peers {
			switch {
			case p.Prefix.IsValid():
				field.Ranges = append(field.Ranges, packets.Prefix(p.Prefix))
			case p.Group != "":
				addresses, ok := members(p.Group)
				if !ok {
					p.Unknown = "the machines of group " + p.Group
					break
				}
				field.Ranges = append(field.Ranges, addresses...)
			}
			if p.Unknown != "" {
				c.Perhaps, c.Unknown = []filter.Tuple{{}}, p.Unknown
			}
		}
		c.Any = append(c.Any, filter.Tuple{field})
		out.Conditions = append(out.Conditions, c)
	}
	for _, u := range r.Unknown {
		out.Conditions = append(out.Conditions, filter.Unknown(u))
	}
	return out
}
