package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
)

// What a test can have come to. What was cut off by the end of a run has come to nothing.
const (
	passed = "passed"
	failed = "failed"
)

// outcome is what became of one test.
type outcome struct {
	Name    string  `json:"name"`
	Verdict string  `json:"verdict"`
	Seconds float64 `json:"seconds"`
	// Failure is what the test said, where it failed.
	Failure string `json:"failure,omitempty"`
	// Open is what became of it without the rules, where that was tried.
	Open string `json:"open,omitempty"`
	// Began is when its run began, in UTC.
	Began string `json:"began,omitempty"`
}

// mostFailure is how much of a failure is kept: the rest is in the JUnit file.
const mostFailure = 1500

// readJUnit are the tests that a JUnit file of the suite says passed or failed. cut is whether
// the run was ended before its tests were: a test that was interrupted then has not failed.
func readJUnit(path string, cut bool) ([]outcome, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Suites []struct {
			Cases []struct {
				Name    string  `xml:"name,attr"`
				Status  string  `xml:"status,attr"`
				Time    float64 `xml:"time,attr"`
				Failure string  `xml:"failure"`
				Error   string  `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("%s: %w: it has to be a JUnit file of the suite", path, err)
	}
	var found []outcome
	for _, s := range file.Suites {
		for _, c := range s.Cases {
			name, ok := strings.CutPrefix(c.Name, "[It] ")
			if !ok {
				if c.Status == failed && strings.HasPrefix(c.Name, "[SynchronizedBeforeSuite]") {
					return nil, fmt.Errorf("%s: the suite could not begin, so no test was run: %.800s", path, c.Failure+c.Error)
				}
				continue
			}
			o := outcome{Name: name, Seconds: c.Time}
			switch c.Status {
			case "skipped", "pending":
				continue
			case "passed":
				o.Verdict = passed
			case "interrupted", "timedout", "aborted":
				if cut {
					continue
				}
				fallthrough
			default:
				o.Verdict = failed
				o.Failure = strings.TrimSpace(c.Failure + c.Error)
				o.Failure = fmt.Sprintf("%.*s", mostFailure, o.Failure)
			}
			found = append(found, o)
		}
	}
	return found, nil
}
