package operation

import (
	"slices"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

func planFor(t *testing.T, text string) *plan.Plan {
	t.Helper()
	file, err := cluster.Parse("test.yaml", []byte("name: demo\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryOperationIsTriedOrSaysWhy protects from an operation that is in the contract only, and
// from a probe that nothing runs.
func TestEveryOperationIsTriedOrSaysWhy(t *testing.T) {
	known := map[string]bool{}
	for _, o := range contract.Operations() {
		known[o.ID] = true
	}
	for id, o := range probes {
		if !known[id] {
			t.Errorf("the contract has no operation %s", id)
		}
		if (o.Do == nil) == (o.Not == "") || o.Do != nil && o.Limit == 0 {
			t.Errorf("%s needs a probe with a limit, or a reason why there is none", id)
		}
	}
	for _, text := range []string{"masters: 1\nworkers: 1\n", "masters: 3\nworkers: 2\nprofile: minimal\n", "masters: 1\nworkers: 0\n"} {
		ops, err := Of(planFor(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if len(ops) != len(contract.Operations()) {
			t.Errorf("%q: %d of %d operations", text, len(ops), len(contract.Operations()))
		}
		for _, o := range ops {
			if (o.Do == nil) == (o.Not == "") {
				t.Errorf("%q: %s is neither tried nor says why not", text, o.ID)
			}
		}
	}
}

// TestPredictions protects from predictions about what a cluster does not have, and from
// conditions that are not looked at.
func TestPredictions(t *testing.T) {
	for _, test := range []struct {
		text, clause string
		want         []string
	}{
		{"masters: 1\nworkers: 1\n", "master.ingress.ssh", []string{"ssh"}},
		{"masters: 1\nworkers: 1\n", "master.ingress.api", []string{"pod-uses-api"}}, // kubelets use the load balancer
		{"masters: 1\nworkers: 1\n", "master.egress.images", []string{"pull-image"}},
		{"masters: 3\nworkers: 1\n", "master.egress.images", []string{"pod-uses-api", "pull-image"}},
		{"masters: 1\nworkers: 1\n", "master.ingress.kubelet-read-only", nil},
		{"masters: 1\nworkers: 2\n", "worker.egress.node-ports", []string{"node-port-from-pod"}},
		{"masters: 1\nworkers: 1\nschedulableMasters: true\n", "master.ingress.node-ports-as-node", []string{"node-port", "node-port-from-pod"}},
		{"masters: 3\nworkers: 2\nprofile: minimal\n", "worker.ingress.vxlan", []string{"call-webhook", "pod-to-pod", "reach-service", "resolve-service"}},
		// Masters may come by another clause there, and workers may not.
		{"masters: 3\nworkers: 2\nprofile: document\n", "worker.ingress.vxlan", []string{"pod-to-pod", "reach-service"}},
		// Without a quorum no API server has its store.
		{"masters: 3\nworkers: 1\n", "master.ingress.etcd-peer", []string{
			"call-webhook", "check-health", "drain", "exec", "heal-etcd", "join", "logs", "port-forward", "power-cycle", "proxy",
			"renew-certificate", "replicate", "schedule", "store", "update",
		}},
		{"masters: 3\nworkers: 1\n", "master.egress.etcd-client", []string{"heal-etcd"}},
		{"masters: 1\nworkers: 1\netcd: selfHosted\n", "master.ingress.etcd-pods", []string{}},
		// Where the API is apart from the registries, the way to those is for images alone.
		{"masters: 1\nworkers: 1\napiPort: 6443\n", "worker.egress.images", []string{"pull-image"}},
		{"masters: 1\nworkers: 1\noptions:\n  readOnlyPort: true\n", "master.ingress.kubelet-read-only", []string{"kubelet-status"}},
	} {
		got := Predicted(planFor(t, test.text), test.clause)
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: without %s, %v are predicted to break, expected %v", test.text, test.clause, got, test.want)
		}
	}
}

// TestNothingIsTriedWhereItMeansNothing protects from a probe that can only fail, or that says nothing, on
// a cluster of that shape.
func TestNothingIsTriedWhereItMeansNothing(t *testing.T) {
	for _, test := range []struct {
		text string
		not  []string
	}{
		{"masters: 1\nworkers: 0\n", []string{"join", "power-cycle", "renew-certificate", "replicate", "heal-etcd", "resource-metrics"}},
		{"masters: 1\nworkers: 1\netcd: selfHosted\n", []string{"replicate", "heal-etcd", "node-port-from-pod"}},
		{"masters: 1\nworkers: 1\ninfra: 1\nloadBalancer: false\n", []string{"check-health"}},
		{"masters: 3\nworkers: 1\n", []string{"use-console", "machine-metrics", "use-cloud", "keep-time"}},
	} {
		ops, err := Of(planFor(t, test.text))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range ops {
			if slices.Contains(test.not, o.ID) && o.Do != nil {
				t.Errorf("%q: %s is tried", test.text, o.ID)
			}
		}
	}
}

// TestPartsBringOperations protects the way in which a component's operation gets its probe: a
// check of its part that names the operation.
func TestPartsBringOperations(t *testing.T) {
	ops, err := Of(planFor(t, "masters: 1\nworkers: 1\noptions:\n  ingress: true\n  console: true\n  signIn: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range ops {
		if o.ID == "use-console" && o.Do == nil {
			t.Errorf("nobody tries %s: %s", o.ID, o.Not)
		}
	}
}
