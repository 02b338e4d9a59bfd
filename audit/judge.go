package audit

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// ask is a clause with the packets that it asks for.
type ask struct {
	contract.Clause
	required bool
	// set are packets that must pass; credit are those that may, as nobody knows where some
	// peers are.
	set, credit packets.Set
	// zero are packets to port 0, where all ports that there are are asked for.
	zero packets.Set
	// everybody is set where a clause asks for all addresses.
	everybody bool
}

// asks are the clauses that are asked about for a role and direction.
func (s *surveyed) asks(role contract.Role, direction contract.Kind) []ask {
	var inForce map[string]bool
	if s.plan != nil {
		inForce = map[string]bool{}
		for _, r := range s.plan.Rules {
			for _, id := range r.Clauses {
				inForce[id] = true
			}
		}
	}
	var out []ask
	for _, c := range contract.Select(role, "", "") {
		if c.Kind != direction || inForce != nil && !inForce[c.ID] {
			continue
		}
		a := ask{Clause: c, required: c.Condition == contract.Always && c.Level != contract.May}
		if inForce != nil {
			a.required = true
		}
		if c.PortFrom == "apiPort" {
			if port := s.apiPort(); port != 0 {
				a.Ports = []contract.PortRange{{First: port, Last: port}}
			}
		}
		what := s.space.Within(packets.Protocol, protocolRanges(c.Protocols)...).And(s.space.Within(packets.Port, portRanges(a.Ports)...))
		who, perhaps := s.peers(c.Peers, direction)
		a.set, a.credit = who.And(what), perhaps.And(what)
		a.zero = s.space.None()
		if slices.Contains(a.Ports, contract.PortRange{First: 1, Last: 65535}) {
			a.zero = who.And(s.space.Within(packets.Protocol, protocolRanges(c.Protocols)...)).And(s.space.Within(packets.Port, packets.Numbers(0, 0)))
		}
		a.everybody = slices.Contains(c.Peers, contract.All) ||
			slices.Contains(c.Peers, contract.Registries) && covers(s.places[string(contract.Registries)].ranges, []packets.Range{packets.IPv4})
		if who.Empty() {
			continue // none of its peers is there
		}
		out = append(out, a)
	}
	return out
}

func (s *surveyed) apiPort() uint16 {
	if s.opt.APIPort != 0 {
		return s.opt.APIPort
	}
	if s.opt.Cluster != nil {
		return uint16(s.opt.Cluster.APIPort)
	}
	return 0
}

func protocolRanges(list []contract.Protocol) []packets.Range {
	var out []packets.Range
	for _, p := range list {
		if p != contract.UDP {
			out = append(out, packets.Numbers(packets.TCP, packets.TCP))
		}
		if p != contract.TCP {
			out = append(out, packets.Numbers(packets.UDP, packets.UDP))
		}
	}
	return out
}

func portRanges(list []contract.PortRange) []packets.Range {
	var out []packets.Range
	for _, p := range list {
		out = append(out, packets.Numbers(uint64(p.First), uint64(p.Last)))
	}
	return out
}

// peers are the packets that some peers have on their side: surely, and those that may be
// theirs since nobody knows their addresses.
func (s *surveyed) peers(list []contract.Peer, direction contract.Kind) (who, perhaps packets.Set) {
	side := peerSide(direction)
	who, perhaps = s.space.None(), s.space.None()
	for _, peer := range list {
		if peer == contract.All {
			who = who.Or(s.space.Within(side, packets.IPv4))
			perhaps = s.space.All()
			continue
		}
		p := s.places[string(peer)]
		if p == nil || s.plan != nil && len(s.plan.Peers[peer]) == 0 {
			continue // this cluster has none
		}
		who = who.Or(s.space.Within(side, p.ranges...))
		switch {
		case !p.known && !p.nodes:
			perhaps = perhaps.Or(s.space.All())
		case peer == contract.Registries && covers(p.ranges, []packets.Range{packets.IPv4}):
			perhaps = s.space.All()
		}
	}
	return who, perhaps.Or(who)
}

