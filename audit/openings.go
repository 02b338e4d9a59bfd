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
	excess := w.likely.Minus(asked).Minus(s.nobody(side))
	if excess.Empty() {
		return nil
	}
	var out []Opening
	dims := aside(direction)
	// Where several hooks have chains, the one that filters says more than those around it.
	hooks := slices.DeleteFunc(slices.Clone(w.hooks), func(h string) bool { return !slices.Contains(filtering, h) || !w.view.filter.Hooked(h) })
	if len(hooks) == 0 {
		hooks = w.hooks
	}
	matched := w.view.filter.Accepting(w.with, hooks...)
	wholes := make([]packets.Set, len(matched))
	for i, m := range matched {
		wholes[i] = m.Packets.Some(dims...)
	}
	s.shared(excess, wholes, func(i int, part packets.Set) {
		out = append(out, s.opening(part, wholes[i], asks, matched[i].Rule, w))
	})
	if excess = excess.Minus(s.space.Union(wholes...)); !excess.Empty() {
		out = append(out, s.opening(excess, w.likely, asks, nil, w))
	}
	for i := range out {
		out[i].Role, out[i].Direction = role, direction
	}
	return out
}

// filtering are the hooks whose chains decide about packets for a machine, from it, or through it.
var filtering = []string{"input", "forward", "output"}

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

// credited is what may be meant for peers whose addresses nobody knows: at the clause's
// ports, networks that are not everybody.
func (s *surveyed) credited(one ask, direction contract.Kind, w way) packets.Set {
	if one.credit == one.set {
		return s.space.None()
	}
	if one.everybody {
		return one.credit
	}
	// What is open at these ports to all of IPv4 or IPv6 is no peer's own address.
	side := peerSide(direction)
	open := w.likely.And(one.credit)
	for _, family := range [][]packets.Range{{packets.IPv4}, packets.IPv6} {
		all := s.space.Within(side, family...).And(w.peers)
		wide := open.Every(all, side)
		open = open.Minus(wide.And(all))
	}
	return open
}

// opening is a part of what a rule lets through or, where there is none, of what a policy does.
func (s *surveyed) opening(part, whole packets.Set, asks []ask, rule *filter.Rule, w way) Opening {
	o := Opening{
		Protocol: protocols(part), Ports: ports(part), Peers: s.names(s.turned(part, w.direction)), Evidence: s.policy(part, w),
	}
	if rule != nil {
		o.Evidence = rule.Place.String() + ": " + rule.Text
	}
	o.Detail = s.smallest(part, whole, asks, rule, w.direction)
	if unsure := part.Minus(w.sure); !unsure.Empty() {
		o.Detail += "; perhaps less is open, since this was not understood: " + strings.Join(s.evidence(unsure, w, w.view.filter), ", ")
	}
	side := peerSide(w.direction)
	v4 := part.And(s.space.Within(side, packets.IPv4)).Size(side, packets.Protocol, packets.Port) / (1 << 32)
	v6 := part.Minus(s.space.Within(side, packets.IPv4)).Size(side, packets.Protocol, packets.Port) / (1 << 64) / (1 << 64)
	o.width = v4 + v6
	return o
}

// policy names the policy by which packets pass that no rule has a word on.
func (s *surveyed) policy(part packets.Set, w way) string {
	var best *filter.Chain
	if of := part.And(w.with); !of.Empty() {
		if steps := w.certain.Trace(of.First(), w.hooks...); len(steps) > 0 {
			best = deciding(steps).Chain
		}
	}
	switch {
	case best != nil && best.Place.Line > 0:
		return fmt.Sprintf("%s: policy accept of chain %s", best.Place, best.Name)
	case best != nil && best.Place.File != "":
		return fmt.Sprintf("%s: no rule: what none denies passes", best.Place.File)
	case w.view.file != "":
		return w.view.file + ": no rule: what none drops passes"
	}
	return "no rule: what none drops passes"
}

func abs(n int) int { return max(n, -n) }

// smallest says how far an opening is from what is asked for, and the smallest change that would shut it.
func (s *surveyed) smallest(part, whole packets.Set, asks []ask, rule *filter.Rule, direction contract.Kind) string {
	var near, elsewhere []string
	var wanted []wish
	what := part.Some(peerSide(direction))
	for _, one := range asks {
		switch {
		case !one.set.And(whole).Empty():
			near = append(near, one.ID)
			wanted = s.wish(wanted, one, direction, one.set.And(whole))
		case one.credit != one.set && !one.credit.And(part).Empty(), s.lost(one) && !one.set.Some(peerSide(direction)).And(what).Empty():
			elsewhere = append(elsewhere, one.ID)
		}
	}
	const most = 4
	list := func(ids []string) string {
		text := strings.Join(ids[:min(len(ids), most)], ", ")
		if len(ids) > most {
			text += fmt.Sprintf(" and %d more", len(ids)-most)
		}
		return text
	}
	implied := rule == nil || rule.Implied
	switch {
	case len(near) > 0 && len(near) <= most && !implied:
		return fmt.Sprintf("wider than what is asked for by %s: narrow it to %s", list(near), written(wanted, direction))
	case len(near) > 0 && implied:
		return "wider than what is asked for by " + list(near) + ": deny the rest by a rule of your own"
	case len(near) > 0:
		return "wider than what is asked for by " + list(near)
	case len(elsewhere) > 0:
		return fmt.Sprintf("no clause is known to ask for any of it: at these ports %s would, if it is where these peers are", list(elsewhere))
	case implied:
		return "no clause asks for any of it: deny it by a rule of your own"
	}
	return "no clause asks for any of it: take it away"
}

// lost tells whether nobody knows where some machines are that a clause has as peers.
func (s *surveyed) lost(one ask) bool {
	return slices.ContainsFunc(one.Peers, func(p contract.Peer) bool {
		at := s.places[string(p)]
		return at != nil && at.nodes && !at.known
	})
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
					// What no packet between machines comes to decides nothing here.
					if why := notUnderstood(r); why != "" && (v.file == "" || v.router || s.reached[r]) {
						add(r.Place.String()+": "+r.Text, why)
					}
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

// notUnderstood says what of a rule was not understood; "" where all was, or where it decides nothing.
func notUnderstood(r *filter.Rule) string {
	if r.Verdict == filter.GoOn && len(r.Cases) == 0 {
		return ""
	}
	if r.Verdict == filter.Unsure {
		return "what becomes of its packets is not decided here"
	}
	for _, c := range r.Conditions {
		if c.Unknown != "" && !firstPacket(c) {
			return "not understood: " + c.Unknown
		}
	}
	return ""
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
