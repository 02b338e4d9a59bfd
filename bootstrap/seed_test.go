package bootstrap

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
)

// TestCountEtcd protects status from calling an etcd well of which a pod is missing.
func TestCountEtcd(t *testing.T) {
	for name, test := range map[string]struct {
		have, want []Component
	}{
		"all":         {[]Component{{Name: "etcd", Want: 3, Ready: 3}}, []Component{{Name: "etcd", Want: 3, Ready: 3}}},
		"one missing": {[]Component{{Name: "a"}, {Name: "etcd", Want: 2, Ready: 2}}, []Component{{Name: "a"}, {Name: "etcd", Want: 3, Ready: 2, Problem: "etcd: 2 of 3 pods are ready"}}},
		"none":        {[]Component{{Name: "a"}}, []Component{{Name: "a"}, {Name: "etcd", Want: 3, Problem: "etcd: 0 of 3 pods are ready"}}},
		"a problem":   {[]Component{{Name: "etcd", Want: 1, Problem: "it ended"}}, []Component{{Name: "etcd", Want: 3, Problem: "it ended"}}},
	} {
		if diff := cmp.Diff(test.want, countEtcd(test.have, 3)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestSettledPlan protects that a cluster's plan follows it: once the seed is gone, nothing
// opens its ports again, whatever the file says next.
func TestSettledPlan(t *testing.T) {
	c := &Cluster{Dir: t.TempDir()}
	file := cluster.Default("demo")
	file.Etcd = etcdSelfHosted
	opens := func() bool {
		p, err := c.planOf(file)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(p.Rules, func(r plan.Rule) bool { return slices.Contains(r.Clauses, "master.ingress.etcd-seed") })
	}
	if !opens() {
		t.Error("a cluster that begins has no place for the seed")
	}
	if err := c.note(settledFile); err != nil {
		t.Fatal(err)
	}
	if opens() {
		t.Error("the seed's ports are open after its end")
	}
}
