package audit

import (
	"slices"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

type user = cloud.User

// view is the rules that a role's machines have in one document.
type view struct {
	rules  *filter.Ruleset
	filter *filter.Filter
	router bool
	file   string
	// families are those that it has a word on.
	families filter.Families
}

// hooks are what packets of a direction pass.
func (v *view) hooks(direction contract.Kind) []string {
	switch {
	case v.router:
		return []string{"prerouting", "forward", "postrouting"}
	case direction == contract.Ingress:
		return []string{"prerouting", "input"}
	}
	return []string{"output", "postrouting"}
}

// groups are all names of the groups that a role has.
func (s *surveyed) groups(role contract.Role) (names []string) {
	for _, n := range s.roles[role] {
		if s.file(n) != nil {
			continue
		}
		names = append(names, n)
		if g := s.cloud.Find(n); g != nil {
			names = append(names, g.Names...)
		}
	}
	return names
}

// look makes the views: for each role its groups' rules together, and those of its files.
func (s *surveyed) look() error {
	for _, role := range machineRoles {
		for _, n := range s.roles[role] {
			if f := s.file(n); f != nil {
				s.views[role] = append(s.views[role], &view{rules: f.rules, file: f.name, families: f.families})
			}
		}
		if groups := s.groups(role); len(groups) > 0 {
			s.views[role] = append(s.views[role], &view{rules: s.cloud.Rules(groups, s.members), families: filter.V4 | filter.V6})
		}
	}
	for i := range s.files {
		f := &s.files[i]
		assigned := slices.ContainsFunc(machineRoles, func(r contract.Role) bool {
			return slices.ContainsFunc(s.views[r], func(v *view) bool { return v.file == f.name })
		})
		if assigned {
			continue
		}
		shared := &view{rules: f.rules, router: true, file: f.name, families: f.families}
		for _, role := range machineRoles {
			if p := s.places[string(plural(role))]; p != nil && p.known {
				s.views[role] = append(s.views[role], shared)
			}
		}
	}
	done := map[*view]bool{}
	for _, role := range machineRoles {
		for _, v := range s.views[role] {
			if !done[v] {
				done[v] = true
				s.locate(v.rules)
			}
		}
	}
	return nil
}

// begin makes a new space for a role, and puts its rules there, as packets of a direction meet them where one is
// given: what one role needed is not kept for the next one.
func (s *surveyed) begin(role contract.Role, direction contract.Kind) error {
	s.space, s.cached = packets.NewSpace(0), nil
	s.space.Name("lo")
	for _, v := range s.views[role] {
		var err error
		rules := v.rules
		if v.file != "" && !v.router && direction != "" {
			rules = rules.For(direction == contract.Ingress)
		}
		if v.filter, err = rules.Compile(s.space); err != nil {
			return err
		}
	}
	return nil
}

// inner are prefixes of the names of interfaces that lead to pods and containers on the
// machine itself.
var inner = []string{"lo", "cni", "flannel", "docker", "veth", "cali", "br-", "virbr", "kube-", "lxc", "cilium", "dummy", "podman", "nodelocaldns"}

// outer are the interfaces by which other machines reach this one: the one that was given,
// those that the rules name, or any.
func (s *surveyed) outer(v *view, d packets.Dimension) packets.Set {
	if s.opt.Interface != "" {
		return s.space.Within(d, packets.One(s.space.Lookup(s.opt.Interface)))
	}
	var all, inside []packets.Range
	for _, c := range v.rules.Chains {
		for _, r := range c.Rules {
			for _, cond := range r.Conditions {
				for _, t := range slices.Concat(cond.Any, cond.Perhaps) {
					for _, f := range t {
						for _, n := range f.Names {
							one := packets.One(s.space.Lookup(n))
							if slices.ContainsFunc(inner, func(p string) bool { return strings.HasPrefix(n, p) }) {
								inside = append(inside, one)
							} else if f.Dimension == d {
								all = append(all, one)
							}
						}
					}
				}
			}
		}
	}
	inside = append(inside, packets.One(s.space.Lookup("lo")))
	if len(all) > 0 && !v.router {
		return s.space.Within(d, all...)
	}
	return s.space.Within(d, inside...).Not()
}

// way is what packets of a role and direction may come to, as sets of who is on the other
// side, protocol and port.
type way struct {
	sure, maybe packets.Set
	// likely is what passes if nothing matches that was not understood: sure, and what a rule lets through
	// after one that may or may not drop it.
	likely packets.Set
	// asked is sure with packets taken as passing that the other side's rules need not let
	// out or in: of these this side's rules need not answer for.
	asked     packets.Set
	direction contract.Kind
	view      *view
	certain   *filter.Filter // the view's, if nothing matches that was not understood
	hooks     []string
	with      packets.Set // the packets that were looked at
	peers     packets.Set // those on the other side of them
	// accepted are those that surely pass, with all that tells packets apart.
	accepted packets.Set
}

// aside are the dimensions that a way does not tell apart.
func aside(direction contract.Kind) []packets.Dimension {
	own := packets.Destination
	if direction == contract.Egress {
		own = packets.Source
	}
	return []packets.Dimension{packets.State, packets.Back, packets.In, packets.Out, own, packets.SourcePort}
}

// peerSide is the dimension of the other side's address.
func peerSide(direction contract.Kind) packets.Dimension {
	if direction == contract.Egress {
		return packets.Destination
	}
	return packets.Source
}

// ways decides what one view of a role lets through in a direction.
func (s *surveyed) way(role contract.Role, v *view, direction contract.Kind, elsewhere packets.Set) way {
	sp := s.space
	hooks := v.hooks(direction)
	pass := v.filter.Pass(hooks...)
	with := sp.Within(packets.State, packets.Numbers(packets.New, packets.New)).And(sp.Within(packets.SourcePort, packets.Numbers(1024, 65535)))
	own := packets.Destination
	if direction == contract.Egress {
		own = packets.Source
	}
	dims := aside(direction)
	if p := s.places[string(plural(role))]; p != nil && p.known {
		with = with.And(sp.Within(own, packets.IPv4).Not().Or(sp.Within(own, p.ranges...)))
	}
	four := sp.Within(packets.Source, packets.IPv4).And(sp.Within(packets.Destination, packets.IPv4))
	six := sp.Within(packets.Source, packets.IPv6...).And(sp.Within(packets.Destination, packets.IPv6...))
	with = with.And(four.Or(six))
	must, may := pass.Must(packets.Accept), pass.May(packets.Accept)
	likely, certain := must, v.filter
	if must != may {
		certain = v.filter.Certain()
		likely = certain.Pass(hooks...).Must(packets.Accept)
	}
	for _, set := range []*packets.Set{&must, &may, &likely} {
		switch {
		case v.router:
			// Each sender has a port of its own there: what passes by one of them passes.
			*set = set.Some(packets.In, packets.Out)
		case v.file != "":
			// The file is one machine's, whichever of the role's addresses that has.
			*set = set.And(with).Some(own)
		}
	}
	if !v.router {
		side := packets.In
		if direction == contract.Egress {
			side = packets.Out
		}
		with = with.And(s.outer(v, side))
		for _, d := range []packets.Dimension{packets.Source, packets.Destination} {
			// Pods are behind the machine itself, and nobody else is at a loopback address.
			with = with.Minus(sp.Within(d, s.pods...)).Minus(sp.Within(d, loopback...))
		}
		with = with.And(sp.Within(packets.Back, packets.Numbers(1, 1))) // who sends to it is where its routes say
		if slices.ContainsFunc(v.rules.Chains, unclear) {
			for r := range v.filter.Reached(with, hooks...) {
				s.reached[r] = true
			}
		}
	}
	w := way{direction: direction, view: v, certain: certain, hooks: hooks, with: with, sure: sp.None(), maybe: sp.None(), likely: sp.None(), asked: sp.None(), peers: sp.None(), accepted: pass.Must(packets.Accept)}
	for i, family := range []packets.Set{four, six} {
		if v.families&[...]filter.Families{filter.V4, filter.V6}[i] == 0 {
			continue
		}
		these := with.And(family)
		peers := these.Some(append(slices.Clone(dims), packets.Protocol, packets.Port)...)
		w.peers = w.peers.Or(peers)
		w.sure = w.sure.Or(peers.And(must.Every(these, dims...)))
		w.likely = w.likely.Or(peers.And(likely.Every(these, dims...)))
		w.maybe = w.maybe.Or(may.And(these).Some(dims...))
		w.asked = w.asked.Or(peers.And(must.Or(elsewhere).Every(these, dims...)))
	}
	// Addresses that stand for somebody are where networks perhaps hold them: of these only what is sure counts.
	w.likely = w.likely.Minus(sp.Within(peerSide(direction), packets.Prefix(reserved))).Or(w.sure)
	return w
}

// unclear tells whether a chain has a rule that was not understood.
func unclear(c *filter.Chain) bool {
	return slices.ContainsFunc(c.Rules, func(r *filter.Rule) bool { return notUnderstood(r) != "" })
}
