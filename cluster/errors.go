package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// Error is one fault of a cluster file.
type Error struct {
	File   string
	Line   int // from 1
	Column int // from 1, in characters
	// Path is the field, for instance "externalEtcd.endpoints[0]"; "" is the file as a whole.
	Path string
	// Message says what was found and what was expected.
	Message string
	// Hint says what to do; it may be empty.
	Hint string
}

// Error is "file:line:column: path: message; hint".
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Errors are all the faults of one file, in the file's order.
type Errors []*Error

// Error is one line a fault.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single *Error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}
