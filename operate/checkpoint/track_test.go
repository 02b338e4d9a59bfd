package checkpoint

import (
	"testing"
	"time"
)

// TestAges protects when ages begin, go on and begin again.
func TestAges(t *testing.T) {
	start := time.Now()
	at := func(tr *tracker, seconds int, l look) ages {
		return tr.State(start.Add(time.Duration(seconds)*time.Second), l).Ages
	}
	up := look{Runtime: true, API: answers, Lease: "a"}
	down := look{Runtime: true, API: unreachable}
	tr := &tracker{Kind: leading}
	for _, step := range []struct {
		name   string
		second int
		look   look
		age    func(ages) time.Duration
		want   time.Duration
	}{
		{"a lease that is seen for the first time counts as renewed", 0, up, func(a ages) time.Duration { return a.Unrenewed }, 0},
		{"it is not renewed", 4, up, func(a ages) time.Duration { return a.Unrenewed }, 4},
		{"it is", 6, saw(up, func(l *look) { l.Lease = "b" }), func(a ages) time.Duration { return a.Unrenewed }, 0},
		{"it is gone", 9, saw(up, func(l *look) { l.Lease = "" }), func(a ages) time.Duration { return a.Unrenewed }, 3},
		{"nobody could renew it", 100, down, func(a ages) time.Duration { return a.Unrenewed }, 0},
		{"the API is away for some time", 103, down, func(a ages) time.Duration { return a.Unreachable }, 3},
		{"and back", 104, saw(up, func(l *look) { l.Lease = "b" }), func(a ages) time.Duration { return a.Unrenewed }, 1},
		{"no longer away", 105, up, func(a ages) time.Duration { return a.Unreachable }, 0},
		{"ready", 110, saw(up, func(l *look) { l.Real = processReady }), func(a ages) time.Duration { return a.Ready }, 0},
		{"still ready", 112, saw(up, func(l *look) { l.Real = processReady }), func(a ages) time.Duration { return a.Ready }, 2},
		{"not for one look", 113, saw(up, func(l *look) { l.Real = processRunning }), func(a ages) time.Duration { return a.Ready }, 0},
		{"ready anew", 114, saw(up, func(l *look) { l.Real = processReady }), func(a ages) time.Duration { return a.Ready }, 0},
		{"nobody knows", 118, saw(up, func(l *look) { l.Real, l.Runtime = processReady, false }), func(a ages) time.Duration { return a.Ready }, 0},
		{"missing", 120, saw(up, func(l *look) { l.Pod = true }), func(a ages) time.Duration { return a.Missing }, 0},
		{"still missing", 125, saw(up, func(l *look) { l.Pod = true }), func(a ages) time.Duration { return a.Missing }, 5},
		{"a stand-in is no sign of leaving", 130, saw(up, func(l *look) { l.Node, l.StandIn = nodeOther, true }), func(a ages) time.Duration { return a.Left }, 0},
		{"left", 140, saw(up, func(l *look) { l.Node = nodeOther }), func(a ages) time.Duration { return a.Left }, 0},
		{"still left", 150, saw(up, func(l *look) { l.Node = nodeOther }), func(a ages) time.Duration { return a.Left }, 10},
	} {
		if got := step.age(at(tr, step.second, step.look)); got != step.want*time.Second {
			t.Errorf("%s: %s, want %d s", step.name, got, step.want)
		}
	}
}

// TestReadyElsewhere protects from trust in what the API says of another machine's pod while
// nobody leads. An API server has no lease, so that there it counts in any case.
func TestReadyElsewhere(t *testing.T) {
	start := time.Now()
	for kind, want := range map[kind]time.Duration{leading: 0, serving: 40 * time.Second} {
		tr := &tracker{Kind: kind}
		var s state
		for i := range 41 {
			s = tr.State(start.Add(time.Duration(i)*time.Second), look{Runtime: true, API: answers, RealElsewhere: true, Lease: "a"})
			if i == 9 && s.Ages.ReadyElsewhere != 9*time.Second {
				t.Errorf("%s: %s while the lease was renewed", kind, s.Ages.ReadyElsewhere)
			}
		}
		if s.Ages.ReadyElsewhere != want {
			t.Errorf("%s: %s, want %s", kind, s.Ages.ReadyElsewhere, want)
		}
	}
}

// TestSilentAPI protects that what the API said before is not used once it is silent.
func TestSilentAPI(t *testing.T) {
	tr := &tracker{Kind: serving}
	s := tr.State(time.Now(), look{Runtime: true, API: unreachable, Pod: true, RealElsewhere: true, Node: nodeOther, Lease: "a"})
	if s.Pod || s.RealElsewhere || s.Node != nodeUnknown || !s.HeldHere {
		t.Errorf("%+v", s)
	}
}

// TestSeenRunning protects the difference between a machine that has just started and one
// whose API server has just ended.
func TestSeenRunning(t *testing.T) {
	for _, test := range []struct {
		look look
		want bool
	}{
		{look{Runtime: true}, false},
		{look{Runtime: true, Real: processRunning}, true},
		{look{Runtime: true, StandIn: true}, true},
		{look{Runtime: false, Real: processRunning}, false},
	} {
		tr := &tracker{Kind: serving}
		tr.State(time.Now(), test.look)
		if got := tr.State(time.Now(), look{Runtime: true}).SeenRunning; got != test.want {
			t.Errorf("%+v: %t", test.look, got)
		}
	}
}

func saw(l look, change func(*look)) look {
	change(&l)
	return l
}
