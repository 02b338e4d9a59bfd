package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// writePage makes the page of the results in a folder. It is the same for the same results.
func writePage(path, dir string) error {
	var b strings.Builder
	b.WriteString(`<!-- Made by "make conformance" from the results in conformance/. Do not edit. -->

# Upstream's conformance tests, behind the plan's rules

"make conformance" builds Kubernetes' own end-to-end suite, brings a cluster of one master and two workers
up, and runs the tests marked [Conformance] on it: with exactly the plan's rules, and with the tests' images
pulled from the platform's registry under their usual names. "make conformance-network" runs those of
[sig-network] only. The images are made of Debian's packages and Kubernetes' own programs, as far as the tests use
them: no upstream image can be had where this was made.

What fails is run once more with the fabric open: a test that passes then is a finding about the contract. The run goes
in parts, so "not run" means that no run has got to the test yet: it says nothing of what it would show.
`)
	for _, profile := range []string{"document", "minimal"} {
		r, err := readResults(dir, profile)
		if err != nil {
			return err
		}
		if len(r.Tests) == 0 {
			fmt.Fprintf(&b, "\n## Profile %s\n\nNot run yet.\n", profile)
			continue
		}
		section(&b, r)
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// tally counts what became of tests.
type tally struct{ all, passed, failed, lacking, left int }

// row is a line of the table of counts.
func (t tally) row(name string) string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d |\n", name, t.all, t.passed, t.failed, t.lacking, t.left)
}

// group is a test's special interest group, with which its name begins.
func group(name string) string {
	g, _, _ := strings.Cut(name, "]")
	return strings.TrimPrefix(g, "[")
}

func section(b *strings.Builder, r *results) {
	last := map[string]outcome{}
	var days []string
	for _, t := range r.Tests {
		last[t.Name] = t
		days = append(days, t.Began)
	}
	slices.Sort(days)
	groups, counts, sum := []string{}, map[string]*tally{}, tally{}
	var failures, lacking, left []string
	for _, name := range r.All {
		g := group(name)
		if counts[g] == nil {
			groups, counts[g] = append(groups, g), &tally{}
		}
		for _, c := range []*tally{counts[g], &sum} {
			c.all++
			switch t := last[name]; {
			case t.Verdict == passed:
				c.passed++
			case t.Verdict == failed:
				c.failed++
			case lacks(name) != "":
				c.lacking++
			default:
				c.left++
			}
		}
		switch {
		case last[name].Verdict == failed:
			failures = append(failures, name)
		case last[name].Verdict == "" && lacks(name) != "":
			lacking = append(lacking, name)
		case last[name].Verdict == "":
			left = append(left, name)
		}
	}
	fmt.Fprintf(b, "\n## Profile %s\n\n", r.Profile)
	fmt.Fprintf(b, "Tests of Kubernetes %s on craton %s, %d runs from %s to %s UTC, %s in all.\n\n",
		r.Suite, r.Craton, r.Runs, days[0], days[len(days)-1], time.Duration(r.Seconds*float64(time.Second)).Round(time.Second))
	b.WriteString("| group | tests | passed | failed | cannot run here | not run |\n|---|---|---|---|---|---|\n")
	for _, g := range groups {
		b.WriteString(counts[g].row(g))
	}
	b.WriteString(sum.row("**all**"))
	if len(lacking) > 0 {
		b.WriteString("\nCannot run here:\n\n")
		for _, name := range lacking {
			fmt.Fprintf(b, "- %s: %s\n", name, lacks(name))
		}
	}
	if len(left) > 0 {
		b.WriteString("\nNot run yet:\n\n")
		for _, name := range left {
			fmt.Fprintf(b, "- %s\n", name)
		}
	}
	if len(failures) > 0 {
		b.WriteString("\nFailed:\n\n")
		for _, name := range failures {
			reason := why(last[name])
			if reason == "" {
				reason = "not looked into. It said: `" + strings.ReplaceAll(firstLine(last[name].Failure), "`", "'") + "`"
			}
			fmt.Fprintf(b, "- %s: %s%s\n", name, reason, last[name].compared())
		}
	}
}

// compared says what became of a failed test without the rules.
func (t outcome) compared() string {
	switch t.Open {
	case passed:
		return " (It passes without the rules.)"
	case failed:
		return " (It fails without the rules, too.)"
	}
	return " (It was not run without the rules.)"
}
