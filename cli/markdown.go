package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"craton.dev/craton/contract"
)

// writeContractMarkdown writes clauses as tables, one a role: the document's clauses, then
// the derived ones with their reasons.
func writeContractMarkdown(w io.Writer, clauses []contract.Clause) error {
	var b strings.Builder
	for _, role := range contract.Roles() {
		of := func(origin contract.Origin) []contract.Clause {
			return slices.DeleteFunc(slices.Clone(clauses), func(c contract.Clause) bool {
				return c.Role != role || c.Origin != origin
			})
		}
		document, derived := of(contract.Document), of(contract.Derived)
		if len(document)+len(derived) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "## %s\n", role)
		if len(document) > 0 {
			b.WriteString("\n| line | clause | statement | filled in |\n|---|---|---|---|\n")
			for _, c := range document {
				row(&b, strconv.Itoa(c.Line), "`"+c.ID+"`", markdownText(c.Statement()), strings.Join(c.Inferred, ", "))
			}
		}
		if len(derived) > 0 {
			b.WriteString("\nDerived: not in the document, but nothing runs without them.\n\n| clause | statement | why |\n|---|---|---|\n")
			for _, c := range derived {
				row(&b, "`"+c.ID+"`", markdownText(c.Statement()), markdownText(c.Reason))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// markdownText makes text safe in a table: a | ends a cell, and <cluster-name> would be
// taken for HTML.
func markdownText(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "\n", " ").Replace(s)
}
