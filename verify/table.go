package verify

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable writes the figures of each pair, then each check that did not pass.
func WriteTable(w io.Writer, v *Verification) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(v.Pairs) > 0 {
		fmt.Fprintln(t, "FROM\tTO\tPROTOCOL\tOPEN: PLAN\tFOUND\tCLOSED: PLAN\tFOUND\tUNKNOWN\tMISMATCHES\tSECONDS")
	}
	for _, p := range v.Pairs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\n", p.Source, p.Destination, p.Protocol,
			p.OpenExpected, p.OpenObserved, p.ClosedExpected, p.ClosedObserved, p.Unknown, p.Mismatches, p.Seconds)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(v.Pairs) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range v.Checks {
		if c.Observed == c.Expected {
			continue
		}
		clauses := ""
		if c.Clause != "" {
			clauses = " (" + c.Clause + ")"
		}
		if _, err := fmt.Fprintf(w, "%s to %s, %s %s: the plan has it %s%s, found %s: %s\n",
			c.Source, c.Destination, c.Protocol, c.Ports, c.Expected, clauses, c.Observed, c.Evidence); err != nil {
			return err
		}
	}
	for _, n := range v.NotUnderstood {
		fmt.Fprintf(w, "not understood: %s\n", n)
	}
	_, err := fmt.Fprintf(w, "%d ranges as planned, %d not, %d unknown\n", v.Summary.Passed, v.Summary.Failed, v.Summary.Unknown)
	return err
}
