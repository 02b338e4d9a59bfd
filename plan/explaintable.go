package plan

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"craton.dev/craton/contract"
)

// WriteTable writes the explanation for reading, a paragraph a clause: those that are
// open, then those that are shut and why.
func (e Explanation) WriteTable(w io.Writer) error {
	var b strings.Builder
	switch {
	case e.Open && !e.Named:
		fmt.Fprintf(&b, "No clause that applies names %s: it is open only where all ports are.\n", e.Query)
	case e.Open && !traffic(e.Clauses[0].Clause):
		fmt.Fprintf(&b, "%s applies to this cluster.\n", e.Query)
	case e.Open:
		fmt.Fprintf(&b, "%s is open.\n", e.Query)
	case len(e.Clauses) == 1 && !traffic(e.Clauses[0].Clause):
		fmt.Fprintf(&b, "%s does not apply to this cluster.\n", e.Query)
	default:
		fmt.Fprintf(&b, "Nothing opens %s: every machine drops it.\n", e.Query)
	}
	for _, open := range []bool{true, false} {
		for _, c := range e.Clauses {
			if c.Open == open {
				c.write(&b)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e Explained) write(b *strings.Builder) {
	where := "derived"
	if e.Clause.Origin == contract.Document {
		where = fmt.Sprintf("document, line %d", e.Clause.Line)
	}
	fmt.Fprintf(b, "\n%s (%s)\n", e.Clause.ID, where)
	line := func(head, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-12s%s\n", head, text)
		}
	}
	line("clause", e.Clause.Statement())
	if e.Open {
		line("applies", "yes")
	} else {
		line("shut", e.WhyNot)
	}
	if traffic(e.Clause) {
		line("ports", join(e.Ports, contract.PortRange.String, " "))
		line("from", join(e.From, End.String, ", "))
		line("to", join(e.To, End.String, ", "))
	}
	line("used by", join(e.Components, Use.String, ", "))
	line("needed for", join(e.Operations, func(o Operation) string { return o.Sentence }, "; "))
	line("without it", e.Without)
}

// String is "masters (10.32.0.10/32)".
func (e End) String() string {
	if len(e.Addresses) == 0 {
		return e.Name + " (none)"
	}
	return e.Name + " (" + join(e.Addresses, netip.Prefix.String, " ") + ")"
}

// String is the component's name, and that it is off where it is.
func (u Use) String() string {
	if u.Enabled {
		return u.Name
	}
	return u.Name + " (off)"
}
