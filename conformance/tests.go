package main

import (
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"
)

// part is the K-th of N parts, from 1.
type part struct{ k, n int }

func (p part) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/%d", p.k, p.n), nil }

func (p *part) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(string(text)+" ", "%d/%d ", &p.k, &p.n)
	if err != nil || p.n < 1 || p.k < 1 || p.k > p.n {
		return fmt.Errorf("%q: expected K/N, such as 2/4", text)
	}
	return nil
}

// readTests are the names in the list that upstream's program prints, sorted.
func readTests(list []byte) ([]string, error) {
	var tests []struct {
		Codename string `json:"codename"`
	}
	if err := yaml.Unmarshal(list, &tests); err != nil {
		return nil, fmt.Errorf("the list of conformance tests: %w", err)
	}
	var names []string
	for _, t := range tests {
		if t.Codename == "" {
			return nil, fmt.Errorf("the list of conformance tests: test %d has no codename", len(names)+1)
		}
		names = append(names, t.Codename)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// choose are the tests that a run takes: those that were asked for, without those that have
// passed or cannot run here. Each part has tests of every kind, and every test is in one part.
func (o options) choose(all []string, found *results) []string {
	var chosen []string
	for _, name := range all {
		if o.focus.MatchString(name) && !o.skip.MatchString(name) {
			chosen = append(chosen, name)
		}
	}
	var mine []string
	for i, name := range chosen {
		if i%o.part.n != o.part.k-1 {
			continue
		}
		if !o.again && (found.passed(name) || lacks(name) != "") {
			continue
		}
		mine = append(mine, name)
	}
	return mine
}
