package prove

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// fabric stands for a cluster's: it knows which plan is in force. Experiments on real ones are
// in package test.
type fabric struct {
	now   *plan.Plan
	fails bool
}

func (f *fabric) Enforce(_ context.Context, p *plan.Plan, _ map[string]nftables.Count) error {
	if f.fails {
		return errors.New("nft: no")
	}
	f.now = p
	return nil
}

func (f *fabric) Counters(context.Context) (clauses, drops map[string]nftables.Count, err error) {
	return nil, map[string]nftables.Count{}, nil
}

func makePlan(t *testing.T, more string) *plan.Plan {
	t.Helper()
	file, err := cluster.Parse("test.yaml", []byte("name: demo\nmasters: 1\nworkers: 1\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// obeying are a plan's operations, as they would be if each needed exactly the clauses that the
// contract says, but for one that needs others.
func obeying(t *testing.T, p *plan.Plan, f *fabric, other map[string][]string) []operation.Operation {
	t.Helper()
	all, err := operation.Of(p)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range all {
		if o.Do == nil {
			continue
		}
		needs := slices.DeleteFunc(p.Opening(), func(id string) bool { return !slices.Contains(operation.Predicted(p, id), o.ID) })
		if changed, ok := other[o.ID]; ok {
			needs = changed
		}
		all[i].Do = func(context.Context, *operation.Stage) (string, error) {
			for _, id := range needs {
				if !slices.Contains(f.now.Opening(), id) {
					return "", errors.New("no answer")
				}
			}
			return "answered", nil
		}
		all[i].Limit = time.Minute
	}
	return all
}

// TestEveryClauseHasAVerdict protects the result: in the minimal profile every clause that opens
// something breaks what the contract says, and nothing is a finding.
func TestEveryClauseHasAVerdict(t *testing.T) {
	p, f := makePlan(t, "profile: minimal\n"), &fabric{}
	proof, err := Run(t.Context(), Options{Plan: p, Fabric: f, Operations: obeying(t, p, f, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if len(proof.Findings()) > 0 || !proof.Complete {
		t.Errorf("complete: %v; findings: %v", proof.Complete, proof.Findings())
	}
	for _, c := range contract.Clauses() {
		if !proof.has(c.ID) {
			t.Errorf("nothing is said about %s", c.ID)
		}
	}
	for _, n := range proof.Necessary {
		if slices.Contains(p.Opening(), n.Clause) != (n.Verdict == Necessary) {
			t.Errorf("%s: %s: %s", n.Clause, n.Verdict, n.Detail)
		}
		if n.Verdict != Necessary && n.Detail == "" {
			t.Errorf("%s is %s without a reason", n.Clause, n.Verdict)
		}
	}
	if !slices.Equal(f.now.Opening(), p.Opening()) {
		t.Error("a clause stays out")
	}
	for _, write := range []func() error{
		func() error { return WriteTable(&bytes.Buffer{}, proof) },
		func() error {
			var b bytes.Buffer
			err := WriteHTML(&b, proof)
			if err == nil && (strings.Contains(b.String(), "http://") || strings.Contains(b.String(), "https://") || !strings.Contains(b.String(), `class="m breaks"`)) {
				err = errors.New("the page needs a network, or has no matrix")
			}
			return err
		},
	} {
		if err := write(); err != nil {
			t.Error(err)
		}
	}
}

// TestDifferencesAreFindings protects from a prediction that is wrong, either way, and from
// calling a clause needed that another one covers.
func TestDifferencesAreFindings(t *testing.T) {
	p, f := makePlan(t, "profile: minimal\n"), &fabric{}
	ops := obeying(t, p, f, map[string][]string{"ssh": {"worker.egress.dns"}})
	proof, err := Run(t.Context(), Options{Plan: p, Fabric: f, Operations: ops, Clauses: []string{"master.ingress.ssh", "worker.egress.dns"}})
	if err != nil {
		t.Fatal(err)
	}
	if found := strings.Join(proof.Findings(), "\n"); len(proof.Findings()) != 2 ||
		!strings.Contains(found, "without master.ingress.ssh: expected to break, and did not: ssh") ||
		!strings.Contains(found, "without worker.egress.dns: broke, and was not expected to: ssh") {
		t.Errorf("findings: %v", proof.Findings())
	}

	p, f = makePlan(t, ""), &fabric{} // profile document: all ports of workers are open to masters
	proof, err = Run(t.Context(), Options{Plan: p, Fabric: f, Operations: obeying(t, p, f, map[string][]string{"exec": nil, "logs": nil, "port-forward": nil, "proxy": nil}),
		Clauses: []string{"worker.ingress.kubelet", "worker.ingress.masters-all"}})
	if err != nil || len(proof.Findings()) > 0 {
		t.Fatal(err, proof.Findings())
	}
	for _, n := range proof.Necessary {
		if n.Verdict != Redundant {
			t.Errorf("%s: %s: %s", n.Clause, n.Verdict, n.Detail)
		}
	}
}

// TestBadLuckIsNoFinding protects from a finding that says something about the host only: what does not work
// at once, and works a moment later while the clause is still out, does not need it.
func TestBadLuckIsNoFinding(t *testing.T) {
	for failures, finding := range map[int]bool{tries - 1: false, tries: true} {
		p, f := makePlan(t, "profile: minimal\n"), &fabric{}
		ops := obeying(t, p, f, nil)
		i := slices.IndexFunc(ops, func(o operation.Operation) bool { return o.ID == "node-port" })
		works, left := ops[i].Do, failures
		ops[i].Do = func(ctx context.Context, s *operation.Stage) (string, error) {
			if !slices.Contains(f.now.Opening(), "master.ingress.ssh") && left > 0 {
				left--
				return "", errors.New("the host is busy")
			}
			return works(ctx, s)
		}
		proof, err := Run(t.Context(), Options{Plan: p, Fabric: f, Operations: ops, Clauses: []string{"master.ingress.ssh"}})
		if err != nil || len(proof.Findings()) > 0 != finding {
			t.Errorf("node-port fails %d times: %v, findings %q", failures, err, proof.Findings())
		}
	}
}

// TestWhatBreaksLaterIsBroken protects from a finding that comes too early: what needs a clause and works on for a
// moment without it is asked again; what goes on working is a finding, and so is what was unlucky once.
func TestWhatBreaksLaterIsBroken(t *testing.T) {
	for name, test := range map[string]struct {
		breaks  []bool // by how often it was asked without the clause; the last goes on
		finding bool
	}{
		"later":     {[]bool{false, true}, false},
		"never":     {[]bool{false}, true},
		"just once": {[]bool{false, true, false}, true},
	} {
		p, f := makePlan(t, "profile: minimal\n"), &fabric{}
		ops := obeying(t, p, f, nil)
		i := slices.IndexFunc(ops, func(o operation.Operation) bool { return o.ID == "ssh" })
		works, asked := ops[i].Do, 0
		ops[i].Do = func(ctx context.Context, s *operation.Stage) (string, error) {
			if slices.Contains(f.now.Opening(), "master.ingress.ssh") {
				return works(ctx, s)
			}
			breaks := test.breaks[min(asked, len(test.breaks)-1)]
			asked++
			if breaks {
				return "", errors.New("no answer")
			}
			return "answered", nil
		}
		proof, err := Run(t.Context(), Options{Plan: p, Fabric: f, Operations: ops, Clauses: []string{"master.ingress.ssh"}})
		if err != nil || len(proof.Findings()) > 0 != test.finding {
			t.Errorf("%s: %v, findings %q", name, err, proof.Findings())
		}
	}
}

// TestNothingIsTakenOutOfABrokenCluster protects from verdicts that mean nothing.
func TestNothingIsTakenOutOfABrokenCluster(t *testing.T) {
	p, f := makePlan(t, "profile: minimal\n"), &fabric{}
	ops := obeying(t, p, f, map[string][]string{"exec": {"no.such.clause"}})
	out := false
	proof, err := Run(t.Context(), Options{Plan: p, Fabric: f, Operations: ops, Out: func(string) error { out = true; return nil }})
	var insufficient *NotSufficient
	if !errors.As(err, &insufficient) || insufficient.Operation != "exec" || out || len(proof.Findings()) == 0 {
		t.Errorf("%v; taken out: %v; %v", err, out, proof.Findings())
	}
}

// TestGoesOn protects the time that a proof has taken: one that was stopped begins where it was,
// and one of another plan does not.
func TestGoesOn(t *testing.T) {
	p, f := makePlan(t, "profile: minimal\n"), &fabric{}
	file := filepath.Join(t.TempDir(), "proof.json")
	ctx, stop := context.WithCancel(t.Context())
	outs := 0
	opt := Options{Plan: p, Fabric: f, Operations: obeying(t, p, f, nil), File: file, Out: func(string) error {
		if outs++; outs == 3 {
			stop()
		}
		return nil
	}}
	if _, err := Run(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	if !slices.Equal(f.now.Opening(), p.Opening()) {
		t.Error("a clause stays out after a stop")
	}
	opt.Out = func(string) error { outs++; return nil }
	proof, err := Run(t.Context(), opt)
	if err != nil || !proof.Complete {
		t.Fatal(err)
	}
	if proof.Seconds <= 0 {
		t.Errorf("it says that it took %f s", proof.Seconds)
	}
	if want := len(p.Opening()) + 1; outs != want { // the third one twice
		t.Errorf("%d clauses were taken out, expected %d", outs, want)
	}
	other := opt
	other.Plan = makePlan(t, "")
	other.Operations = obeying(t, other.Plan, f, nil)
	if proof, err := begin(other); err != nil || len(proof.Necessary) > 0 {
		t.Errorf("the results of another plan are taken over: %v", err)
	}
}

// TestStopsInTime protects the time that a proof is given: it ends between two clauses, what it has found
// stays, and when it goes on it does not try again what takes long.
func TestStopsInTime(t *testing.T) {
	p, f := makePlan(t, "profile: minimal\n"), &fabric{}
	file := filepath.Join(t.TempDir(), "proof.json")
	opt := Options{Plan: p, Fabric: f, Operations: obeying(t, p, f, nil), File: file, For: time.Nanosecond}
	proof, err := Run(t.Context(), opt)
	if !errors.Is(err, ErrTime) || len(proof.Necessary)+len(p.Opening()) != len(contract.Clauses()) || len(proof.Sufficient.Operations) == 0 {
		t.Fatalf("%v; %d clauses", err, len(proof.Necessary))
	}
	for i, o := range opt.Operations {
		if o.Do != nil && o.Slow {
			opt.Operations[i].Do = func(context.Context, *operation.Stage) (string, error) {
				return "", errors.New("it was tried again")
			}
		}
	}
	opt.Clauses, opt.For = []string{"master.ingress.ssh"}, time.Hour
	if proof, err = Run(t.Context(), opt); err != nil || !proof.has("master.ingress.ssh") {
		t.Error(err)
	}
	for _, one := range proof.Sufficient.Operations {
		if !one.OK {
			t.Errorf("%s: %s", one.ID, one.Detail)
		}
	}
}

// TestTheReasonThatNoVerdictHas protects from a page on which a clause "applies only if" something that one of
// the clusters has: where a clause is open and had no turn, the page says where.
func TestTheReasonThatNoVerdictHas(t *testing.T) {
	here, there := makePlan(t, "profile: minimal\n"), makePlan(t, "profile: document\n")
	proofs := []*Proof{{Shape: "one", Profile: "minimal", Plan: here}, {Shape: "other", Profile: "document", Plan: there}}
	for _, c := range contract.Clauses() {
		got := noVerdict(c, proofs)
		open := slices.Contains(here.Opening(), c.ID) || slices.Contains(there.Opening(), c.ID)
		if open != strings.HasPrefix(got, "it had no turn yet in ") || got == "" {
			t.Errorf("%s: open is %v, and the reason %q", c.ID, open, got)
		}
		if c.ID == "worker.ingress.masters-all" && got != "it had no turn yet in other, profile document" {
			t.Errorf("%s: %s", c.ID, got)
		}
	}
}

// TestRedundantClausesSayWhatTheyCost protects from a verdict "redundant" that nobody can weigh.
func TestRedundantClausesSayWhatTheyCost(t *testing.T) {
	p := makePlan(t, "profile: document\n")
	if got := cost(p, "worker.ingress.masters-all"); got != "65535 tcp ports of 1 worker, open to masters and 65535 udp ports of 1 worker, open to masters" {
		t.Errorf("it costs %s", got)
	}
	proof := &Proof{Plan: p}
	for want, n := range map[string]Necessity{
		nobodyUses + "; it costs 1 tcp port out of 1 master, to resolvers and 1 udp port out of 1 master, to resolvers": {Verdict: Redundant, Detail: nobodyUses},
		"why, so it costs nothing more": {Verdict: Redundant, Detail: "why", Within: []string{"master.egress.workers-all"}},
		"why":                           {Verdict: Necessary, Detail: "why"},
	} {
		n.Clause = "master.egress.dns"
		if got := proof.why(n); got != want {
			t.Errorf("%s, expected %s", got, want)
		}
	}
}
