package inventory

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Operation is something that was done to the cluster as a whole, such as `craton up`, or
// that is being done.
type Operation struct {
	ID string `json:"id"`
	// What is a command as somebody typed it, without its secrets: "up", "replace demo-worker-1".
	What  string    `json:"what"`
	Began time.Time `json:"began"`
	// Ended is the zero time while it runs.
	Ended time.Time `json:"ended,omitzero"`
	// Steps are the names of what it does, in order; Step is how many of them are done.
	Steps []string `json:"steps,omitempty"`
	Step  int      `json:"step"`
	// Now is what it does or waits for, as a sentence.
	Now string `json:"now,omitempty"`
	// Failed is why it did not succeed, as a sentence; "" where it did.
	Failed string `json:"failed,omitempty"`
}

// Operations are the last ones, the latest first.
type Operations struct {
	Operations []Operation `json:"operations"`
}

// mostOperations is how many are kept.
const mostOperations = 30

// With are these operations with one more, or with what is new of it.
func (o *Operations) With(op Operation) *Operations {
	next := &Operations{Operations: slices.Clone(o.Operations)}
	if i := slices.IndexFunc(next.Operations, func(old Operation) bool { return old.ID == op.ID }); i >= 0 {
		next.Operations[i] = op
		return next
	}
	next.Operations = slices.Insert(next.Operations, 0, op)
	next.Operations = next.Operations[:min(len(next.Operations), mostOperations)]
	return next
}

// ParseOperations reads what json.Marshal makes of Operations.
func ParseOperations(data []byte) (*Operations, error) {
	o := &Operations{}
	if err := json.Unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("the operations in the cluster: %w", err)
	}
	return o, nil
}
