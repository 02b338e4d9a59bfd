package filter

import (
	"cmp"
	"fmt"
	"slices"

	"craton.dev/craton/packets"
)

// Filter is a ruleset in a space.
type Filter struct {
	space  *packets.Space
	chains map[key]*chain
	hooks  map[string][]*chain
	v4, v6 packets.Set
}

type key struct{ table, name string }

type chain struct {
	*Chain
	rules    []rule
	decision packets.Decision
	decided  bool
	state    visit // of check
	reached  packets.Set
}

type visit uint8

const (
	fresh visit = iota
	open
	done
)

// rule is a rule with the packets that surely and perhaps match it.
type rule struct {
	*Rule
	sure, maybe packets.Set
	// lively is maybe with sets that are empty now taken as full.
	lively packets.Set
	cases  []rule
}

// Compile puts a ruleset into a space. An error names a jump to a chain that is not there
// or that leads back to itself. Sets are made when somebody asks for them: the space's Err
// says whether they fitted.
func (r *Ruleset) Compile(s *packets.Space) (*Filter, error) {
	f := &Filter{space: s, chains: map[key]*chain{}, hooks: map[string][]*chain{}}
	f.v4 = s.Within(packets.Source, packets.IPv4).And(s.Within(packets.Destination, packets.IPv4))
	f.v6 = s.Within(packets.Source, packets.IPv6...).And(s.Within(packets.Destination, packets.IPv6...))
	r.name(s)
	for _, c := range r.Chains {
		k := key{c.Table, c.Name}
		if f.chains[k] != nil {
			return nil, fmt.Errorf("%s: chain %s of table %s is there twice", c.Place, c.Name, c.Table)
		}
		own := &chain{Chain: c, reached: s.None()}
		f.chains[k] = own
		if c.Hook != "" {
			f.hooks[c.Hook] = append(f.hooks[c.Hook], own)
		}
	}
	for _, chains := range f.hooks {
		slices.SortStableFunc(chains, func(a, b *chain) int { return cmp.Compare(a.Priority, b.Priority) })
	}
	for _, c := range r.Chains {
		if err := f.check(f.chains[key{c.Table, c.Name}]); err != nil {
			return nil, err
		}
	}
	return f, s.Err()
}

// check goes where a chain's rules lead: to chains that are there, and not in a circle.
func (f *Filter) check(c *chain) error {
	switch c.state {
	case done:
		return nil
	case open:
		return fmt.Errorf("%s: chain %s of table %s leads back to itself", c.Place, c.Name, c.Table)
	}
	c.state = open
	for _, r := range c.Rules {
		targets := []string{}
		if r.Verdict == Jump || r.Verdict == Goto {
			targets = append(targets, r.Target)
		}
		for _, one := range r.Cases {
			if one.Verdict == Jump || one.Verdict == Goto {
				targets = append(targets, one.Target)
			}
		}
		for _, target := range targets {
			to := f.chains[key{c.Table, target}]
			if to == nil {
				return fmt.Errorf("%s: it leads to chain %q, which table %s does not have", r.Place, target, c.Table)
			}
			if to.Hook != "" {
				return fmt.Errorf("%s: it leads to chain %q, which has a hook of its own", r.Place, target)
			}
			if err := f.check(to); err != nil {
				return err
			}
		}
	}
	c.state = done
	return nil
}

// name makes all names of interfaces known before any pattern is looked up.
func (r *Ruleset) name(s *packets.Space) {
	add := func(c Condition) {
		for _, tuples := range [][]Tuple{c.Any, c.Perhaps} {
			for _, t := range tuples {
				for _, f := range t {
					for _, n := range f.Names {
						s.Name(n)
					}
				}
			}
		}
	}
	for _, c := range r.Chains {
		for _, r := range c.Rules {
			for _, cond := range r.Conditions {
				add(cond)
			}
			for _, one := range r.Cases {
				for _, cond := range one.Conditions {
					add(cond)
				}
			}
		}
	}
}

// load puts a chain's rules into the space.
func (f *Filter) load(c *chain) {
	if c.rules != nil {
		return
	}
	c.rules = make([]rule, 0, len(c.Rules))
	for _, r := range c.Rules {
		own := f.rule(r)
		for _, one := range r.Cases {
			own.cases = append(own.cases, f.rule(&Rule{Place: r.Place, Text: r.Text, Conditions: slices.Concat(r.Conditions, one.Conditions), Verdict: one.Verdict, Target: one.Target}))
		}
		c.rules = append(c.rules, own)
	}
}

