// Package doctor checks whether this host can run clusters on the embedded platform: its
// kernel, programs, disk, memory and clock. Each check ends in a sentence that says what is
// there, or what is missing and what to do about it.
//
// It changes nothing on the host, knows nothing of a particular cluster, and repairs nothing.
package doctor

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

// Status is how a check ended.
type Status string

// The statuses. A warning does not stop craton up from working.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
)

// Result is what a check found.
type Result struct {
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Detail is a sentence: what was found.
	Detail string `json:"detail"`
	// Next says what to do; it is empty where all is well.
	Next string `json:"next,omitempty"`
}

// Report is what craton doctor -o json prints.
type Report struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Results    []Result `json:"results"`
	OK         bool     `json:"ok"` // nothing failed
}

// Check looks at one thing.
type Check struct {
	ID  string
	Run func(ctx context.Context, h Host) Result
}

// Checks are all checks, in the order in which a person would repair things.
func Checks() []Check {
	return []Check{
		{"root", root},
		{"kernel", kernel},
		{"namespaces", namespaces},
		{"cgroups", cgroups},
		{"programs", programs},
		{"build", buildPrograms},
		{"clock", clock},
		{"memory", memory},
		{"inotify", inotify},
		{"disk", diskRoom},
	}
}

// Examine runs all checks on a host.
func Examine(ctx context.Context, h Host) Report {
	r := Report{APIVersion: "craton.dev/v1alpha1", Kind: "Examination", OK: true}
	for _, c := range Checks() {
		result := c.Run(ctx, h)
		result.ID = c.ID
		r.Results = append(r.Results, result)
		r.OK = r.OK && result.Status != Failed
	}
	return r
}

// WriteTable writes a report for reading.
func WriteTable(w io.Writer, r Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, one := range r.Results {
		fmt.Fprintf(t, "%s\t%s\t%s\n", one.Status, one.ID, one.Detail)
		if one.Next != "" {
			fmt.Fprintf(t, "\t\t→ %s\n", one.Next)
		}
	}
	return t.Flush()
}

func ok(format string, args ...any) Result {
	return Result{Status: OK, Detail: fmt.Sprintf(format, args...)}
}

func failed(next, format string, args ...any) Result {
	return Result{Status: Failed, Detail: fmt.Sprintf(format, args...), Next: next}
}

func warning(next, format string, args ...any) Result {
	return Result{Status: Warning, Detail: fmt.Sprintf(format, args...), Next: next}
}
