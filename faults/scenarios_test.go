package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// TestScenarios protects the set: names tell scenarios apart, each has what it needs to be
// played and judged, and what is not played says why.
func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios() {
		if seen[s.name()] {
			t.Errorf("two scenarios are called %s", s.name())
		}
		seen[s.name()] = true
		switch {
		case s.not != "":
			if len(strings.Fields(s.not)) < 4 || s.short {
				t.Errorf("%s: not played, and the reason is %q", s.name(), s.not)
			}
		case s.fault.do == nil:
			t.Errorf("%s does nothing", s.name())
		case s.bounds.gap == 0 || s.bounds.works == 0 || s.bounds.ready == 0:
			t.Errorf("%s has no bound for something: %+v", s.name(), s.bounds)
		case (s.fault.hold > 0) != (s.fault.mend != nil):
			t.Errorf("%s is held for %s, and has an end: %v", s.name(), s.fault.hold, s.fault.mend != nil)
		case s.fault.outage && s.fault.mend == nil:
			t.Errorf("%s takes the API away and never gives it back", s.name())
		}
	}
}

// TestEveryProgramIsBroken protects from a program of the control plane that no scenario
// kills or stops, for each shape.
func TestEveryProgramIsBroken(t *testing.T) {
	for _, s := range []shape{one, three} {
		for _, program := range append(podPrograms, machinePrograms...) {
			for _, what := range []string{"kill", "hang"} {
				name := regexp.MustCompile("^" + regexp.QuoteMeta(s.String()) + "/internal/steady/" + what + " " + program + ", (one|all)$")
				found := 0
				for _, x := range scenarios() {
					if name.MatchString(x.name()) {
						found++
					}
				}
				if want := min(s.masters, 2); found != want { // one and all
					t.Errorf("%s: %d scenarios %s %s, expected %d", s, found, what, program, want)
				}
			}
		}
	}
}

// TestPromisedBounds protects the promises from being made easier: they are in docs/faults.md.
func TestPromisedBounds(t *testing.T) {
	for name, want := range map[string]time.Duration{
		"1+1/internal/pivot/no fault":                  time.Second,
		"3+1/internal/pivot/no fault":                  time.Second,
		"3+1/internal/steady/kill kube-apiserver, one": 3 * time.Second,
		"3+1/internal/steady/hang kube-apiserver, one": 3 * time.Second,
		"1+1/internal/steady/kill kube-apiserver, all": 10 * time.Second,
	} {
		found := false
		for _, s := range scenarios() {
			if s.name() == name {
				found = true
				if s.bounds.gap != want {
					t.Errorf("%s: the API may be away for %s, promised are %s", name, s.bounds.gap, want)
				}
			}
		}
		if !found {
			t.Errorf("there is no scenario %s", name)
		}
	}
	for _, s := range scenarios() {
		if strings.Contains(s.fault.name, "delete") && s.fault.mend == nil && s.bounds.works != 30*time.Second {
			t.Errorf("%s: a deadlock may last %s, promised are 30 s", s.name(), s.bounds.works)
		}
		if strings.HasPrefix(s.fault.name, "power off, all machines") && !strings.Contains(s.fault.name, "DNS") && !s.bounds.floors {
			t.Errorf("%s is not measured against the floor", s.name())
		}
	}
}

// TestSeeds protects the replay: a scenario alone draws what it has drawn among others.
func TestSeeds(t *testing.T) {
	all, again := scenarios(), scenarios()
	if all[0].seed(1) != again[0].seed(1) || all[0].seed(1) == all[1].seed(1) || all[0].seed(1) == all[0].seed(2) {
		t.Error("a scenario's seed has to depend on its name and on the run's seed, and on nothing else")
	}
}

// TestReport protects what people read: the counts, the bounds, why a row failed, and a
// cell that holds what would end it.
func TestReport(t *testing.T) {
	good := &row{Scenario: "good", Seed: 3, Played: "2026-01-02 03:04", Version: "v1", Commit: "c0ffee", Gap: 0.5, GapBound: 1, Tried: 10, Acked: 9, Unclear: 1, Reads: 20, Verdict: passed}
	bad := &row{Scenario: "bad", Seed: 7, Played: "2026-01-01 03:04", Version: "v1", Gap: 4, GapBound: 3}
	bad.within("without API", bad.Gap, bad.GapBound)
	bad.within("ready again", 1, 2)
	bad.fail("a | b\nc")
	bad.Notes = append(bad.Notes, note{1, "not\nready"})
	not := &row{Scenario: "not", Verdict: unplayed, Reasons: []string{"there is none"}}
	got := report([]*row{good, bad, not})
	for _, want := range []string{
		"Played till 2026-01-02 (UTC) with v1, seed 3, 7.",
		fmt.Sprintf("%d scenarios: 1 passed, 1 failed, 1 cannot be played here, %d not played yet.", len(scenarios()), len(scenarios())-3),
		"| good | 0.5 ≤ 1 | 0.0 |  | 0.0 | 0.0 | 10 | 9 | 1 | 0 | 20 | 2026-01-02 03:04 c0ffee | passed |",
		"| bad | 4.0 ≤ 3 |", "**failed**: without API for 4.0 s, at most 3.0; a \\| b c |",
		"| not played: there is none |", "## bad\n\nSeed 7.", "- +1.0 s: not / ready",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "## good") {
		t.Error("a row that passed has a section of its own")
	}
}

