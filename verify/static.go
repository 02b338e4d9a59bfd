package verify

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
	"craton.dev/craton/plan"
)

// StaticOptions say whose rules are compared. The zero value is a router between all
// machines that knows no ports.
type StaticOptions struct {
	// Machine is the name of the machine whose own rules these are; "" means the router.
	Machine string
	// Ports is the router's interface for each machine, by the machine's name. Where it is
	// empty nothing is asked about false senders.
	Ports map[string]string
}

// Static decides whether rules let through exactly what the plan says: every packet that
// opens a flow, from and to every address, of every protocol and port; and that answers to
// planned flows come back. Nothing is sampled. An error is of the rules' own making (a jump
// to nowhere, rules too entangled to decide); what differs is in the result.
func Static(p *plan.Plan, rules *filter.Ruleset, opt StaticOptions) (*Verification, error) {
	s := packets.NewSpace(0)
	s.Name("lo") // names come before the patterns that may mean them
	for _, m := range p.Machines {
		if port := opt.Ports[m.Name]; port != "" {
			s.Name(port)
		}
	}
	f, err := rules.Compile(s)
	if err != nil {
		return nil, err
	}
	c := &comparison{planned: planOf(s, p), filter: f, places: placesOf(p), result: &Verification{Kind: "Verification", Checks: []Check{}, Pairs: []Pair{}}}
	if opt.Machine == "" {
		c.router(opt.Ports)
	} else if err := c.machine(opt.Machine); err != nil {
		return nil, err
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	for _, n := range rules.Notes {
		c.result.NotUnderstood = append(c.result.NotUnderstood, n.Place.String()+": "+n.Text)
		c.result.Summary.Unknown++
	}
	return c.result, nil
}

// comparison collects what a comparison finds.
type comparison struct {
	planned
	filter *filter.Filter
	places []place
	result *Verification
}

// side is one way that packets take: hooks, and what is asked there.
type side struct {
	hooks []string
	// within are the packets that come this way.
	within packets.Set
	// open are those that must pass; all others must not.
	open packets.Set
	// answers must pass too, as packets of connections that there are.
	answers packets.Set
	// src and dst are the places that the packets may be of.
	src, dst []place
	// machine is the one that the rules belong to, for clauses; "" for the router.
	machine contract.Role
}

// router compares a router's rules.
func (c *comparison) router(ports map[string]string) {
	hooks := []string{"prerouting", "forward", "postrouting"}
	honest := c.honest(ports)
	flows := c.between()
	way := side{
		hooks: hooks, within: honest, open: flows, answers: honest.And(flows.Or(flows.Swap())),
		src: c.places, dst: c.places,
	}
	c.compare(way)
	if len(ports) > 0 {
		c.shut("spoofed", "a machine's address on another's port", hooks, honest.Not().And(c.v4))
	}
	c.shut("ipv6", "IPv6", hooks, c.v4.Not().And(c.space.Within(packets.Source, packets.IPv6...)).And(c.space.Within(packets.Destination, packets.IPv6...)))
}

// machine compares a machine's own rules, where packets enter and leave it. Loopback and
// the machine's own pods are free there.
func (c *comparison) machine(name string) error {
	i := slices.IndexFunc(c.plan.Machines, func(m plan.Machine) bool { return m.Name == name })
	if i < 0 {
		return fmt.Errorf("the plan of cluster %s has no machine %q: craton plan lists them", c.plan.Cluster, name)
	}
	m := c.plan.Machines[i]
	own := place{name: m.Name, role: m.Role, ranges: []packets.Range{packets.One(packets.Address(m.Address))}}
	self := func(d packets.Dimension) packets.Set { return c.space.Within(d, own.ranges...) }
	in, out := self(packets.Destination).And(c.opened(m.Role, contract.Ingress)), self(packets.Source).And(c.opened(m.Role, contract.Egress))
	lo := packets.One(c.space.Name("lo"))
	pods := packets.Prefix(c.plan.Network.Pods)
	outer := func(places []place) []place { // without the machine itself
		var out []place
		for _, p := range places {
			p.ranges = cut(p.ranges, own.ranges[0])
			if len(p.ranges) > 0 {
				out = append(out, p)
			}
		}
		return out
	}
	all := []place{own}
	for _, p := range outer(c.places) {
		p.role = "" // no rule of this machine's is theirs
		all = append(all, p)
	}
	c.compare(side{
		hooks:  []string{"prerouting", "input"},
		within: c.space.Within(packets.In, lo).Not().And(c.space.Within(packets.Source, pods).Not().Or(c.space.Within(packets.Back, packets.Numbers(0, 0)))),
		open:   in, answers: in.Or(out.Swap()), src: outer(c.places), dst: all, machine: m.Role,
	})
	c.compare(side{
		hooks:  []string{"output", "postrouting"},
		within: c.space.Within(packets.Out, lo).Not().And(c.space.Within(packets.Destination, pods).Not()),
		open:   out, answers: out.Or(in.Swap()), src: all, dst: outer(c.places), machine: m.Role,
	})
	c.shut("ipv6.in", "IPv6", []string{"prerouting", "input"}, c.space.Within(packets.In, lo).Not().And(c.v6()))
	c.shut("ipv6.out", "IPv6", []string{"output", "postrouting"}, c.space.Within(packets.Out, lo).Not().And(c.v6()))
	return nil
}

func (p planned) v6() packets.Set {
	return p.space.Within(packets.Source, packets.IPv6...).And(p.space.Within(packets.Destination, packets.IPv6...))
}

// cut takes an address out of ranges.
func cut(ranges []packets.Range, out packets.Range) []packets.Range {
	var left []packets.Range
	for _, r := range ranges {
		if out.Last.Compare(r.First) < 0 || r.Last.Compare(out.First) < 0 {
			left = append(left, r)
			continue
		}
		if r.First.Compare(out.First) < 0 {
			left = append(left, packets.Range{First: r.First, Last: before(out.First)})
		}
		if out.Last.Compare(r.Last) < 0 {
			left = append(left, packets.Range{First: after(out.Last), Last: r.Last})
		}
	}
	return left
}

func (c *comparison) state(states ...uint64) packets.Set {
	var ranges []packets.Range
	for _, n := range states {
		ranges = append(ranges, packets.Numbers(n, n))
	}
	return c.space.Within(packets.State, ranges...)
}

// compare decides about all packets that go one way.
func (c *comparison) compare(way side) {
	pass := c.filter.Pass(way.hooks...)
	may, must := pass.May(packets.Accept), pass.Must(packets.Accept)
	first := c.v4.And(way.within).And(c.state(packets.New))
	d := difference{
		missing: first.And(way.open).Minus(may),
		surplus: first.And(must).Minus(way.open),
		unsure:  first.And(may.Minus(must)),
	}
	for _, src := range way.src {
		for _, dst := range way.dst {
			if _, _, ok := two(src, dst); ok { // a machine does not talk to itself here
				c.cell(way, d, src, dst)
			}
		}
	}
	c.shut(strings.Join(way.hooks, ",")+"/port-0", "port 0 of tcp and udp", way.hooks,
		c.v4.And(way.within).And(c.protocol(contract.Any)).And(c.space.Within(packets.Port, packets.Numbers(0, 0))).Minus(way.open))
	// What connection tracking takes for broken, or does not look at, opens no flow either.
	// What is open to new flows as well is not said again.
	c.shut(strings.Join(way.hooks, ",")+"/untracked", "packets that belong to no connection", way.hooks,
		c.v4.And(way.within).And(c.state(packets.Invalid, packets.Untracked)).Minus(way.open).Minus(d.surplus.Some(packets.State)))
	c.answers(way, may, must)
}

// difference are packets that are not as planned.
type difference struct {
	missing packets.Set // planned to be open, surely dropped
	surplus packets.Set // planned to be closed, surely accepted
	unsure  packets.Set // the rules do not say
}

// answers checks that the packets of planned flows go on, both ways.
func (c *comparison) answers(way side, may, must packets.Set) {
	needed := c.v4.And(way.within).And(way.answers).And(c.state(packets.Established, packets.Related))
	check := Check{
		ID: strings.Join(way.hooks, ",") + "/answers", Machine: string(way.machine), Source: "any planned flow", Destination: "any planned flow",
		Ports: contract.PortRange{First: 1, Last: 65535}, Protocol: contract.Any,
		Expected: Open, Observed: Open, Evidence: "all packets of connections that the plan allows pass, both ways",
	}
	// ICMP errors and the like, which are "related", are not asked of rules.
	needed = needed.Minus(c.state(packets.Related))
	if lost := needed.Minus(may); !lost.Empty() {
		check.Observed, check.Evidence = Closed, c.example(lost, way.hooks)
	} else if lost := needed.Minus(must); !lost.Empty() {
		check.Observed, check.Evidence = Unknown, c.example(lost, way.hooks)
	}
	c.add(check)
}

// shut checks that none of some packets pass.
func (c *comparison) shut(id, what string, hooks []string, set packets.Set) {
	pass := c.filter.Pass(hooks...)
	set = set.Minus(c.state(packets.Established, packets.Related))
	check := Check{
		ID: id, Source: what, Destination: "anywhere", Protocol: contract.Any, Ports: contract.PortRange{First: 1, Last: 65535},
		Expected: Closed, Observed: Closed, Evidence: "no such packet passes",
	}
	if through := set.And(pass.Must(packets.Accept)); !through.Empty() {
		check.Observed, check.Evidence = Open, c.example(through, hooks)
	} else if through := set.And(pass.May(packets.Accept)); !through.Empty() {
		check.Observed, check.Evidence = Unknown, c.example(through, hooks)
	}
	c.add(check)
}

func (c *comparison) add(check Check) {
	c.result.Checks = append(c.result.Checks, check)
	c.result.Summary.count(check)
}
