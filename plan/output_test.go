package plan

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

// TestCSV reads the sheet back: a row a rule, with addresses on both sides and a reason,
// and an egress with its machines as the source.
func TestCSV(t *testing.T) {
	p := parse(t, infra)
	var out bytes.Buffer
	if err := WriteCSV(&out, p); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(p.Rules)+1 {
		t.Fatalf("%d rows for %d rules", len(rows), len(p.Rules))
	}
	byClause := map[string]string{}
	for _, row := range rows[1:] {
		for i, cell := range row {
			if cell == "" {
				t.Errorf("%s has no %s", row[len(row)-1], rows[0][i])
			}
		}
		byClause[row[10]] = strings.Join(row[:9], "|")
	}
	for clause, want := range map[string]string{
		"master.ingress.ssh":     "master|ingress|tcp|22|user-network|10.0.0.0/24|master|10.32.0.10/31 10.32.0.12/32|MUST",
		"master.egress.cadvisor": "master|egress|tcp|4194|master|10.32.0.10/31 10.32.0.12/32|workers|10.32.1.0/31|SHOULD",
		"infra.ingress.console":  "infra|ingress|tcp|443|user-network|10.0.0.0/24|infra|10.32.0.20/31|MUST",
	} {
		if byClause[clause] != want {
			t.Errorf("%s: got %s, want %s", clause, byClause[clause], want)
		}
	}
}

// TestCSVRunsNothing: a spreadsheet takes a cell that starts with one of these for a
// formula.
func TestCSVRunsNothing(t *testing.T) {
	for _, bad := range []string{`=HYPERLINK("x")`, "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1"} {
		if got := inert(bad); got != "'"+bad {
			t.Errorf("inert(%q) is %q", bad, got)
		}
	}
	for _, good := range []string{"", "tcp", "10.0.0.0/24", "30000-32767"} {
		if got := inert(good); got != good {
			t.Errorf("inert(%q) is %q", good, got)
		}
	}
	p := parse(t, small)
	p.Rules[0].Clauses = []string{"=cmd|' /C calc'!A0"}
	var out bytes.Buffer
	if err := WriteCSV(&out, p); err != nil || !strings.Contains(out.String(), ",'=cmd|") {
		t.Errorf("a formula gets into the sheet (%v):\n%s", err, out.String())
	}
}

// TestSVG: the picture is well-formed, has a title, a description, a box for each role and
// an arrow with its ports and clauses for each rule, and fetches nothing from elsewhere.
func TestSVG(t *testing.T) {
	for _, text := range []string{small, smallest, infra, external} {
		p := parse(t, text)
		p.Cluster = `<demo> & "co"`
		var out bytes.Buffer
		if err := WriteSVG(&out, p); err != nil {
			t.Fatal(err)
		}
		titles, labels, arrows, loops := 0, 0, 0, 0
		for _, r := range p.Rules {
			for _, peer := range r.Peers {
				switch {
				case peer == laneOf[r.Role]:
					loops++
				case len(p.Peers[peer]) > 0:
					arrows++
				}
			}
		}
		if got := strings.Count(out.String(), "<circle"); got != arrows {
			t.Errorf("%d arrows, want %d: one for each rule and peer with addresses", got, arrows)
		}
		if got := len(regexp.MustCompile(`d="M[0-9.]+ [0-9.]+C`).FindAllString(out.String(), -1)); got != loops {
			t.Errorf("%d loops, want %d: one for each rule between machines of one role", got, loops)
		}
		d := xml.NewDecoder(bytes.NewReader(out.Bytes()))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("not well-formed: %v", err)
			}
			element, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if element.Name.Local == "title" {
				titles++
			}
			for _, a := range element.Attr {
				if a.Name.Local == "class" && a.Value == "label" {
					labels++
				}
				if a.Name.Local == "href" || strings.Contains(a.Value, "url(") {
					t.Errorf("the picture needs %s", a.Value)
				}
			}
		}
		if titles != len(p.Rules)+1 || labels != len(p.Rules) {
			t.Errorf("%d titles and %d labels for %d rules", titles, labels, len(p.Rules))
		}
		for _, want := range []string{`<title id="title">`, `<desc id="desc">`, `&lt;demo&gt; &amp;`, `class="role"`, ">tcp 22<", "(master.ingress.ssh)"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the picture has no %s", want)
			}
		}
		if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "e+") {
			t.Error("the picture has numbers that are none")
		}
	}
}
