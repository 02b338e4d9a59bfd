package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what a history shows. It passes only where nothing is lost, nothing is wrong
// and nothing could not be decided.
type Verdict struct {
	// Tried are the writes that were asked for; of those, Acked were acknowledged and of
	// Unclear it was not said whether they were done.
	Tried, Acked, Unclear int
	// Reads are those that were answered.
	Reads int
	// Lost are acknowledged writes that are not part of how the last value came about.
	Lost int
	// Wrong are sentences, one a key whose history no register has.
	Wrong []string
	// Undecided are the keys for which there was not time enough, or no read at the end.
	Undecided []string
}

// Passed tells whether the history is one of a correct cluster.
func (v Verdict) Passed() bool {
	return v.Lost == 0 && len(v.Wrong) == 0 && len(v.Undecided) == 0
}

// Check decides about a history, each key for itself, within the time for each. The last
// read of each key has to be after all else has come to rest: what counts as lost is seen
// from there. A key that nobody has read since its last acknowledged write is undecided.
func Check(ops []Op, limit time.Duration) Verdict {
	v := Verdict{}
	byKey := map[string][]Op{}
	for _, op := range ops {
		byKey[op.Key] = append(byKey[op.Key], op)
		switch {
		case op.Kind == Read:
			if op.Outcome == OK {
				v.Reads++
			}
			continue
		case op.Outcome == OK:
			v.Acked++
		case op.Outcome == Unknown:
			v.Unclear++
		}
		v.Tried++
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		history := settle(byKey[key])
		lost, unseen := lostOf(byKey[key], history)
		v.Lost += len(lost)
		if unseen {
			v.Undecided = append(v.Undecided, key)
		}
		switch porcupine.CheckOperationsTimeout(register, operations(history), limit) {
		case porcupine.Ok:
			if len(lost) > 0 {
				v.Wrong = append(v.Wrong, fmt.Sprintf("%s: acknowledged but not there: %s", key, sample(lost)))
			}
		case porcupine.Illegal:
			why := "no order of its operations explains what was read"
			if len(lost) > 0 {
				why = "acknowledged but not there: " + sample(lost)
			}
			v.Wrong = append(v.Wrong, key+": "+why)
		case porcupine.Unknown:
			v.Undecided = append(v.Undecided, key)
		}
	}
	return v
}

// settle leaves out what was surely not done, and decides of each write with no answer
// whether it was: where its value was seen it was done, and before the first who saw it
// had its answer. Where nobody saw it, its having been done changes nothing that anybody
// was told, so it can be left out.
//
// Without that, each such write would be open till the end, and the search for an order
// would try every subset of them.
func settle(ops []Op) []Op {
	seen := map[string]time.Duration{} // a value, and when the first who saw it had its answer
	note := func(op Op) (news bool) {
		for _, value := range observed(op) {
			if at, ok := seen[value]; !ok || op.Return < at {
				seen[value], news = op.Return, true
			}
		}
		return news
	}
	var out, open []Op
	for _, op := range ops {
		switch {
		case op.Outcome == OK, op.Outcome == Refused:
			out = append(out, op)
			note(op)
		case op.Outcome == Unknown && op.Kind != Read:
			open = append(open, op)
		}
	}
	// A write that was done has itself seen the value that it replaced.
	for again := true; again; {
		again = false
		for _, op := range open {
			if at, ok := seen[op.New]; ok && note(done(op, at)) {
				again = true
			}
		}
	}
	for _, op := range open {
		if at, ok := seen[op.New]; ok {
			out = append(out, done(op, at))
		}
	}
	slices.SortStableFunc(out, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return out
}

// done is an operation whose effect was seen at that time.
func done(op Op, seen time.Duration) Op {
	op.Outcome, op.Return = OK, max(op.Call, seen) // it may come after the client has given up
	return op
}

// observed are the values that an operation's answer shows to have been written.
func observed(op Op) []string {
	switch {
	case op.Kind == Read && op.Outcome == OK, op.Outcome == Refused && op.Got != "":
		return []string{op.Got}
	case op.Kind == CAS && op.Outcome == OK:
		return []string{op.Old}
	}
	return nil
}

// lostOf are the values of a history that were acknowledged and did not lead to what was
// read last. Each successful CAS of the settled history says which value it has replaced,
// so the way back from the last value is known. A key with puts is one that is written once.
// unseen says that something was acknowledged after the last read.
func lostOf(ops, settled []Op) (lost []string, unseen bool) {
	last, at := "", time.Duration(-1)
	before := map[string]string{}
	for _, op := range settled {
		switch {
		case op.Kind == Read && op.Call > at:
			last, at = op.Got, op.Call
		case op.Kind == CAS && op.Outcome == OK:
			before[op.New] = op.Old
		}
	}
	if at < 0 {
		return nil, false // nobody has looked, and there is nothing to say
	}
	led := map[string]bool{last: true}
	for value, ok := before[last]; ok && !led[value]; value, ok = before[value] {
		led[value] = true
	}
	for _, op := range ops {
		switch {
		case op.Kind == Read || op.Outcome != OK || led[op.New]:
		case op.Return > at:
			unseen = true
		default:
			lost = append(lost, op.New)
		}
	}
	return lost, unseen
}

func sample(values []string) string {
	const most = 5
	if len(values) <= most {
		return strings.Join(values, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(values[:most], ", "), len(values)-most)
}

// register is what a key is: it holds one value, "" at first.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		value, op := state.(string), input.(Op)
		switch {
		case op.Kind == Read:
			return op.Got == value, value
		case op.Outcome == Refused:
			return value != op.Old && (op.Got == "" || op.Got == value), value
		case op.Kind == CAS:
			return value == op.Old, op.New
		default:
			return true, op.New
		}
	},
	DescribeOperation: func(input, _ any) string {
		op := input.(Op)
		return fmt.Sprintf("%s %s→%s got %s: %s", op.Kind, op.Old, op.New, op.Got, op.Outcome)
	},
}

func operations(ops []Op) []porcupine.Operation {
	out := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		// Each operation stands for itself: a client whose request has no answer asks on.
		out[i] = porcupine.Operation{ClientId: i, Input: op, Call: int64(op.Call), Output: op, Return: int64(op.Return)}
	}
	return out
}