// TestResume protects hours of work: a run that goes on keeps what was found, plays what was
// never played before what has failed, and nothing that has passed; and the table gets into
// its page, with all else in the page as it was.
func TestResume(t *testing.T) {
	all := scenarios()[:4]
	file := filepath.Join(t.TempDir(), "faults.md")
	first, err := loadResults(file, true)
	if err != nil || len(first.left(all)) != 4 {
		t.Fatalf("%v; of nothing, %d are left", err, len(first.left(all)))
	}
	for i, verdict := range []string{failed, passed, unplayed} {
		first.rows[all[i].name()] = &row{Scenario: all[i].name(), Verdict: verdict, Notes: []note{{1, "x"}}}
	}
	first.rows["a scenario that is no more"] = &row{Scenario: "a scenario that is no more", Verdict: passed}
	if err := first.write(); err != nil {
		t.Fatal(err)
	}
	second, err := loadResults(file, true)
	if err != nil {
		t.Fatal(err)
	}
	left := second.left(all)
	if len(left) != 2 || left[0].name() != all[3].name() || left[1].name() != all[0].name() {
		t.Errorf("left are %v", left)
	}
	rows := second.sorted()
	rows = slices.DeleteFunc(rows, func(r *row) bool { return r.Verdict == unplayed && r.Scenario != all[2].name() }) // what cannot be played here
	if len(rows) != 4 || rows[0].Scenario != all[0].name() || rows[3].Scenario != "a scenario that is no more" || len(rows[0].Notes) != 1 {
		t.Errorf("rows are %v", rows)
	}
	if anew, err := loadResults(file, false); err != nil || len(anew.rows) != len(notHere()) || len(anew.left(notHere())) != 0 {
		t.Errorf("without -resume there are %d rows, %v", len(anew.rows), err)
	}
	page := filepath.Join(t.TempDir(), "page.md")
	for range 2 { // the second time there is a table already
		if _, err := os.Stat(page); err != nil {
			if err := os.WriteFile(page, []byte("before\n"+tableBegins+"\nold\n"+tableEnds+"\nafter\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := writePage(page, rows); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if want := "before\n" + tableBegins + "\n\n" + table(rows) + "\n" + tableEnds + "\nafter\n"; string(text) != want {
			t.Errorf("the page is\n%s\nwant\n%s", text, want)
		}
	}
	if err := writePage(file, rows); err == nil {
		t.Error("a page without a place for the table is no error")
	}
	if err := os.WriteFile(resultsFile(file), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadResults(file, true); err == nil {
		t.Error("results that are cut off are no error")
	}
}

// TestEndingFiles protects the fault of certificates that end: a master gets all that it has,
// each with the end that was asked for and still of its authority.
func TestEndingFiles(t *testing.T) {
	l := &lab{name: "demo", dir: t.TempDir()}
	file, err := l.file(one, internal)
	if err != nil {
		t.Fatal(err)
	}
	f, err := cluster.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(f)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := pki.Ensure(filepath.Join(l.dir, "pki"), p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l.cluster = &bootstrap.Cluster{Plan: p, Secrets: secrets}
	end := time.Now().Add(time.Minute)
	files, err := l.endingFiles(p.Machines[0].Name, end)
	if err != nil {
		t.Fatal(err)
	}
	pair, authority := secrets.Pairs["kube-apiserver-"+p.Machines[0].Name], secrets.Authorities[plan.KubernetesCA]
	short, err := endAt(pair, authority, end)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.X509KeyPair(short.Cert, short.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.Cert)
	for after, valid := range map[time.Duration]bool{0: true, 2 * time.Minute: false} {
		_, err := own.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: time.Now().Add(after)})
		if (err == nil) != valid {
			t.Errorf("after %s: %v", after, err)
		}
	}
	all, err := firstboot.MasterSecrets(p, p.Machines[0].Name, secrets)
	if err != nil || len(files) != len(all) || len(all) == 0 {
		t.Errorf("%d files of %d, %v", len(files), len(all), err)
	}
	if files, err := l.endingFiles(p.Machines[1].Name, end); err != nil || len(files) != 0 {
		t.Errorf("a worker gets %d files, %v", len(files), err)
	}
}
