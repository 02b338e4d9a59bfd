package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/atomicwriter"

	"craton.dev/craton/payload"
)

// results are what was found in a profile so far: of each test, the last run.
type results struct {
	Profile string `json:"profile"`
	// Suite is the version of upstream's tests, and Craton of what they ran on.
	Suite  string `json:"suite"`
	Craton string `json:"craton"`
	// Seconds are those of all runs, without the cluster's coming and going.
	Seconds float64 `json:"seconds"`
	Runs    int     `json:"runs"`
	// All are the names of all conformance tests, run or not.
	All   []string  `json:"all"`
	Tests []outcome `json:"tests"`
}

func resultsFile(dir, profile string) string { return filepath.Join(dir, profile+".json") }

// readResults are those of earlier runs; none where there were none, or of another version.
func readResults(dir, profile string) (*results, error) {
	fresh := &results{Profile: profile, Suite: suiteVersion(), Craton: payload.Version}
	data, err := os.ReadFile(resultsFile(dir, profile))
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	r := &results{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w: it has to be what an earlier run has written", resultsFile(dir, profile), err)
	}
	if r.Suite != fresh.Suite {
		return fresh, nil
	}
	return r, nil
}

// suiteVersion is the version of Kubernetes that the tests are of.
func suiteVersion() string {
	for _, c := range payload.Components() {
		if c.Name == payload.Suite()[0] {
			return c.Version
		}
	}
	return ""
}

func (r *results) know(all []string) { r.All = all }

func (r *results) passed(name string) bool {
	i := slices.IndexFunc(r.Tests, func(t outcome) bool { return t.Name == name })
	return i >= 0 && r.Tests[i].Verdict == passed
}

// add puts what a run has found in place of what was known of the same tests.
func (r *results) add(done session) {
	if len(done.tests) == 0 {
		return
	}
	r.Runs++
	r.Seconds += done.Seconds
	r.Craton = payload.Version
	for _, t := range done.tests {
		r.Tests = slices.DeleteFunc(r.Tests, func(old outcome) bool { return old.Name == t.Name })
		r.Tests = append(r.Tests, t)
	}
	slices.SortFunc(r.Tests, func(a, b outcome) int { return cmp.Compare(a.Name, b.Name) })
}

// write replaces the file: all or what was there, since hours are in it.
func (r *results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicwriter.WriteFile(resultsFile(dir, r.Profile), append(b, '\n'), 0o644)
}
