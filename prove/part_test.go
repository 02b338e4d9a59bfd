package prove

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The parts of a proof are the proof: no clause is left out and none has its turn twice, and what one part found
// is found.
func TestParts(t *testing.T) {
	p := makePlan(t, "profile: minimal\n")
	wrong := map[string][]string{"ssh": {"worker.egress.dns"}}
	prove := func(part Part) *Proof {
		f := &fabric{}
		proof, err := Run(t.Context(), Options{Plan: p, Fabric: f, Operations: obeying(t, p, f, wrong), Part: part})
		if err != nil {
			t.Fatal(err)
		}
		return proof
	}
	whole := prove(Part{})
	var parts []*Proof
	taken := 0
	for i := range 3 {
		part := prove(Part{i + 1, 3})
		if part.Complete {
			t.Errorf("part %s is complete by itself", part.Part)
		}
		for _, n := range part.Necessary {
			if len(n.Results) > 0 {
				taken++
			}
		}
		parts = append(parts, part)
	}
	if taken != len(p.Opening()) {
		t.Errorf("%d clauses had a turn, and %d open something", taken, len(p.Opening()))
	}
	merged, err := Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	if !merged.Complete || merged.Part != "" || !reflect.DeepEqual(merged.Findings(), whole.Findings()) || len(whole.Findings()) == 0 {
		t.Errorf("complete: %v; findings %q, expected %q", merged.Complete, merged.Findings(), whole.Findings())
	}
	for i, n := range whole.Necessary {
		if m := merged.Necessary[i]; m.Clause != n.Clause || m.Verdict != n.Verdict {
			t.Errorf("%s is %s, expected %s %s", m.Clause, m.Verdict, n.Clause, n.Verdict)
		}
	}
	if some, err := Merge(parts[0], parts[2]); err != nil || some.Complete {
		t.Errorf("two parts of three are complete, or %v", err)
	}
	parts[1].Ended = time.Time{}
	if some, err := Merge(parts...); err != nil || some.Complete || !some.Ended.IsZero() {
		t.Errorf("with a part that was stopped it is complete, or %v", err)
	}
	parts[1].Key = "another"
	if _, err := Merge(parts...); err == nil || !strings.Contains(err.Error(), "another contract") {
		t.Errorf("parts of different contracts: %v", err)
	}
}

// A file of one part's results is not gone on with as if they were another's.
func TestPartsHaveFilesOfTheirOwn(t *testing.T) {
	p, f := makePlan(t, "profile: minimal\n"), &fabric{}
	opt := Options{Plan: p, Fabric: f, Operations: obeying(t, p, f, nil), File: filepath.Join(t.TempDir(), "proof.json"), For: time.Nanosecond, Part: Part{1, 2}}
	if _, err := Run(t.Context(), opt); !errors.Is(err, ErrTime) {
		t.Fatal(err)
	}
	opt.Part = Part{2, 2}
	if _, err := Run(t.Context(), opt); err == nil || !strings.Contains(err.Error(), "another part") {
		t.Error(err)
	}
}

func TestParsePart(t *testing.T) {
	if p, err := ParsePart("2/3"); err != nil || p != (Part{2, 3}) {
		t.Error(p, err)
	}
	for _, text := range []string{"", "0/2", "3/2", "1", "1/", "/2", "1/2/3", "+1/2", "a/b", "1/2 "} {
		if p, err := ParsePart(text); err == nil {
			t.Errorf("%q is part %v", text, p)
		}
	}
}
