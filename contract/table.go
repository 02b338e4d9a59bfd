package contract

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes clauses for reading, grouped by role: the clause's line in the
// document or "derived", its id, its statement, and in brackets what its line leaves
// open and craton filled in.
func WriteTable(w io.Writer, clauses []Clause) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	first := true
	for _, role := range Roles() {
		heading := false
		for _, c := range clauses {
			if c.Role != role {
				continue
			}
			if !heading {
				if !first {
					fmt.Fprintln(t)
				}
				fmt.Fprintf(t, "%s\nLINE\tCLAUSE\tSTATEMENT\n", strings.ToUpper(string(role)))
				heading, first = true, false
			}
			line, filled := "derived", ""
			if c.Origin == Document {
				line = strconv.Itoa(c.Line)
			}
			if len(c.Inferred) > 0 {
				filled = " [" + strings.Join(c.Inferred, ", ") + " inferred]"
			}
			fmt.Fprintf(t, "%s\t%s\t%s%s\n", line, c.ID, c.Statement(), filled)
		}
	}
	return t.Flush()
}
