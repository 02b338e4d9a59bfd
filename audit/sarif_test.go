package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/audit"
)

// The SARIF is what version 2.1.0 asks for, and what code hosts ask for besides: they refuse a file as a whole, so
// that nobody would see any finding of it.
func TestSARIF(t *testing.T) {
	for _, l := range lists() {
		t.Run(l.file, func(t *testing.T) {
			src := source(t, l.file)
			src.Name = "some rules/" + l.file // a space is no part of a URI
			a := run(t, l.opt, source(t, l.file))
			if len(l.opt.Roles) == 0 {
				a = run(t, l.opt, src)
			}
			var b bytes.Buffer
			if err := audit.WriteSARIF(&b, a); err != nil {
				t.Fatal(err)
			}
			var log struct {
				Schema  string `json:"$schema"`
				Version string
				Runs    []struct {
					Tool struct {
						Driver struct {
							Name, InformationURI string
							Rules                []struct {
								ID               string
								ShortDescription struct{ Text string }
							}
						}
					}
					Results []struct {
						RuleID, Level string
						Message       struct{ Text string }
						Locations     []struct {
							PhysicalLocation struct {
								ArtifactLocation struct{ URI string }
								Region           struct{ StartLine int }
							}
						}
					}
				}
			}
			if err := json.Unmarshal(b.Bytes(), &log); err != nil {
				t.Fatal(err)
			}
			if log.Version != "2.1.0" || !strings.Contains(log.Schema, "sarif-2.1.0") || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
				t.Fatalf("%.300s", b.String())
			}
			var rules []string
			for _, r := range log.Runs[0].Tool.Driver.Rules {
				if r.ShortDescription.Text == "" || slices.Contains(rules, r.ID) {
					t.Errorf("rule %q has no description, or is there twice", r.ID)
				}
				rules = append(rules, r.ID)
			}
			n := a.Count()
			if want := n.Must + n.Should + n.Openings + n.Dead + n.Unknown; len(log.Runs[0].Results) != want {
				t.Errorf("%d results of %d findings", len(log.Runs[0].Results), want)
			}
			for _, r := range log.Runs[0].Results {
				what := fmt.Sprintf("%s: %s", r.RuleID, r.Message.Text)
				if !slices.Contains(rules, r.RuleID) || !slices.Contains([]string{"error", "warning", "note"}, r.Level) || r.Message.Text == "" {
					t.Errorf("%s: level %q", what, r.Level)
				}
				if len(r.Locations) == 0 {
					t.Errorf("%s: it is nowhere", what)
				}
				for _, at := range r.Locations {
					uri, err := url.Parse(at.PhysicalLocation.ArtifactLocation.URI)
					if err != nil || !strings.HasSuffix(uri.Path, l.file) || uri.String() != at.PhysicalLocation.ArtifactLocation.URI || at.PhysicalLocation.Region.StartLine < 1 {
						t.Errorf("%s: at %+v", what, at)
					}
				}
			}
		})
	}
}
