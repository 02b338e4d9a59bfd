package test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
	"craton.dev/craton/prove"
)

// sabotages are contracts that are too narrow, as they come out in a plan's rules, each with the
// operation that then does not work. Those that are too wide, and many more, are found without a
// cluster: by package verify's tests.
var sabotages = []struct {
	name, clause, stops string
	change              func(*plan.Rule)
}{
	{"a port off by one", "master.ingress.ssh", "ssh", func(r *plan.Rule) { r.Ports = []contract.PortRange{{First: 23, Last: 23}} }},
	{"udp for tcp", "worker.ingress.node-ports", "node-port", func(r *plan.Rule) { r.Protocol = contract.UDP }},
	{"a peer missing", "master.ingress.vxlan", "pod-to-pod", func(r *plan.Rule) { r.Peers = []contract.Peer{contract.Masters} }},
	{"another peer", "master.ingress.api", "pod-uses-api", func(r *plan.Rule) { r.Peers = []contract.Peer{contract.Masters} }},
}

const sabotageCluster = "cisabotage"

// TestSabotage protects from a contract with a mistake in it that a proof would pass: with exactly the
// rules that come of it the proof names the operation that does not work, and takes nothing out.
func TestSabotage(t *testing.T) {
	needHost(t)
	l := newReadyLab(t, sabotageCluster, 1, 1, "profile: minimal")
	c, err := bootstrap.Open(l.name, bootstrap.Options{Cache: payload.DefaultCache()})
	if err != nil {
		t.Fatal(err)
	}
	stage, leave, err := c.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(c.Platform.Enforce(ctx, c.Plan, nil), leave()); err != nil {
			t.Error(err)
		}
	})
	all, err := operation.Of(c.Plan)
	if err != nil {
		t.Fatal(err)
	}
	var ops []operation.Operation
	for _, s := range sabotages {
		i := slices.IndexFunc(all, func(o operation.Operation) bool { return o.ID == s.stops })
		ops = append(ops, all[i])
	}
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			wrong := *c.Plan
			wrong.Rules = slices.Clone(c.Plan.Rules)
			for i := range wrong.Rules {
				if slices.Contains(wrong.Rules[i].Clauses, s.clause) {
					s.change(&wrong.Rules[i])
				}
			}
			proof, err := prove.Run(t.Context(), prove.Options{Plan: &wrong, Fabric: c.Platform, Stage: stage, Operations: ops, Clauses: []string{}})
			var insufficient *prove.NotSufficient
			if !errors.As(err, &insufficient) || insufficient.Operation != s.stops || len(proof.Findings()) != 1 {
				t.Errorf("%s is wrong: expected that %s is named alone, found %v", s.clause, s.stops, err)
			}
		})
	}
}
