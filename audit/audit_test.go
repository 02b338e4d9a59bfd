package audit_test

import (
	"net/netip"
	"path/filepath"
	"testing"

	"craton.dev/craton/audit"
	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

func planOf(t testing.TB, file string) *plan.Plan {
	t.Helper()
	c, err := cluster.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t testing.TB, opt audit.Options, sources ...audit.Source) *audit.Audit {
	t.Helper()
	a, err := audit.Run(sources, opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func clean(t testing.TB, a *audit.Audit) {
	t.Helper()
	met := 0
	for _, c := range a.Clauses {
		if c.Verdict != audit.Met {
			t.Errorf("%s is %s: %s %q", c.ID, c.Verdict, c.Detail, c.Evidence)
		} else {
			met++
		}
	}
	for _, o := range a.Openings {
		t.Errorf("opening: %+v", o)
	}
	for _, f := range a.Dead {
		t.Errorf("dead: %+v", f)
	}
	for _, f := range a.NotUnderstood {
		t.Errorf("not understood: %+v", f)
	}
	if met < 5 {
		t.Errorf("only %d clauses were judged", met)
	}
}

// The rules that we render give no finding, neither with the cluster's file nor without it:
// a tool that cries wolf is turned off.
func TestNoFalseAlarmOnOurRules(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		p := planOf(t, f)
		for _, c := range []*cluster.Cluster{nil, p.File} {
			name := filepath.Base(f) + map[bool]string{true: " alone", false: " with its file"}[c == nil]
			opt := audit.Options{Cluster: c, APIPort: p.Network.APIPort, PodNetwork: []netip.Prefix{p.Network.Pods}}
			t.Run("router "+name, func(t *testing.T) {
				clean(t, run(t, opt, audit.Source{Name: "cluster.nft", Data: nftables.Fabric(p, nftables.Options{})}))
			})
			for _, m := range p.Machines {
				t.Run(m.Name+" "+name, func(t *testing.T) {
					text, err := nftables.Machine(p, m.Name)
					if err != nil {
						t.Fatal(err)
					}
					clean(t, run(t, opt, audit.Source{Name: "own.nft", Data: text}))
				})
			}
		}
	}
}
