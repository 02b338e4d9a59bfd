package prove

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// WriteMarkdown prints proofs as one page: what all of them say of each clause, and for each of them the
// operations with all rules, and the clauses with what breaks without them.
func WriteMarkdown(to io.Writer, proofs ...*Proof) error {
	var b strings.Builder
	if len(proofs) > 1 {
		overview(&b, proofs)
	}
	for _, p := range proofs {
		fmt.Fprintf(&b, "\n## %s, profile %s\n\n", p.Shape, p.Profile)
		fmt.Fprintf(&b, "Cluster `%s`, from %s ", p.Cluster, p.Began.Format("2006-01-02 15:04"))
		if p.Ended.IsZero() {
			b.WriteString("UTC, stopped before every clause had its turn")
		} else {
			fmt.Fprintf(&b, "to %s UTC", p.Ended.Format("15:04"))
		}
		if p.Seconds > 0 {
			fmt.Fprintf(&b, ", %s in all", time.Duration(p.Seconds*float64(time.Second)).Round(time.Second))
		}
		fmt.Fprintf(&b, ". Clauses: %s.\n\n", p.counts())
		if p.Past {
			b.WriteString("**The contract, the plan or the operations have changed since**: clauses that are new have no verdict here.\n\n")
		}
		if found := p.Findings(); len(found) > 0 {
			b.WriteString("**Findings:**\n\n")
			for _, f := range found {
				fmt.Fprintf(&b, "- %s\n", cellText(f))
			}
			b.WriteByte('\n')
		} else {
			b.WriteString("No findings: with all rules every operation that was tried works, and what breaks without a clause is what the contract predicts.\n\n")
		}
		b.WriteString("| operation | with all rules | s | what was done |\n|---|---|---|---|\n")
		for _, o := range p.Sufficient.Operations {
			fmt.Fprintf(&b, "| %s | %s | %.1f | %s |\n", o.ID, works(o.OK), o.Seconds, cellText(o.Detail))
		}
		for _, o := range p.Sufficient.Untested {
			fmt.Fprintf(&b, "| %s | not tried | | %s |\n", o.ID, cellText(o.Reason))
		}
		b.WriteString("\n| without clause | verdict | predicted to break | broke | s till all was back | why |\n|---|---|---|---|---|---|\n")
		for _, n := range p.Necessary {
			if len(n.Results) == 0 {
				continue
			}
			back := ""
			if len(n.Broken) > 0 {
				back = fmt.Sprintf("%.1f", n.Back)
			}
			broken := slices.Clone(n.Broken)
			slices.Sort(broken)
			predicted := slices.Clone(n.Predicted)
			slices.Sort(predicted)
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", n.Clause, n.Verdict, strings.Join(predicted, ", "), strings.Join(broken, ", "), back, cellText(p.why(n)))
		}
		if len(proofs) == 1 {
			b.WriteString("\nWith no verdict by experiment:\n\n")
			for _, n := range p.Necessary {
				if len(n.Results) == 0 {
					fmt.Fprintf(&b, "- %s: %s\n", n.Clause, n.Detail)
				}
			}
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// cellText is text that does not end its cell.
func cellText(s string) string { return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s) }
