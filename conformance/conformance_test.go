package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// A test whose failure is taken for anything else would make the page say that all is well;
// one that was cut off by the end of a run has not failed.
func TestJUnit(t *testing.T) {
	for _, cut := range []bool{true, false} {
		found, err := readJUnit("testdata/junit.xml", cut)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range found {
			got = append(got, o.Verdict+" "+o.Name+" "+firstLine(o.Failure))
		}
		want := []string{
			"passed [sig-network] DNS should provide DNS for services [Conformance] ",
			"failed [sig-network] Services should fail [Conformance] [FAILED] no answer",
		}
		if !cut {
			want = append(want, "failed [sig-apps] Deployment was interrupted [Conformance] Interrupted by Timeout")
		}
		if !slices.Equal(got, want) {
			t.Errorf("cut %v: %q", cut, got)
		}
	}
}

// Where the suite could not even begin, nothing may count as run.
func TestJUnitOfASuiteThatDidNotBegin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "junit.xml")
	text := `<testsuites><testsuite><testcase name="[SynchronizedBeforeSuite]" status="failed"><failure>no nodes</failure></testcase></testsuite></testsuites>`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readJUnit(path, false); err == nil || !strings.Contains(err.Error(), "no nodes") {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"", "<testsuites>", "{}"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readJUnit(path, false); err == nil {
			t.Errorf("%q is taken for a report", text)
		}
	}
}

// The list is upstream's: a change of its form must not make it empty.
func TestListOfTests(t *testing.T) {
	list, err := os.ReadFile("testdata/list.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names, err := readTests(list)
	if err != nil || !slices.Equal(names, []string{"[sig-apps] a [Serial] [Conformance]", "[sig-network] b [Conformance]"}) {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := readTests([]byte("- testname: x\n")); err == nil {
		t.Error("a test without a name is taken")
	}
}

// Parts together are all tests, each once; what has passed is not run again unless asked for.
func TestChoose(t *testing.T) {
	var all []string
	for i := range 10 {
		all = append(all, fmt.Sprintf("[sig-x] %d", i))
	}
	o := options{focus: regexp.MustCompile(""), skip: regexp.MustCompile("7$")}
	found := &results{Tests: []outcome{{Name: all[3], Verdict: passed}, {Name: all[4], Verdict: failed}}}
	var got []string
	for k := 1; k <= 3; k++ {
		o.part = part{k, 3}
		got = append(got, o.choose(all, found)...)
	}
	slices.Sort(got)
	if want := slices.Concat(all[:3], all[4:7], all[8:]); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	o.again, o.part = true, part{1, 1}
	if got := o.choose(all, found); len(got) != 9 {
		t.Errorf("again: %q", got)
	}
	for _, text := range []string{"0/2", "3/2", "1/0", "1", "a/b", "1/2x"} {
		if err := new(part).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("-part %s is taken", text)
		}
	}
}

// Each test is in one batch, and those that have the cluster for themselves keep no others waiting.
func TestBatches(t *testing.T) {
	var chosen []string
	for i := range 2*atOnce + 1 {
		chosen = append(chosen, fmt.Sprintf("[sig-x] %d%s", i, []string{"", " [Serial]"}[i%2]))
	}
	var got []string
	alone := false
	for _, b := range batches(chosen) {
		if len(b) > atOnce {
			t.Errorf("%d tests at once", len(b))
		}
		for _, name := range b {
			if serial := strings.Contains(name, "[Serial]"); alone && !serial {
				t.Errorf("%s is after one that is alone", name)
			} else {
				alone = serial
			}
		}
		got = append(got, b...)
	}
	slices.Sort(got)
	slices.Sort(chosen)
	if !slices.Equal(got, chosen) {
		t.Errorf("%q", got)
	}
}

// Names are full of what means something else in a regular expression.
func TestFocusIsExact(t *testing.T) {
	r := regexp.MustCompile(focus([]string{"[sig-a] a (b) [Conformance]"}))
	if !r.MatchString("Kubernetes e2e suite [sig-a] a (b) [Conformance]") || r.MatchString("[sig-a] a (b) [Conformance] more") || r.MatchString("[sig-a] a b [Conformance]") {
		t.Error(r)
	}
}

// Results of several runs are one: the last of each test, kept over a restart.
func TestResults(t *testing.T) {
	dir := t.TempDir()
	r, err := readResults(dir, "minimal")
	if err != nil || r.Suite == "" {
		t.Fatal(r, err)
	}
	r.know([]string{"[sig-a] x", "[sig-a] y", "[sig-b] z"})
	r.add(session{Began: "2026-11-29 04:00", Seconds: 60, tests: []outcome{{Name: "[sig-a] y", Verdict: failed, Failure: "lost\nmore"}, {Name: "[sig-a] x", Verdict: failed, Failure: "why `not`"}}})
	r.add(session{Began: "2026-11-29 05:00", Seconds: 30, tests: []outcome{{Name: "[sig-a] y", Verdict: passed}}})
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	if r, err = readResults(dir, "minimal"); err != nil || !r.passed("[sig-a] y") || r.passed("[sig-a] x") || len(r.Tests) != 2 || r.Seconds != 90 {
		t.Fatalf("%+v, %v", r, err)
	}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := writePage(page, dir); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(page)
	for _, want := range []string{"| sig-a | 2 | 1 | 1 | 0 | 0 |", "| sig-b | 1 | 0 | 0 | 0 | 1 |", "| **all** | 3 | 1 | 1 | 0 | 1 |", "[sig-a] x: not looked into", "why 'not'", "Not run yet:\n\n- [sig-b] z\n", "## Profile document\n\nNot run yet."} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

// A reason that matches no test any more would stay for ever, and one without words says nothing.
func TestReasons(t *testing.T) {
	for _, r := range reasons {
		if (r.lacks == "") == (r.why == "") {
			t.Errorf("%s: one of lacks and why is expected", r.tests)
		}
	}
}

// What is compared with the rules must be without any: a rule that is left would let a test fail
// that the rules are not the cause of. The plan itself has to stay as it is.
func TestOpenLetsAllPass(t *testing.T) {
	file, err := cluster.Parse("cluster.yaml", []byte("name: x\nmasters: 1\nworkers: 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	rules := len(p.Rules)
	wide := open(p)
	if len(p.Rules) != rules || len(wide.Rules) != 8 {
		t.Errorf("%d rules, and %d open ones", len(p.Rules), len(wide.Rules))
	}
	address := func(m int) netip.Addr { return p.Machines[m].Address }
	for _, a := range []struct{ from, to int }{{1, 2}, {0, 1}, {2, 0}} {
		for _, protocol := range []contract.Protocol{contract.TCP, contract.UDP} {
			if ok, _ := wide.Allows(address(a.from), address(a.to), protocol, 40000); !ok {
				t.Errorf("%s to %s, %s: does not pass", p.Machines[a.from].Name, p.Machines[a.to].Name, protocol)
			}
		}
	}
	if ok, _ := p.Allows(address(1), address(2), contract.TCP, 40000); ok {
		t.Error("the plan itself lets a worker reach a port of another one that nothing uses: try another port here")
	}
}