// judge fills the report.
func (s *surveyed) judge(a *Audit) error {
	dead := newDead()
	for _, role := range machineRoles {
		if len(s.views[role]) == 0 {
			continue
		}
		// Each step has a space of its own, so that none needs the memory of all.
		for _, step := range []struct {
			direction contract.Kind
			do        func()
		}{
			{contract.Ingress, func() { s.direction(a, role, contract.Ingress) }},
			{contract.Egress, func() { s.direction(a, role, contract.Egress) }},
			{"", func() {
				for _, v := range s.views[role] {
					dead.look(s, v)
				}
			}},
		} {
			if err := s.begin(role, step.direction); err != nil {
				return err
			}
			step.do()
			if err := s.space.Err(); err != nil {
				return err
			}
		}
	}
	a.Dead = dead.found()
	s.unknowns(a)
	slices.SortStableFunc(a.Openings, func(x, y Opening) int {
		switch {
		case x.width > y.width:
			return -1
		case x.width < y.width:
			return 1
		}
		return strings.Compare(x.Evidence, y.Evidence)
	})
	a.Openings = slices.CompactFunc(a.Openings, func(x, y Opening) bool {
		return x.Role == y.Role && x.Direction == y.Direction && x.Evidence == y.Evidence && x.Protocol == y.Protocol &&
			slices.Equal(x.Ports, y.Ports) && slices.Equal(x.Peers, y.Peers)
	})
	return nil
}

// direction judges what a role's machines send, or what they get.
func (s *surveyed) direction(a *Audit, role contract.Role, direction contract.Kind) {
	asked := map[contract.Role]map[contract.Kind][]ask{}
	for _, r := range machineRoles {
		asked[r] = map[contract.Kind][]ask{contract.Ingress: s.asks(r, contract.Ingress), contract.Egress: s.asks(r, contract.Egress)}
	}
	for _, v := range s.views[role] {
		w := s.way(role, v, direction, s.elsewhere(asked, direction, v.router))
		if !slices.ContainsFunc(w.hooks, v.filter.Hooked) {
			a.NotUnderstood = append(a.NotUnderstood, Finding{v.file, fmt.Sprintf("no chain filters the %s of a %s: all of it passes", direction, role)})
		}
		for _, one := range asked[role][direction] {
			if v.families&filter.V4 == 0 {
				break // clauses are about IPv4
			}
			s.clause(a, one, direction, w)
		}
		a.Openings = append(a.Openings, s.openings(role, direction, asked[role][direction], w)...)
	}
}

// elsewhere are the packets between machines that a router need not let through for one
// side's clause, since no clause of the other side asks for them.
func (s *surveyed) elsewhere(asked map[contract.Role]map[contract.Kind][]ask, direction contract.Kind, router bool) packets.Set {
	out := s.space.None()
	if !router {
		return out
	}
	for _, role := range machineRoles {
		p := s.places[string(plural(role))]
		if p == nil {
			continue
		}
		opposite := contract.Egress
		if direction == contract.Egress {
			opposite = contract.Ingress
		}
		open := s.space.None()
		for _, one := range asked[role][opposite] {
			if one.required {
				open = open.Or(one.set)
			}
		}
		out = out.Or(s.space.Within(peerSide(direction), p.ranges...).Minus(open))
	}
	return out
}

// clause judges one clause; of several views of a role the worst verdict counts.
func (s *surveyed) clause(a *Audit, one ask, direction contract.Kind, w way) {
	v4 := s.space.Within(peerSide(direction), packets.IPv4)
	set := one.set.And(v4).And(w.peers)
	if one.everybody {
		// Whoever stands at a reserved address has a real one as well, which is in it.
		set = set.Minus(s.space.Within(peerSide(direction), packets.Prefix(reserved)))
	}
	decided := w.certain // who decides if nothing matches that was not understood
	c := Clause{ID: one.ID, Line: one.Line, Level: one.Level, Evidence: []string{}, Operations: operations(one.ID)}
	missing := set.Minus(w.asked)
	switch {
	case set.Empty(): // none of its peers comes by
		c.Verdict = Unknown
	case missing.Empty():
		c.Verdict = Met
		c.Evidence = s.evidence(set.And(w.accepted), w, decided)
	case missing.And(w.maybe).Empty() && missing == set:
		c.Verdict = Unmet
	case missing.And(w.maybe) == missing:
		c.Verdict = Unknown
	default:
		c.Verdict = Partly
	}
	if c.Verdict != Met {
		switch c.Verdict {
		case Partly:
			missing = missing.Minus(w.maybe)
		case Unknown:
			decided = w.view.filter
		}
		c.Evidence = s.evidence(missing, w, decided)
		c.Detail = s.lacks(one, direction, missing, c.Verdict, w)
	} else {
		c.Operations = []string{}
	}
	if !one.required {
		for i := range a.Choices {
			if a.Choices[i].ID == one.ID {
				if badness(c.Verdict) > badness(a.Choices[i].Verdict) {
					a.Choices[i].Open, a.Choices[i].Verdict = false, c.Verdict
				}
				return
			}
		}
		why := "if " + string(one.Condition)
		if one.Condition == contract.Always {
			why = "MAY be open"
		}
		a.Choices = append(a.Choices, Choice{ID: one.ID, Line: one.Line, Open: c.Verdict == Met, Verdict: c.Verdict, Detail: why})
		return
	}
	for i := range a.Clauses {
		if a.Clauses[i].ID == one.ID {
			if badness(c.Verdict) > badness(a.Clauses[i].Verdict) {
				a.Clauses[i] = c
			}
			return
		}
	}
	a.Clauses = append(a.Clauses, c)
}

