package filter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// The packets of these tests differ in two dimensions only, so that each can be tried.
const values = 6

func grid() []packets.Packet {
	var out []packets.Packet
	for port := range uint64(values) {
		for protocol := range uint64(values) {
			var p packets.Packet
			p[packets.Source], p[packets.Destination] = packets.IPv4.First, packets.IPv4.First
			p[packets.Port], p[packets.Protocol] = packets.Number(port), packets.Number(protocol)
			out = append(out, p)
		}
	}
	return out
}

func anyCondition(t *rapid.T) filter.Condition {
	d := rapid.SampledFrom([]packets.Dimension{packets.Port, packets.Protocol}).Draw(t, "dimension")
	first := rapid.Uint64Range(0, values-1).Draw(t, "first")
	last := rapid.Uint64Range(first, values-1).Draw(t, "last")
	c := filter.Is(d, packets.Numbers(first, last))
	c.Not = rapid.IntRange(0, 4).Draw(t, "not") == 0
	return c
}

func anyRules(t *rapid.T, chains []string, n int) []*filter.Rule {
	var out []*filter.Rule
	for i := range rapid.IntRange(0, n).Draw(t, "rules") {
		r := &filter.Rule{Place: filter.Place{Line: i + 1}}
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			r.Conditions = append(r.Conditions, anyCondition(t))
		}
		all := []filter.Verdict{filter.GoOn, filter.Accept, filter.Drop, filter.Return}
		if len(chains) > 0 {
			all = append(all, filter.Jump, filter.Goto)
			r.Target = rapid.SampledFrom(chains).Draw(t, "target")
		}
		r.Verdict = rapid.SampledFrom(all).Draw(t, "verdict")
		out = append(out, r)
	}
	return out
}

// kernel runs rules for one packet, rule by rule, and marks those that it matches.
type kernel struct {
	chains  map[string]*filter.Chain
	matched map[*filter.Rule]bool
}

func (k *kernel) matches(c filter.Condition, p packets.Packet) bool {
	holds := slices.ContainsFunc(c.Any, func(t filter.Tuple) bool {
		return !slices.ContainsFunc(t, func(f filter.Field) bool {
			return !slices.ContainsFunc(f.Ranges, func(r packets.Range) bool {
				return r.First.Compare(p[f.Dimension]) <= 0 && p[f.Dimension].Compare(r.Last) <= 0
			})
		})
	})
	return holds != c.Not
}

func (k *kernel) run(c *filter.Chain, p packets.Packet) filter.Verdict {
	for _, r := range c.Rules {
		if slices.ContainsFunc(r.Conditions, func(c filter.Condition) bool { return !k.matches(c, p) }) {
			continue
		}
		k.matched[r] = true
		switch r.Verdict {
		case filter.Accept, filter.Drop, filter.Return:
			return r.Verdict
		case filter.Jump, filter.Goto:
			v := k.run(k.chains[r.Target], p)
			if v == filter.Accept || v == filter.Drop {
				return v
			}
			if r.Verdict == filter.Goto {
				return filter.Return
			}
		}
	}
	return filter.GoOn
}

