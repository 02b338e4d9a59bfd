package plan

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/contract"
	"craton.dev/craton/golden"
)

// TestDiff shows the changes that files make.
func TestDiff(t *testing.T) {
	for name, texts := range map[string][2]string{
		"diff-more-workers.golden": {"name: demo\n", "name: demo\nworkers: 3\n"},
		"diff-options.golden":      {"name: demo\n", "name: demo\noptions: {readOnlyPort: true, nodePortRange: true}\n"},
		"diff-api-port.golden":     {"name: demo\n", "name: demo\napiPort: 6443\n"},
		"diff-minimal.golden":      {small, smallest},
	} {
		var out bytes.Buffer
		if err := Diff(parse(t, texts[0]), parse(t, texts[1])).WriteTable(&out); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, name, out.Bytes())
	}
}

// TestDiffTellsAllThatMoves: a flow that one plan lets pass and the other does not is
// among what the changes name: a rule of its ports, or a peer's or machine's address.
func TestDiffTellsAllThatMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyCluster(t), anyCluster(t)
		before, err := Make(a)
		if err != nil {
			t.Fatal(err)
		}
		after, err := Make(b)
		if err != nil {
			t.Fatal(err)
		}
		if c := Diff(before, before); !c.Empty() {
			t.Fatalf("a plan differs from itself: %+v", c)
		}
		c := Diff(before, after)
		back := Diff(after, before)
		if len(c.Rules.Opened) != len(back.Rules.Closed) || len(c.Machines.Added) != len(back.Machines.Removed) || len(c.Identities.Removed) != len(back.Identities.Added) {
			t.Fatalf("there and back differ: %+v and %+v", c, back)
		}
		var rules []Rule
		rules = append(append(rules, c.Rules.Opened...), c.Rules.Closed...)
		for _, r := range c.Rules.Changed {
			rules = append(rules, r.Old, r.New)
		}
		for range 40 {
			src, dst, protocol, port := anyFlow(t, after)
			was, _ := before.Allows(src, dst, protocol, port)
			is, _ := after.Allows(src, dst, protocol, port)
			if was == is {
				continue
			}
			moved := func(x netip.Addr) bool {
				return slices.ContainsFunc(c.Peers, func(p PeerChange) bool { return holds(p.Added, x) || holds(p.Removed, x) }) ||
					(before.machineAt(x) == nil) != (after.machineAt(x) == nil)
			}
			named := slices.ContainsFunc(rules, func(r Rule) bool {
				return (r.Protocol == contract.Any || r.Protocol == protocol || protocol == contract.Any) && (opens(r.Ports, port) || protocol == contract.Any)
			})
			if !named && !moved(src) && !moved(dst) {
				t.Fatalf("%s to %s %s/%d moved from %v to %v, and no change says so: %+v", src, dst, protocol, port, was, is, c)
			}
		}
	})
}

// TestEmpty: each kind of change by itself is one.
func TestEmpty(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"level":    func(p *Plan) { p.Rules[0].Level = contract.May },
		"rule":     func(p *Plan) { p.Rules = p.Rules[1:] },
		"peer":     func(p *Plan) { p.Peers[contract.Workers] = nil },
		"machine":  func(p *Plan) { p.Machines = p.Machines[:1] },
		"label":    func(p *Plan) { p.Machines[0].Labels["a"] = "b" },
		"name":     func(p *Plan) { p.Names[0].Targets = []string{"10.0.0.1"} },
		"identity": func(p *Plan) { p.Identities[0].Days = 1 },
		"setting":  func(p *Plan) { p.Network.Pods = netip.MustParsePrefix("10.128.0.0/11") },
	} {
		before, after := parse(t, small), parse(t, small)
		if c := Diff(before, after); !c.Empty() {
			t.Fatalf("no change is one: %+v", c)
		}
		change(after)
		if Diff(before, after).Empty() {
			t.Errorf("a changed %s is no change", name)
		}
	}
	var out bytes.Buffer
	if err := Diff(parse(t, small), parse(t, small)).WriteTable(&out); err != nil || out.String() != "Nothing changes.\n" {
		t.Errorf("%v: %q", err, out.String())
	}
}
