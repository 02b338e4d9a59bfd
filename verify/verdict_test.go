package verify

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
)

// Silence is "closed" only where the drops are counted, and an arrival without an answer
// is never "closed".
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		arrived, answered bool
		missing           int
		want              State
	}{
		{true, true, 0, Open}, {false, true, 0, Open}, {true, true, 5, Open},
		{true, false, 0, Unknown}, {true, false, 1, Unknown},
		{false, false, 1, Unknown}, {false, false, 0, Closed},
	} {
		if got := judge(test.arrived, test.answered, test.missing); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// Ranges are as long as they can be, and hold every port once with its own finding.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		findings := make([]finding, rapid.IntRange(1, 60).Draw(t, "ports"))
		for i := range findings {
			findings[i] = finding{
				expected: rapid.SampledFrom([]State{Open, Closed}).Draw(t, "expected"),
				observed: rapid.SampledFrom([]State{Open, Closed, Unknown}).Draw(t, "observed"),
				clauses:  rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}}).Draw(t, "clauses"),
			}
		}
		next := 1
		runs := merge(len(findings), func(port uint16) finding { return findings[port-1] })
		for i, r := range runs {
			if int(r.First) != next {
				t.Fatalf("range %d starts at %d, expected %d", i, r.First, next)
			}
			for port := r.First; port <= r.Last; port++ {
				if !findings[port-1].equal(r.finding) {
					t.Fatalf("port %d: %+v is in %+v", port, findings[port-1], r)
				}
			}
			if i > 0 && runs[i-1].equal(r.finding) {
				t.Fatalf("ranges %d and %d are one", i-1, i)
			}
			next = int(r.Last) + 1
		}
		if next != len(findings)+1 {
			t.Fatalf("the ranges end at %d of %d", next-1, len(findings))
		}
	})
	// The last port of all: its successor is no uint16.
	if runs := merge(ports, func(uint16) finding { return finding{} }); len(runs) != 1 || runs[0].Last != ports {
		t.Errorf("%v", runs)
	}
}

// "unknown" is neither passed nor a mismatch, and every port is in one column of each side.
func TestCount(t *testing.T) {
	var s Summary
	var p Pair
	for i, c := range []struct{ expected, observed State }{
		{Open, Open}, {Closed, Closed}, {Open, Closed}, {Closed, Open}, {Open, Unknown}, {Closed, Unknown},
	} {
		s.count(Check{Expected: c.expected, Observed: c.observed})
		p.count(run{contract.PortRange{First: 1, Last: uint16(1) << i}, finding{expected: c.expected, observed: c.observed}})
	}
	if want := (Summary{Passed: 2, Failed: 2, Unknown: 2}); s != want {
		t.Errorf("%+v, expected %+v", s, want)
	}
	want := Pair{OpenExpected: 1 + 4 + 16, ClosedExpected: 2 + 8 + 32, OpenObserved: 1 + 8, ClosedObserved: 2 + 4, Unknown: 16 + 32, Mismatches: 4 + 8}
	if p != want {
		t.Errorf("%+v, expected %+v", p, want)
	}
}

// Every ordered pair that the plan has a word on is there, and none that meets no rule.
func TestPairs(t *testing.T) {
	place := func(name, namespace, role string) local.Place {
		return local.Place{Name: name, Namespace: namespace, Role: role}
	}
	places := []local.Place{
		place("user", "user", ""), place("outside", "outside", ""), place("resolver", "outside", ""),
		place("balancer", "balancer", ""), place("m", "m", "master"), place("w", "w", "worker"),
	}
	var got []string
	for _, p := range pairsOf(places, nil) {
		got = append(got, p.src.Name+">"+p.dst.Name)
	}
	want := []string{
		"user>outside", "user>m", "user>w", "outside>user", "outside>m", "outside>w", "resolver>m", "resolver>w", "balancer>m", "balancer>w",
		"m>user", "m>outside", "m>resolver", "m>balancer", "m>w", "w>user", "w>outside", "w>resolver", "w>balancer", "w>m",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, expected %v", got, want)
	}
}

// Both sides of each boundary are tried with ordinary sockets, and no port that is none.
func TestSamples(t *testing.T) {
	p := &plan.Plan{Rules: []plan.Rule{
		{Ports: []contract.PortRange{{First: 1, Last: 65535}}}, {Ports: []contract.PortRange{{First: 30000, Last: 32767}}},
	}}
	got := samples(p, 5)
	for _, port := range []uint16{1, 29999, 30000, 32767, 32768, 65535} {
		if !slices.Contains(got, port) {
			t.Errorf("%d is not tried: %v", port, got)
		}
	}
	if slices.Contains(got, 0) || len(got) != 6+5 {
		t.Errorf("%v", got)
	}
}
