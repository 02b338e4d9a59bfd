package audit

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// openings are what a way surely lets through and no clause asks for, by the rules that do.
func (s *surveyed) openings(role contract.Role, direction contract.Kind, asks []ask, w way) []Opening {
	side := peerSide(direction)
	asked := s.space.None()
	for _, one := range asks {
		asked = asked.Or(one.set).Or(s.credited(one, direction, w)).Or(one.zero)
	}
	excess := w.sure.Minus(asked).Minus(s.nobody(side))
	if excess.Empty() {
		return nil
	}
	var out []Opening
	dims := aside(direction)
	// Where several hooks have chains, the one that filters says more than those around it.
	hooks := slices.Clone(w.hooks)
	slices.SortStableFunc(hooks, func(a, b string) int { return strings.Index(around, a) - strings.Index(around, b) })
	matched := w.view.filter.Accepting(w.with, hooks...)
	wholes := make([]packets.Set, len(matched))
	for i, m := range matched {
		wholes[i] = m.Packets.Some(dims...)
	}
	s.shared(excess, wholes, func(i int, part packets.Set) {
		out = append(out, s.opening(role, direction, part, wholes[i], asks, matched[i].Rule.Place.String()+": "+matched[i].Rule.Text))
	})
	if excess = excess.Minus(s.space.Union(wholes...)); excess.Empty() {
		return out
	}
	where := "no rule: what none drops passes"
	if w.view.file != "" {
		where = w.view.file + ": " + where
	}
	return append(out, s.opening(role, direction, excess, w.sure, asks, where))
}

// shared gives each packet of a set to the first of some sets that holds it. It halves the
// sets, and hands down only packets that the half has a set for: thousands of rules are no
// more than a few times the work of reading them.
func (s *surveyed) shared(of packets.Set, among []packets.Set, give func(i int, part packets.Set)) {
	var halve func(first, last int, of packets.Set)
	halve = func(first, last int, of packets.Set) {
		if of.Empty() || first == last {
			return
		}
		if last-first == 1 {
			if part := of.And(among[first]); !part.Empty() {
				give(first, part)
			}
			return
		}
		half := (first + last) / 2
		before, after := s.space.Union(among[first:half]...), s.space.Union(among[half:last]...)
		halve(first, half, of.And(before))
		halve(half, last, of.Minus(before).And(after))
	}
	halve(0, len(among), of)
}

// around are hooks, the innermost first.
const around = "input forward output prerouting postrouting"

// credited is what may be meant for peers whose addresses nobody knows: at the clause's
// ports, networks that are not everybody.
func (s *surveyed) credited(one ask, direction contract.Kind, w way) packets.Set {
	if one.credit == one.set {
		return s.space.None()
	}
	everybody := slices.Contains(one.Peers, contract.All) ||
		slices.Contains(one.Peers, contract.Registries) && covers(s.places[string(contract.Registries)].ranges, []packets.Range{packets.IPv4})
	if everybody {
		return one.credit
	}
	// What is open at these ports to all of IPv4 or IPv6 is no peer's own address.
	side := peerSide(direction)
	open := w.sure.And(one.credit)
	for _, family := range [][]packets.Range{{packets.IPv4}, packets.IPv6} {
		all := s.space.Within(side, family...)
		wide := open.Every(all, side)
		open = open.Minus(wide.And(all))
	}
	return open
}

func (s *surveyed) opening(role contract.Role, direction contract.Kind, part, whole packets.Set, asks []ask, evidence string) Opening {
	o := Opening{
		Role: role, Direction: direction, Protocol: protocols(part), Ports: ports(part),
		Peers: s.names(s.turned(part, direction)), Evidence: evidence,
		Detail: "no clause asks for any of it",
	}
	var near []string
	for _, one := range asks {
		if !one.set.And(whole).Empty() {
			near = append(near, one.ID)
		}
	}
	if len(near) > 0 {
		o.Detail = "wider than what is asked for by " + strings.Join(near[:min(len(near), 4)], ", ")
		if len(near) > 4 {
			o.Detail += fmt.Sprintf(" and %d more", len(near)-4)
		}
	}
	side := peerSide(direction)
	v4 := part.And(s.space.Within(side, packets.IPv4)).Size(side, packets.Protocol, packets.Port) / (1 << 32)
	v6 := part.Minus(s.space.Within(side, packets.IPv4)).Size(side, packets.Protocol, packets.Port) / (1 << 64) / (1 << 64)
	o.width = v4 + v6
	return o
}

// deadRules collects rules that no packet comes to: in every view that they are part of.
type deadRules struct {
	order []string
	alive map[string]bool
	what  map[string]Finding
}

func newDead() *deadRules {
	return &deadRules{alive: map[string]bool{}, what: map[string]Finding{}}
}

