package prove

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Part is one of several that a proof is divided into by its clauses, so that several hosts can make it at the same
// time. The zero value is all of it.
type Part struct{ Index, Of int }

// ParsePart reads "1/4".
func ParsePart(text string) (Part, error) {
	var p Part
	if n, err := fmt.Sscanf(text, "%d/%d", &p.Index, &p.Of); n != 2 || err != nil || p.Index < 1 || p.Index > p.Of || p.String() != text {
		return Part{}, fmt.Errorf("%q is no part: expected one such as 1/4, the first of four", text)
	}
	return p, nil
}

func (p Part) String() string {
	if p.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", p.Index, p.Of)
}

// of are the part's clauses. One after another goes to the next part, so that each has as many of those that break
// much, which take longest, when they come sorted by that.
func (p Part) of(clauses []string) []string {
	if p.Of == 0 {
		return clauses
	}
	var own []string
	for i, id := range clauses {
		if i%p.Of == p.Index-1 {
			own = append(own, id)
		}
	}
	return own
}

// Merge puts the parts of one proof together. It is complete where every part is there and ended. The error says
// which of them are not of the same contract, plan and operations.
func Merge(parts ...*Proof) (*Proof, error) {
	if len(parts) == 0 {
		return nil, errors.New("there are no parts to put together")
	}
	whole := *parts[0]
	whole.Part, whole.Seconds, whole.Necessary = "", 0, nil
	ended, have := true, map[string]bool{}
	for i, p := range parts {
		if p.Key != whole.Key || p.Cluster != whole.Cluster {
			return nil, fmt.Errorf("the results in file %d of %d, of cluster %s, are of another contract, plan or operations than those before: they are no parts of one proof", i+1, len(parts), p.Cluster)
		}
		have[p.Part] = true
		ended = ended && !p.Ended.IsZero()
		whole.Seconds += p.Seconds
		if p.Began.Before(whole.Began) {
			whole.Began = p.Began
		}
		if p.Ended.After(whole.Ended) {
			whole.Ended = p.Ended
		}
		// What does not work with all rules in one part is a finding of the whole.
		if slices.ContainsFunc(p.Sufficient.Operations, func(one Result) bool { return !one.OK }) {
			whole.Sufficient = p.Sufficient
		}
		for _, n := range p.Necessary {
			j := slices.IndexFunc(whole.Necessary, func(o Necessity) bool { return o.Clause == n.Clause })
			switch {
			case j < 0:
				whole.add(n)
			case len(whole.Necessary[j].Results) == 0 || n.Finding != "":
				whole.Necessary[j] = n
			}
		}
	}
	last, err := ParsePart(parts[0].Part)
	whole.Complete = ended && err == nil
	for i := 1; i <= last.Of; i++ {
		whole.Complete = whole.Complete && have[Part{i, last.Of}.String()]
	}
	if !ended {
		whole.Ended = time.Time{}
	}
	return &whole, nil
}
