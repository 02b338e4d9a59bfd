package prove

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable prints a proof for people.
func WriteTable(to io.Writer, p *Proof) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Cluster %s (%s), profile %s\n\n", p.Cluster, p.Shape, p.Profile)
	fmt.Fprintln(w, "OPERATION\tWITH ALL RULES\tSECONDS\tDETAIL")
	for _, o := range p.Sufficient.Operations {
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\n", o.ID, works(o.OK), o.Seconds, o.Detail)
	}
	for _, o := range p.Sufficient.Untested {
		fmt.Fprintf(w, "%s\tuntested\t\t%s\n", o.ID, o.Reason)
	}
	fmt.Fprintln(w, "\nWITHOUT CLAUSE\tVERDICT\tBREAKS\tDETAIL")
	for _, n := range p.Necessary {
		breaks := strings.Join(n.Broken, " ")
		if breaks == "" {
			breaks = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n.Clause, n.Verdict, breaks, p.why(n))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "\n%s; %d findings\n", p.counts(), len(p.Findings()))
	for _, f := range p.Findings() {
		_, err = fmt.Fprintf(to, "  %s\n", f)
	}
	return err
}

func works(ok bool) string {
	if ok {
		return "works"
	}
	return "FAILS"
}
