package checkpoint

import "time"

// look is what was seen of one component, at one time.
type look struct {
	Runtime bool
	Real    processState
	// StandIn: its container runs.
	StandIn            bool
	API                reached
	Pod, RealElsewhere bool
	Node               membership
	// Lease changes whenever the lease is renewed; "" where there is none.
	Lease              string
	HeldHere           bool
	Checkpoint, Active bool
	// Data and Turn are about one that is storing: the machine has data, and the other
	// machines can do without it for a moment.
	Data, Turn bool
}

// tracker remembers of a component since when things have been so. It has no clock: it is
// told the time, which has to be a monotonic one.
type tracker struct {
	Kind kind

	seenRunning bool
	since       map[age]time.Time
	lease       string
	renewed     time.Time
}

type age int

const (
	ageUnreachable age = iota
	ageMissing
	ageReady
	ageElsewhere
	ageLeft
	ageTurn
)

// State is what decide wants to know, after this look.
func (t *tracker) State(now time.Time, l look) state {
	if t.since == nil {
		t.since = map[age]time.Time{}
	}
	if l.Runtime && (l.Real != processAbsent || l.StandIn) {
		t.seenRunning = true
	}
	if l.API != answers {
		// The API's answers about the rest are not to be used.
		l.Pod, l.RealElsewhere, l.Node, l.Lease, l.HeldHere = false, false, nodeUnknown, "", true
		// Nobody could renew the lease: it counts from when somebody can.
		t.renewed = now
	}
	if l.Lease != "" && l.Lease != t.lease || t.renewed.IsZero() {
		t.lease, t.renewed = l.Lease, now
	}
	answers, absent := l.API == answers, l.Runtime && l.Real == processAbsent
	s := state{
		Kind: t.Kind, Runtime: l.Runtime, Real: l.Real, API: l.API, Pod: l.Pod,
		RealElsewhere: l.RealElsewhere, Node: l.Node, HeldHere: l.HeldHere, Checkpoint: l.Checkpoint, Active: l.Active,
		SeenRunning: t.seenRunning, Data: l.Data,
	}
	s.Ages.Unrenewed = now.Sub(t.renewed)
	s.Ages.Unreachable = t.held(now, ageUnreachable, l.API == unreachable)
	s.Ages.Missing = t.held(now, ageMissing, answers && absent && l.Pod)
	s.Ages.Ready = t.held(now, ageReady, answers && l.Runtime && l.Real == processReady)
	s.Ages.ReadyElsewhere = t.held(now, ageElsewhere, answers && l.RealElsewhere && (t.Kind == serving || s.Ages.Unrenewed < unrenewed))
	s.Ages.Left = t.held(now, ageLeft, answers && absent && !l.StandIn && !l.Active && !l.Pod && l.Node == nodeOther)
	s.Ages.Turn = t.held(now, ageTurn, answers && l.Runtime && l.Real != processAbsent && l.Pod && l.Turn)
	return s
}

func (t *tracker) held(now time.Time, a age, is bool) time.Duration {
	if !is {
		delete(t.since, a)
		return 0
	}
	since, ok := t.since[a]
	if !ok {
		t.since[a], since = now, now
	}
	return now.Sub(since)
}