func (d *deadRules) look(s *surveyed, v *view) {
	dead := map[*filter.Rule]bool{}
	for _, r := range v.filter.Dead(s.space.All()) {
		dead[r] = true
	}
	for _, c := range v.rules.Chains {
		for _, r := range c.Rules {
			if r.Implied {
				continue // that others overrule it is what it is for
			}
			key := r.Place.String() + " " + r.Text
			if _, seen := d.what[key]; !seen {
				d.order = append(d.order, key)
				d.what[key] = Finding{Evidence: r.Place.String() + ": " + r.Text, Detail: "no packet comes to it: rules before it, or its own conditions, leave none"}
			}
			if !dead[r] {
				d.alive[key] = true
			}
		}
	}
}

func (d *deadRules) found() []Finding {
	out := []Finding{}
	for _, key := range d.order {
		if !d.alive[key] {
			out = append(out, d.what[key])
		}
	}
	return out
}

// unknowns names what nobody understood.
func (s *surveyed) unknowns(a *Audit) {
	seen := map[string]bool{}
	add := func(evidence, detail string) {
		if key := evidence + detail; !seen[key] {
			seen[key] = true
			a.NotUnderstood = append(a.NotUnderstood, Finding{evidence, detail})
		}
	}
	for _, n := range s.cloud.Notes {
		add(n.Place.String(), n.Text)
	}
	for _, f := range s.files {
		for _, n := range f.rules.Notes {
			add(n.Place.String(), n.Text)
		}
	}
	for _, role := range machineRoles {
		var families filter.Families
		for _, v := range s.views[role] {
			families |= v.families
		}
		if len(s.views[role]) > 0 && families != filter.V4|filter.V6 {
			missing := map[filter.Families]string{filter.V4: "IPv6: audit what ip6tables-save prints as well", filter.V6: "IPv4: audit what iptables-save prints as well"}
			add(s.views[role][0].file, fmt.Sprintf("%s: there are no rules of %s", role, missing[families]))
		}
		for _, v := range s.views[role] {
			for _, c := range v.rules.Chains {
				for _, r := range c.Rules {
					s.unknownRule(r, add)
				}
			}
		}
	}
	for _, role := range machineRoles {
		alone := map[string]string{}
		for _, n := range s.roles[role] {
			g := s.cloud.Find(n)
			if g == nil || !g.Alone {
				continue
			}
			if other := alone[g.Layer]; other != "" && other != g.Names[0] {
				add(g.Place.String(), fmt.Sprintf("a machine has one such group of its %s only, and %s has %s as well: their rules were taken together; audit them as two roles", g.Layer, role, other))
			}
			alone[g.Layer] = g.Names[0]
		}
	}
	for _, g := range s.cloud.Groups {
		used := g.Everyone || g.Label || slices.ContainsFunc(machineRoles, func(role contract.Role) bool { return g.Binds(s.groups(role)) })
		if p := s.places["group "+g.Names[0]]; !used && (p == nil || !s.isPeer(p)) {
			add(g.Place.String(), fmt.Sprintf("no role has group %s: its rules were not looked at; name its role with --role ROLE=%s", g.Names[len(g.Names)-1], g.Names[len(g.Names)-1]))
		}
	}
}

// isPeer tells whether a group's place is part of a peer's.
func (s *surveyed) isPeer(p *place) bool {
	for _, peer := range allPeers {
		if at := s.places[string(peer)]; at != nil && at != p && covers(at.ranges, p.ranges) && !covers(at.ranges, []packets.Range{packets.IPv4}) {
			return true
		}
	}
	return false
}

func (s *surveyed) unknownRule(r *filter.Rule, add func(evidence, detail string)) {
	if r.Verdict == filter.GoOn && len(r.Cases) == 0 {
		return // it decides nothing
	}
	where := r.Place.String() + ": " + r.Text
	if r.Verdict == filter.Unsure {
		add(where, "what becomes of its packets is not decided here")
		return
	}
	for _, c := range r.Conditions {
		if c.Unknown != "" && !firstPacket(c) {
			add(where, "not understood: "+c.Unknown)
			return
		}
	}
}

// firstPacket tells a condition that is known for what opens a flow.
func firstPacket(c filter.Condition) bool {
	in := func(list []filter.Tuple, n uint64) bool {
		return slices.ContainsFunc(list, func(t filter.Tuple) bool {
			return len(t) == 1 && t[0].Dimension == packets.State && slices.ContainsFunc(t[0].Ranges, func(r packets.Range) bool { return r.First.Lo == n })
		})
	}
	return in(c.Any, packets.New) || len(c.Any) == 0 && in(c.Perhaps, packets.New+1) || ported(c)
}

// ported tells a condition on ports that is unknown for protocols without any.
func ported(c filter.Condition) bool {
	return len(c.Any) > 0 && slices.ContainsFunc(c.Any[0], func(f filter.Field) bool { return f.Dimension == packets.Port || f.Dimension == packets.SourcePort })
}
