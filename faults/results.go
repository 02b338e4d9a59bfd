package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/atomicwriter"
)

// The whole set takes hours. So what became of each scenario is kept in a file, beside the
// report, and a later run goes on from there.

// lastPage is where the last run's table is for readers, with its results beside it, so that a
// clone elsewhere goes on from there.
const lastPage = "docs/faults.md"

// resultsFile is that of a report, or of the page.
func resultsFile(report string) string { return strings.TrimSuffix(report, ".md") + ".json" }

// readResults are the rows of earlier runs; none where there were none.
func readResults(report string) ([]*row, error) {
	data, err := os.ReadFile(resultsFile(report))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows []*row
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, fmt.Errorf("%s: %w: it has to be what an earlier run has written", resultsFile(report), err)
	}
	return rows, nil
}

// results are the rows of all scenarios so far.
type results struct {
	report string
	rows   map[string]*row
}

// loadResults begins with what earlier runs have found, or with nothing. What cannot be played
// here is always among them.
func loadResults(report string, resume bool) (*results, error) {
	r := &results{report: report, rows: map[string]*row{}}
	if resume {
		rows, err := readResults(report)
		if err == nil && rows == nil {
			rows, err = readResults(lastPage)
		}
		if err != nil {
			return nil, err
		}
		for _, x := range rows {
			r.rows[x.Scenario] = x
		}
	}
	for _, s := range scenarios() {
		if s.not != "" {
			r.rows[s.name()] = &row{Scenario: s.name(), Verdict: unplayed, Reasons: []string{s.not}}
		}
	}
	return r, nil
}

// left are those of the scenarios that are to be played: first the ones that never were,
// then those that failed.
func (r *results) left(all []scenario) (left []scenario) {
	for _, verdict := range []string{"", failed} {
		for _, s := range all {
			had := ""
			if x := r.rows[s.name()]; x != nil {
				had = x.Verdict
			}
			if had == verdict {
				left = append(left, s)
			}
		}
	}
	return left
}

// sorted are the rows in the order of the scenarios, then those of scenarios that are no more.
func (r *results) sorted() []*row {
	place := map[string]int{}
	for i, s := range scenarios() {
		place[s.name()] = i
	}
	of := func(x *row) int {
		if i, ok := place[x.Scenario]; ok {
			return i
		}
		return len(place)
	}
	rows := make([]*row, 0, len(r.rows))
	for _, x := range r.rows {
		rows = append(rows, x)
	}
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(of(a), of(b)), cmp.Compare(a.Scenario, b.Scenario))
	})
	return rows
}

// write replaces the report and the file of results.
func (r *results) write() error {
	if err := os.WriteFile(r.report, []byte(report(r.sorted())), 0o644); err != nil {
		return err
	}
	return r.save(r.report)
}

// save replaces the file of results beside a report or the page.
func (r *results) save(report string) error {
	b, err := json.MarshalIndent(r.sorted(), "", " ")
	if err != nil {
		return err
	}
	return atomicwriter.WriteFile(resultsFile(report), append(b, '\n'), 0o644) // all or what was there: hours are in it
}
