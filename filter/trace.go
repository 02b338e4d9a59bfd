package filter

import (
	"fmt"
	"slices"

	"craton.dev/craton/packets"
)

// Step is what decided about a packet in one chain that has a hook.
type Step struct {
	Chain *Chain
	// Rule is the one that accepted or dropped; nil where the policy did.
	Rule *Rule
	// Verdict is Accept, Drop or Unsure. Unsure is a rule that may or may not have
	// matched: what follows it is not traced.
	Verdict Verdict
}

func (s Step) String() string {
	word := map[Verdict]string{Accept: "accepted", Drop: "dropped", Unsure: "perhaps decided"}[s.Verdict]
	if s.Rule == nil {
		return fmt.Sprintf("%s by the policy of chain %s", word, s.Chain.Name)
	}
	return fmt.Sprintf("%s by %s: %s", word, s.Rule.Place, s.Rule.Text)
}

// Trace follows one packet through these hooks, as a kernel would, to the rules that
// decide: the last step is what became of it.
func (f *Filter) Trace(p packets.Packet, hooks ...string) []Step {
	var steps []Step
	for _, h := range hooks {
		for _, c := range f.hooks[h] {
			if !f.families(c.Families).Holds(p) {
				continue
			}
			step := Step{Chain: c.Chain, Verdict: c.Policy}
			if r, v := f.follow(c, p); v == Accept || v == Drop || v == Unsure {
				step.Rule, step.Verdict = r, v
			}
			steps = append(steps, step)
			if step.Verdict != Accept {
				return steps
			}
		}
	}
	return steps
}

// follow is the rule that ends a packet's way through a chain, and how: GoOn where none does.
func (f *Filter) follow(c *chain, p packets.Packet) (*Rule, Verdict) {
	f.load(c)
	for i := range c.rules {
		alternatives := append([]rule{c.rules[i]}, c.rules[i].cases...)
		for j := range alternatives {
			r := &alternatives[j]
			if r.Verdict == GoOn || !r.maybe.Holds(p) {
				continue
			}
			if !r.sure.Holds(p) {
				if r.Verdict == Jump {
					if _, v := f.follow(f.chains[key{c.Table, r.Target}], p); v == GoOn || v == Return {
						continue // whether it goes there or not, it comes back
					}
				}
				return c.rules[i].Rule, Unsure
			}
			switch r.Verdict {
			case Jump, Goto:
				inner, v := f.follow(f.chains[key{c.Table, r.Target}], p)
				if v == Accept || v == Drop || v == Unsure {
					return inner, v
				}
				if r.Verdict == Goto {
					return nil, Return
				}
			default:
				return c.rules[i].Rule, r.Verdict
			}
		}
	}
	return nil, GoOn
}

// Dead are the rules with a verdict that no packet can come to: others before them, or
// their own conditions, leave nothing. Sets that are empty now are taken as full, since
// somebody may fill them. The packets of within are all that there are.
func (f *Filter) Dead(within packets.Set) []*Rule {
	var dead []*Rule
	var all []*chain
	for _, h := range allHooks {
		all = append(all, f.hooks[h]...)
	}
	f.come(within, all, func(r *rule, came packets.Set) {
		if came.Empty() && (r.Verdict != GoOn || len(r.cases) > 0) {
			dead = append(dead, r.Rule)
		}
	})
	return dead
}

// Reached are the rules that packets of within can come to at these hooks, perhaps match, and that may have a part
// in what becomes of them: none of a chain that lets all of them pass, nor one that leads where nothing is decided.
func (f *Filter) Reached(within packets.Set, hooks ...string) map[*Rule]bool {
	reached := map[*Rule]bool{}
	for _, h := range hooks {
		for _, c := range f.hooks[h] {
			if f.decide(c).May(packets.Drop).And(within).Empty() {
				continue
			}
			f.come(within, []*chain{c}, func(r *rule, came packets.Set) {
				if !came.Empty() && !f.idle(c.Table, r) {
					reached[r.Rule] = true
				}
			})
		}
	}
	return reached
}

// idle tells whether a rule leads to a chain that decides nothing.
func (f *Filter) idle(table string, r *rule) bool {
	for _, one := range append([]rule{*r}, r.cases...) {
		switch one.Verdict {
		case Jump:
			to := f.chains[key{table, one.Target}]
			if to == nil || !f.decide(to).May(packets.Accept|packets.Drop).Empty() {
				return false
			}
		case GoOn:
		default:
			return false
		}
	}
	return true
}