// decide is a chain's decision. It is worked out when somebody asks, those of the chains
// that it leads to first: check has seen that there is no circle.
func (f *Filter) decide(c *chain) packets.Decision {
	if c.decided {
		return c.decision
	}
	f.load(c)
	ds := make([]packets.Decision, 0, len(c.rules))
	for i := range c.rules {
		d := f.verdict(c, &c.rules[i])
		for j := range c.rules[i].cases {
			d = d.Then(f.verdict(c, &c.rules[i].cases[j]))
		}
		ds = append(ds, d)
	}
	c.decision = f.space.Sequence(ds...)
	if c.Hook != "" {
		policy := packets.Accept
		if c.Policy == Drop {
			policy = packets.Drop
		}
		// A packet that one chain of a hook accepts still has to pass the next one.
		ended := c.decision.Turn(packets.Next|packets.Return, policy).Turn(packets.Accept, packets.Next)
		c.decision = f.space.Where(f.families(c.Families), ended)
	}
	c.decided = true
	return c.decision
}

func (f *Filter) families(of Families) packets.Set {
	switch of {
	case V4:
		return f.v4
	case V6:
		return f.v6
	}
	return f.v4.Or(f.v6)
}

// verdict is what a rule makes of packets: its verdict where it surely matches, that or
// nothing where it perhaps does.
func (f *Filter) verdict(c *chain, r *rule) packets.Decision {
	d := f.end(c, r)
	sure := f.space.Where(r.sure, d)
	if r.maybe == r.sure {
		return sure
	}
	return sure.Then(f.space.Where(r.maybe, d.Or(f.space.Always(packets.Next))))
}

func (f *Filter) end(c *chain, r *rule) packets.Decision {
	switch r.Verdict {
	case Accept:
		return f.space.Always(packets.Accept)
	case Drop:
		return f.space.Always(packets.Drop)
	case Return:
		return f.space.Always(packets.Return)
	case Unsure:
		return f.space.Always(packets.Accept | packets.Drop)
	case Jump:
		return f.decide(f.chains[key{c.Table, r.Target}]).Turn(packets.Return, packets.Next)
	case Goto:
		return f.decide(f.chains[key{c.Table, r.Target}]).Turn(packets.Next, packets.Return)
	}
	return f.space.Always(packets.Next)
}

func (f *Filter) rule(r *Rule) rule {
	own := rule{Rule: r, sure: f.space.All(), maybe: f.space.All(), lively: f.space.All()}
	for _, c := range r.Conditions {
		sure, maybe := f.condition(c)
		own.sure, own.maybe = own.sure.And(sure), own.maybe.And(maybe)
		if c.Placeholder == "" {
			own.lively = own.lively.And(maybe)
		}
	}
	return own
}

func (f *Filter) condition(c Condition) (sure, maybe packets.Set) {
	sure = f.tuples(c.Any)
	maybe = sure
	if c.Perhaps != nil {
		maybe = f.tuples(c.Perhaps).Or(sure)
	}
	if c.Not {
		return maybe.Not(), sure.Not()
	}
	return sure, maybe
}

func (f *Filter) tuples(tuples []Tuple) packets.Set {
	sets := make([]packets.Set, 0, len(tuples))
	for _, t := range tuples {
		set := f.space.All()
		for _, field := range t {
			ranges := field.Ranges
			if len(field.Names) > 0 {
				ranges = slices.Clone(ranges)
				for _, n := range field.Names {
					ranges = append(ranges, f.space.Named(n)...)
				}
			}
			set = set.And(f.space.Within(field.Dimension, ranges...))
		}
		sets = append(sets, set)
	}
	return f.space.Union(sets...)
}

// Pass is what becomes of packets at these hooks, one after another: Accept, Drop, or
// either. Where a hook has no chain, all pass.
func (f *Filter) Pass(hooks ...string) packets.Decision {
	var ds []packets.Decision
	for _, h := range hooks {
		for _, c := range f.hooks[h] {
			ds = append(ds, f.decide(c))
		}
	}
	return f.space.Sequence(ds...).Turn(packets.Next, packets.Accept)
}

// Certain is the filter as it is if nothing matches that was not understood.
func (f *Filter) Certain() *Filter {
	out := &Filter{space: f.space, chains: map[key]*chain{}, hooks: map[string][]*chain{}, v4: f.v4, v6: f.v6}
	for k, c := range f.chains {
		f.load(c)
		own := &chain{Chain: c.Chain, state: done, reached: f.space.None(), rules: make([]rule, 0, len(c.rules))}
		for _, r := range c.rules {
			own.rules = append(own.rules, r.certain())
		}
		out.chains[k] = own
	}
	for h, chains := range f.hooks {
		for _, c := range chains {
			out.hooks[h] = append(out.hooks[h], out.chains[key{c.Table, c.Name}])
		}
	}
	return out
}

// certain is a rule that matches only what it surely does.
func (r rule) certain() rule {
	r.maybe = r.sure
	cases := make([]rule, 0, len(r.cases))
	for _, one := range r.cases {
		cases = append(cases, one.certain())
	}
	r.cases = cases
	return r
}

// Hooked tells whether any chain has the hook.
func (f *Filter) Hooked(hook string) bool { return len(f.hooks[hook]) > 0 }
