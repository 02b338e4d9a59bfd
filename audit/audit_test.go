package audit_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/audit"
	"craton.dev/craton/cluster"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
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
			seen := map[contract.Role]bool{}
			for _, m := range p.Machines {
				if seen[m.Role] {
					continue // those of a role differ in their address only
				}
				seen[m.Role] = true
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

// The same for what a kernel lists of them, as text and as JSON: it writes rules in its own way.
func TestNoFalseAlarmOnRulesThatAKernelLists(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it makes a network namespace, which needs root")
	}
	p := planOf(t, "../examples/ha.yaml")
	own, err := nftables.Machine(p, p.Machines[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	for name, rules := range map[string][]byte{"router": nftables.Fabric(p, nftables.Options{}), "machine": own} {
		for _, flag := range []string{"", "--numeric", "--json"} {
			t.Run(name+" list "+flag, func(t *testing.T) {
				listed, err := command.Cmd{Name: "unshare", Args: []string{"--net", "sh", "-c", "nft --file - && nft " + flag + " list ruleset"},
					Stdin: bytes.NewReader(rules)}.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				clean(t, run(t, audit.Options{APIPort: p.Network.APIPort, PodNetwork: []netip.Prefix{p.Network.Pods}},
					audit.Source{Name: "listed.nft", Data: listed}))
			})
		}
	}
}

// The same for any cluster that a file can describe.
func TestNoFalseAlarmOnAnyCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := fmt.Sprintf("name: p\nmasters: %d\nworkers: %d\nprofile: %s\ningress: %s\napiPort: %d\noptions: {nodePortRange: %t, readOnlyPort: %t, etcdClientPort: %t}\n",
			rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "masters"), rapid.IntRange(1, 9).Draw(t, "workers"),
			rapid.SampledFrom([]string{"document", "minimal"}).Draw(t, "profile"),
			rapid.SampledFrom([]string{"nodePort", "hostPort"}).Draw(t, "ingress"),
			rapid.SampledFrom([]int{443, 6443}).Draw(t, "apiPort"),
			rapid.Bool().Draw(t, "nodePortRange"), rapid.Bool().Draw(t, "readOnlyPort"), rapid.Bool().Draw(t, "etcdClientPort"))
		for name, line := range map[string]string{
			"registries": "registries: [10.32.0.0/24, 198.51.100.0/28]\n", "infra": "infra: 2\nloadBalancer: false\n",
			"clock": "timeServers: [192.0.2.123]\n", "resolvers": "resolvers: [203.0.113.53]\n",
		} {
			if rapid.Bool().Draw(t, name) {
				text += line
			}
		}
		c, err := cluster.Parse("cluster.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Make(c)
		if err != nil {
			t.Fatal(err)
		}
		m := rapid.SampledFrom(p.Machines).Draw(t, "machine")
		own, err := nftables.Machine(p, m.Name)
		if err != nil {
			t.Fatal(err)
		}
		for name, rules := range map[string][]byte{"router.nft": nftables.Fabric(p, nftables.Options{}), "own.nft": own} {
			a, err := audit.Run([]audit.Source{{Name: name, Data: rules}}, audit.Options{Cluster: c})
			if err != nil {
				t.Fatal(err)
			}
			if n := a.Count(); n != (audit.Counts{}) {
				for _, c := range a.Clauses {
					if c.Verdict != audit.Met {
						t.Errorf("%+v", c)
					}
				}
				t.Fatalf("%s of %s: %s %+v", name, m.Name, a.Sentence(), a.Openings)
			}
		}
	})
}
