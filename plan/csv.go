package plan

import (
	"encoding/csv"
	"io"
	"strings"
)

// csvHeader is the sheet's first row. Columns are only ever added at the end.
var csvHeader = []string{
	"role", "direction", "protocol", "ports", "source", "source addresses",
	"destination", "destination addresses", "level", "why", "clauses",
}

// WriteCSV writes the sheet that a network team asks for: a row a rule, with source,
// destination, port and why (RFC 4180, UTF-8). Lists within a cell have spaces between.
func WriteCSV(w io.Writer, p *Plan) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(csvHeader); err != nil {
		return err
	}
	for _, r := range p.rows() {
		cells := []string{
			string(r.rule.Role), string(r.rule.Direction), string(r.rule.Protocol), r.ports,
			r.source.name, r.source.addresses, r.destination.name, r.destination.addresses,
			string(r.rule.Level), r.why, strings.Join(r.rule.Clauses, " "),
		}
		for i := range cells {
			cells[i] = inert(cells[i])
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// inert keeps a spreadsheet from taking a cell for a formula: it would run what a name
// says. The apostrophe makes it text in every spreadsheet program.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
