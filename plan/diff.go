package plan

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// Changes is what differs between two plans.
type Changes struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Rules      RuleChanges `json:"rules"`
	// Peers are the addresses that move into or out of the peers of rules: they open and
	// close as much as a rule does.
	Peers      []PeerChange  `json:"peers"`
	Machines   Set[Machine]  `json:"machines"`
	Names      Set[Name]     `json:"names"`
	Identities Set[Identity] `json:"identities"`
	// Settings are the cluster-wide values that differ: profile, networks, components.
	Settings []Setting `json:"settings"`
}

// RuleChanges are the rules that open, that close, and that still serve one of the same
// clauses with other ports, peers, clauses or level.
type RuleChanges struct {
	Opened  []Rule         `json:"opened"`
	Closed  []Rule         `json:"closed"`
	Changed []Change[Rule] `json:"changed"`
}

// PeerChange is the addresses that join and leave a peer.
type PeerChange struct {
	Peer    contract.Peer  `json:"peer"`
	Added   []netip.Prefix `json:"added"`
	Removed []netip.Prefix `json:"removed"`
}

// Set is what differs between two lists.
type Set[T any] struct {
	Added   []T         `json:"added"`
	Removed []T         `json:"removed"`
	Changed []Change[T] `json:"changed"`
}

// Change is one thing before and after.
type Change[T any] struct {
	Old T `json:"old"`
	New T `json:"new"`
}

// Setting is one value before and after; "" where there was or is none.
type Setting struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Diff tells what changes from one plan to another. Every list is sorted as in the plans.
func Diff(before, after *Plan) Changes {
	return Changes{
		APIVersion: cluster.APIVersion,
		Kind:       "Changes",
		Rules:      diffRules(before.Rules, after.Rules),
		Peers:      diffPeers(before.Peers, after.Peers),
		Machines:   diffBy(before.Machines, after.Machines, func(m Machine) string { return m.Name }),
		Names:      diffBy(before.Names, after.Names, func(n Name) string { return n.Type + " " + n.Name }),
		Identities: diffBy(before.Identities, after.Identities, func(id Identity) string { return id.Name }),
		Settings:   diffSettings(before, after),
	}
}

// Empty tells whether nothing differs.
func (c Changes) Empty() bool {
	return len(c.Rules.Opened)+len(c.Rules.Closed)+len(c.Rules.Changed)+len(c.Peers)+len(c.Settings) == 0 &&
		c.Machines.empty() && c.Names.empty() && c.Identities.empty()
}

func (s Set[T]) empty() bool { return len(s.Added)+len(s.Removed)+len(s.Changed) == 0 }

func diffBy[T any](before, after []T, key func(T) string) Set[T] {
	out := Set[T]{Added: []T{}, Removed: []T{}, Changed: []Change[T]{}}
	was := make(map[string]T, len(before))
	for _, v := range before {
		was[key(v)] = v
	}
	is := make(map[string]bool, len(after))
	for _, v := range after {
		is[key(v)] = true
		old, ok := was[key(v)]
		switch {
		case !ok:
			out.Added = append(out.Added, v)
		case !reflect.DeepEqual(old, v):
			out.Changed = append(out.Changed, Change[T]{old, v})
		}
	}
	for _, v := range before {
		if !is[key(v)] {
			out.Removed = append(out.Removed, v)
		}
	}
	return out
}

// diffRules pairs rules that open the same; of those left over it pairs the ones of a
// protocol that share a clause, since that clause's opening moved.
func diffRules(before, after []Rule) RuleChanges {
	set := diffBy(before, after, Rule.opening)
	out := RuleChanges{Opened: []Rule{}, Closed: set.Removed, Changed: set.Changed}
	for _, r := range set.Added {
		i := slices.IndexFunc(out.Closed, func(old Rule) bool {
			return old.Protocol == r.Protocol &&
				slices.ContainsFunc(old.Clauses, func(id string) bool { return slices.Contains(r.Clauses, id) })
		})
		if i < 0 {
			out.Opened = append(out.Opened, r)
			continue
		}
		out.Changed = append(out.Changed, Change[Rule]{out.Closed[i], r})
		out.Closed = slices.Delete(out.Closed, i, i+1)
	}
	slices.SortStableFunc(out.Changed, func(a, b Change[Rule]) int { return compareRules(a.New, b.New) })
	return out
}

func diffPeers(before, after map[contract.Peer][]netip.Prefix) []PeerChange {
	peers := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
	slices.Sort(peers)
	out := []PeerChange{}
	for _, peer := range slices.Compact(peers) {
		change := PeerChange{peer, without(after[peer], before[peer]), without(before[peer], after[peer])}
		if len(change.Added)+len(change.Removed) > 0 {
			out = append(out, change)
		}
	}
	return out
}

func diffSettings(before, after *Plan) []Setting {
	out := []Setting{}
	was, is := before.settings(), after.settings()
	for i := range was {
		if was[i].New != is[i].New {
			out = append(out, Setting{was[i].Name, was[i].New, is[i].New})
		}
	}
	return out
}

// settings are the plan's cluster-wide values, each as New, always in the same order.
func (p *Plan) settings() []Setting {
	n := p.Network
	address := func(a netip.Addr) string {
		if !a.IsValid() {
			return ""
		}
		return a.String()
	}
	port := contract.PortRange{First: n.APIPort, Last: n.APIPort}
	return []Setting{
		{Name: "cluster", New: p.Cluster},
		{Name: "profile", New: p.Profile},
		{Name: "components", New: strings.Join(p.Components, " ")},
		{Name: "machineNetwork", New: n.Machines.String()},
		{Name: "podNetwork", New: n.Pods.String()},
		{Name: "serviceNetwork", New: n.Services.String()},
		{Name: "userNetwork", New: n.User.String()},
		{Name: "apiPort", New: port.String()},
		{Name: "loadBalancer", New: address(n.LoadBalancer)},
		{Name: "registry", New: address(n.Registry)},
		{Name: "resolvers", New: join(n.Resolvers, netip.Addr.String, " ")},
	}
}
