package verify_test

import (
	"os"
	"slices"
	"testing"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
	"craton.dev/craton/verify"
)

func running(t *testing.T) *bootstrap.Cluster {
	name := os.Getenv("CRATON_VERIFY_CLUSTER")
	if name == "" {
		t.Skip("CRATON_VERIFY_CLUSTER names no running cluster")
	}
	c, err := bootstrap.Open(name, bootstrap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLive protects what the whole project promises: nothing but what the plan says is
// open, and all of that. It needs a cluster that is up, named by CRATON_VERIFY_CLUSTER.
func TestLive(t *testing.T) {
	c := running(t)
	v, err := verify.Live(t.Context(), c.Platform, c.Plan, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := verify.WriteTable(os.Stdout, v); err != nil {
		t.Fatal(err)
	}
	n := len(c.Plan.Machines)
	if least := n*(n-1) + n*4 + 2; len(v.Pairs) < 2*least {
		t.Errorf("%d pairs and protocols were probed, expected %d or more", len(v.Pairs), 2*least)
	}
	for _, p := range v.Pairs {
		if all := p.OpenObserved + p.ClosedObserved; all != 65535 {
			t.Errorf("%s to %s, %s: %d ports were told, not 65535", p.Source, p.Destination, p.Protocol, all)
		}
	}
	for _, check := range v.Checks {
		if check.Observed != check.Expected {
			t.Errorf("%s: expected %s, observed %s: %s", check.ID, check.Expected, check.Observed, check.Evidence)
		}
	}
}

// TestLiveSees protects TestLive from passing whatever there is: asked about a plan that
// is not the cluster's, it says so, to the port.
func TestLiveSees(t *testing.T) {
	c := running(t)
	other := *c.Plan
	api, _ := contract.ByID("master.ingress.api")
	exporter, _ := contract.ByID("worker.ingress.node-exporter")
	shut, opened := api.Ports[0].First, uint16(2000)
	other.Rules = slices.DeleteFunc(slices.Clone(c.Plan.Rules), func(r plan.Rule) bool {
		return r.Direction == contract.Ingress && slices.Contains(r.Clauses, api.ID)
	})
	for _, side := range []plan.Rule{
		{Role: contract.Master, Direction: contract.Ingress, Peers: []contract.Peer{contract.Workers}},
		{Role: contract.Worker, Direction: contract.Egress, Peers: []contract.Peer{contract.Masters}},
	} {
		side.Protocol, side.Ports, side.Clauses = contract.UDP, []contract.PortRange{{First: opened, Last: opened}}, []string{exporter.ID}
		other.Rules = append(other.Rules, side)
	}
	v, err := verify.Live(t.Context(), c.Platform, &other, verify.Options{
		Between: func(src, dst local.Place) bool {
			return src.Role == string(contract.Worker) && dst.Role == string(contract.Master)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Pairs) == 0 {
		t.Skip("the cluster has no worker")
	}
	for _, check := range v.Checks {
		one := check.Ports.First == check.Ports.Last
		want := check.Expected
		switch {
		case one && check.Ports.First == shut && check.Protocol == contract.TCP:
			want = verify.Open
		case one && check.Ports.First == opened && check.Protocol == contract.UDP:
			want = verify.Closed
		}
		if check.Observed != want {
			t.Errorf("%s: observed %s, expected %s: %s", check.ID, check.Observed, want, check.Evidence)
		}
	}
	if v.Summary.Failed != len(v.Pairs) || v.Summary.Unknown != 0 {
		t.Errorf("%+v of %d pairs and protocols: expected one failure in each", v.Summary, len(v.Pairs))
	}
}