// allHooks are the hooks of a packet filter.
var allHooks = []string{"prerouting", "input", "forward", "output", "postrouting"}

// come shows for each rule the packets that come to it from some chains with hooks and perhaps match it.
func (f *Filter) come(within packets.Set, from []*chain, show func(*rule, packets.Set)) {
	for _, c := range f.chains {
		c.reached = f.space.None()
	}
	for _, c := range from {
		c.reached = f.families(c.Families).And(within)
	}
	for _, c := range f.downwards(from) {
		f.reach(c, 0, len(c.rules), c.reached, show)
	}
}

// downwards are the chains that packets come to from some, each before those that it jumps to.
func (f *Filter) downwards(from []*chain) []*chain {
	var order []*chain
	seen := map[*chain]bool{}
	var visit func(c *chain)
	visit = func(c *chain) {
		if seen[c] {
			return
		}
		seen[c] = true
		f.load(c)
		for i := range c.rules {
			for _, r := range append([]rule{c.rules[i]}, c.rules[i].cases...) {
				if r.Verdict == Jump || r.Verdict == Goto {
					visit(f.chains[key{c.Table, r.Target}])
				}
			}
		}
		order = append(order, c)
	}
	for _, c := range from {
		visit(c)
	}
	for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
		order[i], order[j] = order[j], order[i]
	}
	return order
}

// reach goes through the rules from i to j that packets of at come to, and returns those
// that may go on after them. It halves, as Sequence does, and hands down only packets that
// the half has a rule for.
func (f *Filter) reach(c *chain, i, j int, at packets.Set, show func(*rule, packets.Set)) packets.Set {
	if j-i > 1 {
		half := (i + j) / 2
		here := at.And(f.lively(c, i, j))
		there := at.Minus(here)
		return there.Or(f.reach(c, half, j, f.reach(c, i, half, here, show), show))
	}
	if i == j {
		return at
	}
	r := &c.rules[i]
	show(r, at.And(r.lively))
	for _, one := range append([]rule{*r}, r.cases...) {
		switch one.Verdict {
		case Accept, Drop, Return, Unsure:
			at = at.Minus(one.sure)
		case Jump, Goto:
			to := f.chains[key{c.Table, one.Target}]
			to.reached = to.reached.Or(at.And(one.lively))
			on := f.decide(to).May(packets.Next | packets.Return)
			if one.Verdict == Goto {
				on = f.space.None()
			}
			at = at.Minus(one.sure).Or(at.And(on))
		}
	}
	return at
}

// lively are the packets that any of the rules from i to j has something to do with.
func (f *Filter) lively(c *chain, i, j int) packets.Set {
	sets := make([]packets.Set, 0, j-i)
	for _, r := range c.rules[i:j] {
		sets = append(sets, r.lively)
	}
	return f.space.Union(sets...)
}

// Matched is a rule with packets that it accepts.
type Matched struct {
	Rule    *Rule
	Packets packets.Set
}

// Accepting are the rules that accept packets at these hooks, with those of within that come to each and surely
// match it; in a list without jumps, those that rules before it take are among them. Rules that lead back to where
// packets are accepted come after the others.
func (f *Filter) Accepting(within packets.Set, hooks ...string) []Matched {
	var out, back []Matched
	add := func(r *rule, came packets.Set) {
		accepts, returns := f.space.None(), f.space.None()
		for _, one := range append([]rule{*r}, r.cases...) {
			switch one.Verdict {
			case Accept:
				accepts = accepts.Or(one.sure)
			case Return:
				returns = returns.Or(one.sure)
			}
		}
		if accepts = accepts.And(came); !accepts.Empty() {
			out = append(out, Matched{r.Rule, accepts})
		}
		if returns = returns.And(came); !returns.Empty() {
			back = append(back, Matched{r.Rule, returns})
		}
	}
	for _, h := range hooks {
		for _, c := range f.hooks[h] {
			if f.load(c); slices.ContainsFunc(c.rules, leads) {
				f.come(within, []*chain{c}, add)
				continue
			}
			// What comes to the rules of one list is what they match and others before them do not.
			for i := range c.rules {
				add(&c.rules[i], within)
			}
		}
	}
	return append(out, back...)
}

// leads tells whether a rule leads to another chain.
func leads(r rule) bool {
	return r.Verdict == Jump || r.Verdict == Goto || slices.ContainsFunc(r.cases, leads)
}
