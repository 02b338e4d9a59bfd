package main

import "regexp"

// reason is what is known of tests that do not pass here.
type reason struct {
	tests *regexp.Regexp
	// lacks is the image or the hardware without which they cannot run here; they are not
	// tried then.
	lacks string
	// why is what a look into their failure has shown.
	why string
}

// reasons are all of them. A test that fails without one is on the page as not looked into.
var reasons = []reason{}

// lacks says what a test needs that is not to be had here, or "".
func lacks(name string) string {
	for _, r := range reasons {
		if r.lacks != "" && r.tests.MatchString(name) {
			return r.lacks
		}
	}
	return ""
}

// why says what is known of a test's failure, or "".
func why(name string) string {
	for _, r := range reasons {
		if r.why != "" && r.tests.MatchString(name) {
			return r.why
		}
	}
	return ""
}