// What passes, which rule decides and which rules are dead is what a kernel that goes from
// rule to rule finds by trying every packet.
func TestAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &kernel{chains: map[string]*filter.Chain{}, matched: map[*filter.Rule]bool{}}
		r := &filter.Ruleset{}
		var names []string
		for i := range 3 {
			c := &filter.Chain{Table: "t", Name: fmt.Sprint("c", i), Rules: anyRules(t, names, 4)}
			k.chains[c.Name], names = c, append(names, c.Name)
			r.Chains = append(r.Chains, c)
		}
		var hooked []*filter.Chain
		for i := range 2 {
			c := &filter.Chain{Table: "t", Name: fmt.Sprint("base", i), Hook: "input", Priority: i, Families: filter.V4, Rules: anyRules(t, names, 6)}
			c.Policy = rapid.SampledFrom([]filter.Verdict{filter.Accept, filter.Drop}).Draw(t, "policy")
			hooked = append(hooked, c)
		}
		// The order of chains in a file does not matter.
		r.Chains = append(r.Chains, hooked[1], hooked[0])
		s := packets.NewSpace(0)
		f, err := r.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		pass := f.Pass("input")
		for _, p := range grid() {
			want := packets.Accept
			for _, c := range hooked {
				v := k.run(c, p)
				if v != filter.Accept && v != filter.Drop {
					v = c.Policy
				}
				if v == filter.Drop {
					want = packets.Drop
					break
				}
			}
			if got := pass.Of(p); got != want {
				t.Fatalf("%v comes to %b, expected %b", p, got, want)
			}
			steps := f.Trace(p, "input")
			if last := steps[len(steps)-1]; (last.Verdict == filter.Accept) != (want == packets.Accept) {
				t.Fatalf("%v is traced to %v", p, steps)
			}
		}
		// Values beyond the grid behave like none of its own; they are left out.
		within := s.Within(packets.Port, packets.Numbers(0, values-1)).And(s.Within(packets.Protocol, packets.Numbers(0, values-1)))
		reached := map[*filter.Chain]bool{hooked[0]: true, hooked[1]: true}
		for _, c := range slices.Backward(append(slices.Clone(r.Chains[:3]), hooked...)) {
			for _, rule := range c.Rules {
				if reached[c] && (rule.Verdict == filter.Jump || rule.Verdict == filter.Goto) {
					reached[k.chains[rule.Target]] = true
				}
			}
		}
		dead := f.Dead(within)
		for _, c := range r.Chains {
			for _, rule := range c.Rules {
				want := !k.matched[rule] && rule.Verdict != filter.GoOn && reached[c]
				// A packet that the first base chain drops never comes to the second one;
				// each chain is judged by itself.
				if got := slices.Contains(dead, rule); got && !want || !got && want && c.Name != "base1" && !viaSecond(k, hooked[1], c) {
					t.Fatalf("%s rule %d is dead: %t, expected %t", c.Name, rule.Place.Line, got, want)
				}
			}
		}
	})
}

// viaSecond tells whether a chain is led to from another one.
func viaSecond(k *kernel, from, to *filter.Chain) bool {
	return slices.ContainsFunc(from.Rules, func(r *filter.Rule) bool {
		if r.Verdict != filter.Jump && r.Verdict != filter.Goto {
			return false
		}
		return k.chains[r.Target] == to || viaSecond(k, k.chains[r.Target], to)
	})
}

// A set that is empty now makes a rule that matches nothing, but no dead one.
func TestPlaceholder(t *testing.T) {
	empty := filter.Condition{Any: []filter.Tuple{}, Placeholder: "infra"}
	r := &filter.Ruleset{Chains: []*filter.Chain{
		{Table: "t", Name: "in", Hook: "input", Policy: filter.Drop, Rules: []*filter.Rule{
			{Conditions: []filter.Condition{empty}, Verdict: filter.Jump, Target: "more"},
			{Conditions: []filter.Condition{filter.Is(packets.Port, packets.Range{First: packets.Number(9), Last: packets.Number(1)})}, Verdict: filter.Accept, Text: "never"},
		}},
		{Table: "t", Name: "more", Rules: []*filter.Rule{{Verdict: filter.Accept}}},
	}}
	s := packets.NewSpace(0)
	f, err := r.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Pass("input").May(packets.Accept).And(s.Within(packets.Source, packets.IPv4)).And(s.Within(packets.Destination, packets.IPv4)).Empty() {
		t.Error("something passes through an empty set")
	}
	if dead := f.Dead(s.All()); len(dead) != 1 || dead[0].Text != "never" {
		t.Errorf("dead: %v", dead)
	}
}

// A ruleset with thousands of rules and addresses is decided in a moment, and one that is
// too entangled is refused rather than computed for ever.
func TestLimit(t *testing.T) {
	r := &filter.Ruleset{Chains: []*filter.Chain{{Table: "t", Name: "in", Hook: "input", Policy: filter.Drop}}}
	for i := range uint64(3000) {
		r.Chains[0].Rules = append(r.Chains[0].Rules, &filter.Rule{Verdict: filter.Accept, Conditions: []filter.Condition{
			filter.Is(packets.Source, packets.Numbers(i, 9000-i)), filter.Is(packets.Port, packets.Numbers(i, i+7)), filter.Is(packets.Protocol, packets.Numbers(i%200, i%200)),
		}})
	}
	s := packets.NewSpace(20000)
	f, err := r.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	f.Pass("input")
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "too entangled") {
		t.Errorf("%v", err)
	}
}
