package checkpoint

import (
	"testing"
	"time"
)

// TestAges protects when ages begin, go on and begin again.
func TestAges(t *testing.T) {
	start := time.Now()
	at := func(tr *Tracker, seconds int, l Look) Ages {
		return tr.State(start.Add(time.Duration(seconds)*time.Second), l).Ages
	}
	up := Look{Runtime: true, API: Answers, Lease: "a"}
	down := Look{Runtime: true, API: Unreachable}
	tr := &Tracker{Kind: Leading}
	for _, step := range []struct {
		name   string
		second int
		look   Look
		age    func(Ages) time.Duration
		want   time.Duration
	}{
		{"a lease that is seen for the first time counts as renewed", 0, up, func(a Ages) time.Duration { return a.Unrenewed }, 0},
		{"it is not renewed", 4, up, func(a Ages) time.Duration { return a.Unrenewed }, 4},
		{"it is", 6, saw(up, func(l *Look) { l.Lease = "b" }), func(a Ages) time.Duration { return a.Unrenewed }, 0},
		{"it is gone", 9, saw(up, func(l *Look) { l.Lease = "" }), func(a Ages) time.Duration { return a.Unrenewed }, 3},
		{"nobody could renew it", 100, down, func(a Ages) time.Duration { return a.Unrenewed }, 0},
		{"the API is away for some time", 103, down, func(a Ages) time.Duration { return a.Unreachable }, 3},
		{"and back", 104, saw(up, func(l *Look) { l.Lease = "b" }), func(a Ages) time.Duration { return a.Unrenewed }, 1},
		{"no longer away", 105, up, func(a Ages) time.Duration { return a.Unreachable }, 0},
		{"ready", 110, saw(up, func(l *Look) { l.Real = Ready }), func(a Ages) time.Duration { return a.Ready }, 0},
		{"still ready", 112, saw(up, func(l *Look) { l.Real = Ready }), func(a Ages) time.Duration { return a.Ready }, 2},
		{"not for one look", 113, saw(up, func(l *Look) { l.Real = Running }), func(a Ages) time.Duration { return a.Ready }, 0},
		{"ready anew", 114, saw(up, func(l *Look) { l.Real = Ready }), func(a Ages) time.Duration { return a.Ready }, 0},
		{"nobody knows", 118, saw(up, func(l *Look) { l.Real, l.Runtime = Ready, false }), func(a Ages) time.Duration { return a.Ready }, 0},
		{"missing", 120, saw(up, func(l *Look) { l.Pod = true }), func(a Ages) time.Duration { return a.Missing }, 0},
		{"still missing", 125, saw(up, func(l *Look) { l.Pod = true }), func(a Ages) time.Duration { return a.Missing }, 5},
		{"a stand-in is no sign of leaving", 130, saw(up, func(l *Look) { l.Node, l.StandIn = NodeOther, true }), func(a Ages) time.Duration { return a.Left }, 0},
		{"left", 140, saw(up, func(l *Look) { l.Node = NodeOther }), func(a Ages) time.Duration { return a.Left }, 0},
		{"still left", 150, saw(up, func(l *Look) { l.Node = NodeOther }), func(a Ages) time.Duration { return a.Left }, 10},
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
	for kind, want := range map[Kind]time.Duration{Leading: 0, Serving: 40 * time.Second} {
		tr := &Tracker{Kind: kind}
		var s State
		for i := range 41 {
			s = tr.State(start.Add(time.Duration(i)*time.Second), Look{Runtime: true, API: Answers, RealElsewhere: true, Lease: "a"})
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
	tr := &Tracker{Kind: Serving}
	s := tr.State(time.Now(), Look{Runtime: true, API: Unreachable, Pod: true, RealElsewhere: true, Node: NodeOther, Lease: "a"})
	if s.Pod || s.RealElsewhere || s.Node != NodeUnknown || !s.HeldHere {
		t.Errorf("%+v", s)
	}
}

// TestSeenRunning protects the difference between a machine that has just started and one
// whose API server has just ended.
func TestSeenRunning(t *testing.T) {
	for _, test := range []struct {
		look Look
		want bool
	}{
		{Look{Runtime: true}, false},
		{Look{Runtime: true, Real: Running}, true},
		{Look{Runtime: true, StandIn: true}, true},
		{Look{Runtime: false, Real: Running}, false},
	} {
		tr := &Tracker{Kind: Serving}
		tr.State(time.Now(), test.look)
		if got := tr.State(time.Now(), Look{Runtime: true}).SeenRunning; got != test.want {
			t.Errorf("%+v: %t", test.look, got)
		}
	}
}

func saw(l Look, change func(*Look)) Look {
	change(&l)
	return l
}
