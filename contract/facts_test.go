package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row is a line of testdata/facts.tsv: a fact, the id of its clause, and a few letters
// that the document's line and the clause's purpose share, so that a clause can't be for
// something else than its line.
type row struct {
	fact
	id, subject string
}

// readTable reads testdata/facts.tsv, which says what each normative line says without
// its words, so that the contract can be tested where the document isn't at hand.
func readTable(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile("testdata/facts.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		cells := strings.Split(line, "\t")
		if i == 0 {
			continue
		}
		if len(cells) != 13 {
			t.Fatalf("facts.tsv:%d: expected 13 cells, found %d", i+1, len(cells))
		}
		number, err := strconv.Atoi(cells[0])
		if err != nil {
			t.Fatalf("facts.tsv:%d: %v", i+1, err)
		}
		rows = append(rows, row{
			fact{number, Role(cells[1]), Kind(cells[2]), cells[3], cells[4], cells[5], cells[6], cells[7], cells[8], cells[9], cells[10]},
			cells[11], cells[12],
		})
	}
	return rows
}

// document returns the platform document, "" where it isn't at hand. CRATON_DOCUMENT
// names it; a name that leads nowhere is an error.
func document(t *testing.T) string {
	t.Helper()
	path, named := os.LookupEnv("CRATON_DOCUMENT")
	if !named {
		path = "../../shared/generic-platform.txt"
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The table says what the document says: a changed number, a row too many and a row too
// few all fail. Without the document only the table is compared with the clauses (the
// tests below), and this test says so.
func TestTableSaysWhatTheDocumentSays(t *testing.T) {
	text := document(t)
	if text == "" {
		t.Log("the document isn't at hand: only the table of its facts is compared with the clauses; CRATON_DOCUMENT names it")
		return
	}
	rows, lines := readTable(t), strings.Split(text, "\n")
	facts := parseDocument(text)
	for i := range max(len(facts), len(rows)) {
		switch {
		case i >= len(rows):
			t.Errorf("line %d of the document has no row in facts.tsv:\n%s", facts[i].line, facts[i])
		case i >= len(facts):
			t.Errorf("row for line %d: the document says nothing there", rows[i].line)
		case facts[i] != rows[i].fact:
			t.Errorf("facts.tsv differs from the document\n   table %s\ndocument %s", rows[i].fact, facts[i])
		case rows[i].subject != open && !contains(lines[rows[i].line-1], rows[i].subject):
			t.Errorf("line %d of the document isn't about %q", rows[i].line, rows[i].subject)
		}
	}
}

// Each row has its clause, and each clause of the document its row, in the same order,
// and they say the same. What a line leaves open, its clause marks as inferred.
func TestClausesSayWhatTheTableSays(t *testing.T) {
	for _, problem := range compare(readTable(t), Clauses()) {
		t.Error(problem)
	}
}

// The comparison itself finds each kind of difference; a comparison that finds nothing
// would let all the tests above pass.
func TestComparisonFindsDifferences(t *testing.T) {
	rows := readTable(t)
	for i := range rows {
		without := slices.DeleteFunc(Clauses(), func(c Clause) bool { return c.Line == rows[i].line })
		if len(compare(rows, without)) == 0 {
			t.Errorf("deleting the clause of line %d isn't noticed", rows[i].line)
		}
		if len(compare(slices.Delete(slices.Clone(rows), i, i+1), Clauses())) == 0 {
			t.Errorf("deleting the row of line %d isn't noticed", rows[i].line)
		}
	}
	changes := map[string]func(*Clause){
		"line":      func(c *Clause) { c.Line++ },
		"level":     func(c *Clause) { c.Level = "NEVER" },
		"role":      func(c *Clause) { c.Role = "other" },
		"kind":      func(c *Clause) { c.Kind = "other" },
		"purpose":   func(c *Clause) { c.Purpose = "" },
		"condition": func(c *Clause) { c.Condition += "other" },
		"protocols": func(c *Clause) { c.Protocols = append(c.Protocols, "other") },
		"ports":     func(c *Clause) { c.Ports = append(c.Ports, PortRange{1, 2}) },
		"peers":     func(c *Clause) { c.Peers = append(c.Peers, "other") },
		"labels":    func(c *Clause) { c.Labels = append(c.Labels, "other") },
		"counts":    func(c *Clause) { c.Counts = append(c.Counts, 7) },
		"names":     func(c *Clause) { c.Names = append(c.Names, "other") },
		"inferred":  func(c *Clause) { c.Inferred = append(c.Inferred, "ports") },
	}
	for i, clause := range Clauses() {
		if clause.Origin != Document {
			continue
		}
		for field, change := range changes {
			// An inferred field's value is a choice of ours: the document can't tell.
			subjectless := field == "purpose" && rows[slices.IndexFunc(rows, func(r row) bool { return r.id == clause.ID })].subject == open
			if slices.Contains(clause.Inferred, field) || subjectless {
				continue
			}
			changed := Clauses()
			change(&changed[i])
			if len(compare(rows, changed)) == 0 {
				t.Errorf("%s: a changed %s isn't noticed", clause.ID, field)
			}
		}
	}
}

// compare says each difference between the table's rows and the document's clauses.
func compare(rows []row, all []Clause) (problems []string) {
	clauses := slices.DeleteFunc(slices.Clone(all), func(c Clause) bool { return c.Origin != Document })
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, r := range rows {
		if !slices.ContainsFunc(clauses, func(c Clause) bool { return c.Line == r.line }) {
			problem("line %d has no clause (expected %s)", r.line, r.id)
		}
	}
	last := 0
	for _, c := range clauses {
		if c.Line <= last {
			problem("%s: line %d is out of the document's order", c.ID, c.Line)
		}
		last = c.Line
		i := slices.IndexFunc(rows, func(r row) bool { return r.line == c.Line })
		if i < 0 {
			problem("%s: line %d of the document says nothing", c.ID, c.Line)
			continue
		}
		problems = append(problems, rows[i].differences(c)...)
	}
	return problems
}

// differences says what a clause says otherwise than its row.
func (r row) differences(c Clause) (problems []string) {
	same := func(field, want, got string) {
		if want != got {
			problems = append(problems, fmt.Sprintf("%s (line %d): %s is %q, the document says %q", c.ID, c.Line, field, got, want))
		}
	}
	same("id", r.id, c.ID)
	same("role", string(r.role), string(c.Role))
	same("kind", string(r.section), string(c.Kind))
	if r.subject != open && !contains(c.Purpose, r.subject) {
		same("purpose", r.subject, c.Purpose)
	}
	inferred := map[string]bool{}
	for _, f := range c.Inferred {
		inferred[f] = true
	}
	for _, f := range []struct{ name, said, got string }{
		{"level", r.level, string(c.Level)},
		{"protocols", r.protocols, join(c.Protocols)},
		{"ports", r.ports, join(c.Ports)},
		{"peers", r.peers, join(c.Peers)},
		{"condition", r.condition, string(c.Condition)},
		{"labels", r.labels, join(c.Labels)},
		{"counts", r.counts, strings.ReplaceAll(join(c.Counts), ",-1", "+")},
		{"names", r.names, join(c.Names)},
		{"taints", open, join(c.Taints)},
	} {
		switch {
		case f.said == open && f.got != "" && !inferred[f.name]:
			problems = append(problems, fmt.Sprintf("%s (line %d): %s is %q, which the line leaves open; list it in Inferred", c.ID, c.Line, f.name, f.got))
		case f.said != open:
			same(f.name, f.said, f.got)
		}
		if inferred[f.name] && (f.said != open || f.got == "") {
			problems = append(problems, fmt.Sprintf("%s (line %d): %s isn't inferred", c.ID, c.Line, f.name))
		}
	}
	return problems
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func join[T any](list []T) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ",")
}