func badness(v Verdict) int { return slices.Index([]Verdict{Met, Unknown, Partly, Unmet}, v) }

func operations(id string) []string {
	out := []string{}
	for _, o := range contract.Operations() {
		if slices.Contains(o.Clauses, id) {
			out = append(out, o.Sentence)
		}
	}
	return out
}

// wish is protocols and ports, and the peers that a clause asks for them.
type wish struct {
	what  string
	peers []string
}

// wish adds what a clause asks for, of some packets.
func (s *surveyed) wish(to []wish, one ask, direction contract.Kind, of packets.Set) []wish {
	what := protocols(of) + " " + strings.Join(ports(of), ",")
	i := slices.IndexFunc(to, func(w wish) bool { return w.what == what })
	if i < 0 {
		i, to = len(to), append(to, wish{what: what})
	}
	for _, peer := range one.Peers {
		p := s.places[string(peer)]
		if peer == contract.All || p != nil && !of.And(s.space.Within(peerSide(direction), p.ranges...)).Empty() {
			if !slices.Contains(to[i].peers, string(peer)) {
				to[i].peers = append(to[i].peers, string(peer))
			}
		}
	}
	return to
}

// written are wishes as people say them.
func written(wishes []wish, direction contract.Kind) string {
	word := map[contract.Kind]string{contract.Ingress: "in from", contract.Egress: "out to"}[direction]
	var out []string
	for _, w := range wishes {
		out = append(out, fmt.Sprintf("%s %s %s", w.what, word, strings.Join(w.peers, ", ")))
	}
	return strings.Join(out, "; ")
}

// lacks says what is missing, and the smallest change that would help.
func (s *surveyed) lacks(one ask, direction contract.Kind, missing packets.Set, v Verdict, w way) string {
	what := written(s.wish(nil, one, direction, missing), direction)
	if v == Unknown {
		hint := "what is not understood decides: " + strings.Join(s.evidence(missing, w, w.view.filter), ", ")
		for _, p := range one.Peers {
			if place := s.places[string(p)]; place != nil && !place.known {
				switch {
				case place.nodes && s.nodes == nil:
					hint = "say with --node-network where machines have their addresses"
				case p == contract.UserNetwork:
					hint = "say with --user-network where users are"
				case !place.nodes:
					hint = fmt.Sprintf("say with --peer %s=… which addresses these are", p)
				}
			}
		}
		return fmt.Sprintf("perhaps open: %s; %s", what, hint)
	}
	return "to meet it, allow " + what
}

// turned are the ranges of a set's peers.
func (s *surveyed) turned(set packets.Set, direction contract.Kind) []packets.Range {
	return set.Values(peerSide(direction))
}

// evidence names the rules that decide about some packets of a set in a filter, a few at most.
func (s *surveyed) evidence(set packets.Set, w way, f *filter.Filter) []string {
	out := []string{}
	n := 0
	for box := range set.And(w.with).Boxes() {
		p := box.First()
		steps := f.Trace(p, w.hooks...)
		if len(steps) > 0 {
			last := deciding(steps)
			text := "policy of chain " + last.Chain.Name
			if last.Rule != nil {
				text = last.Rule.Place.String() + ": " + last.Rule.Text
			} else if last.Chain.Place.String() != "" {
				text = last.Chain.Place.String() + ": " + text
			}
			if !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
		if n++; n == 12 || len(out) == 4 {
			break
		}
	}
	return out
}

// deciding is the step that decides about a packet: the one that drops it or, of those by which it passes, the one
// of a chain that filters; chains that translate addresses stand before and after.
func deciding(steps []filter.Step) filter.Step {
	best := steps[len(steps)-1]
	if best.Verdict != filter.Accept {
		return best
	}
	for _, step := range steps {
		inner, had := slices.Contains(filtering, step.Chain.Hook), slices.Contains(filtering, best.Chain.Hook)
		near, was := abs(step.Chain.Priority), abs(best.Chain.Priority)
		if inner && !had || inner == had && (near < was || near == was && best.Rule == nil) {
			best = step
		}
	}
	return best
}
