package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for reading: what is wrong first.
func WriteTable(w io.Writer, a *Audit) error {
	for _, role := range machineRoles {
		if names, ok := a.Roles[role]; ok {
			fmt.Fprintf(w, "%s: %s\n", role, strings.Join(names, ", "))
		}
	}
	for _, g := range a.Guesses {
		fmt.Fprintf(w, "assumed: %s\n", g)
	}
	t := newTable(w, "CLAUSE", "LEVEL", "VERDICT", "DETAIL", "WHAT WILL BREAK")
	for _, c := range a.Clauses {
		if c.Verdict != Met {
			t.row(c.ID, string(c.Level), string(c.Verdict), c.Detail, broken(c.Operations))
		}
	}
	t.end()
	t = newTable(w, "OPEN, AND NOT ASKED FOR", "DIRECTION", "PROTOCOL", "PORTS", "PEERS", "BY", "DETAIL")
	for _, o := range a.Openings {
		t.row(string(o.Role), string(o.Direction), o.Protocol, strings.Join(o.Ports, ","), strings.Join(o.Peers, ", "), o.Evidence, o.Detail)
	}
	t.end()
	t = newTable(w, "NEVER MATCHES", "DETAIL")
	for _, f := range a.Dead {
		t.row(f.Evidence, f.Detail)
	}
	t.end()
	t = newTable(w, "NOT UNDERSTOOD", "DETAIL")
	for _, f := range a.NotUnderstood {
		t.row(f.Evidence, f.Detail)
	}
	t.end()
	t = newTable(w, "OPEN TO CHOICE", "IS IT OPEN", "ASKED FOR")
	for _, c := range a.Choices {
		t.row(c.ID, c.Answer(), c.Detail)
	}
	t.end()
	_, err := fmt.Fprintln(w, "\n"+a.Sentence())
	return err
}

// broken are the first of some operations: all of them stand in the other formats.
func broken(operations []string) string {
	switch n := len(operations); {
	case n == 0:
		return "no operation is known to need it"
	case n > 2:
		return fmt.Sprintf("%s; %d more", operations[0], n-1)
	}
	return strings.Join(operations, "; ")
}

// Sentence sums up the report.
func (a *Audit) Sentence() string {
	n := a.Count()
	met := len(a.Clauses) - n.Must - n.Should
	for _, c := range a.Clauses {
		if c.Verdict == Unknown {
			met--
		}
	}
	return fmt.Sprintf("%d of %d clauses met; not met: %d MUST, %d SHOULD; %d openings that no clause asks for, %d rules that never match, %d unknown",
		met, len(a.Clauses), n.Must, n.Should, n.Openings, n.Dead, n.Unknown)
}

// table is one section of the table output; one without rows is left out.
type table struct {
	w     io.Writer
	heads []string
	t     *tabwriter.Writer
}

func newTable(w io.Writer, heads ...string) *table { return &table{w: w, heads: heads} }

func (t *table) row(cells ...string) {
	if t.t == nil {
		fmt.Fprintln(t.w)
		t.t = tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t.t, strings.Join(t.heads, "\t"))
	}
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.t, strings.Join(cells, "\t"))
}

func (t *table) end() {
	if t.t != nil {
		t.t.Flush()
	}
}

// Kinds are the kinds of findings that may make an audit fail.
func Kinds() []string { return []string{"must", "should", "openings", "dead", "unknown"} }

// Failed tells whether there is a finding of one of the kinds.
func (a *Audit) Failed(kinds []string) bool {
	n := a.Count()
	by := map[string]int{"must": n.Must, "should": n.Should, "openings": n.Openings, "dead": n.Dead, "unknown": n.Unknown}
	return slices.ContainsFunc(kinds, func(k string) bool { return by[k] > 0 })
}
