package test

import (
	"testing"

	"craton.dev/craton/verify"
)

// testEveryPort protects what the whole project promises: between every ordered pair of
// user network, outside and machines, of all 65,535 ports, tcp and udp, exactly those are
// open that the plan opens. A port that cannot be told is not a pass.
func testEveryPort(t *testing.T, l *lab) {
	c := l.open(t)
	v, err := verify.Live(t.Context(), c.Platform, c.Plan, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Pairs {
		t.Logf("%s → %s %s: %d open, %d closed", p.Source, p.Destination, p.Protocol, p.OpenObserved, p.ClosedObserved)
		if all := p.OpenObserved + p.ClosedObserved; all != 65535 {
			t.Errorf("%s → %s %s: %d of 65535 ports could be told", p.Source, p.Destination, p.Protocol, all)
		}
	}
	for _, check := range v.Checks {
		if check.Observed != check.Expected {
			t.Errorf("%s: expected %s, observed %s: %s", check.ID, check.Expected, check.Observed, check.Evidence)
		}
	}
}
