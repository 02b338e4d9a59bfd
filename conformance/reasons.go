package main

import "regexp"

// reason is what is known of tests that do not pass here.
type reason struct {
	tests *regexp.Regexp
	// lacks is the image or the hardware without which they cannot run here; they are not
	// tried then.
	lacks string
	// run, where set, is when the run began that this is about: a later failure has its own reason.
	run string
	// why is what a look into their failure has shown.
	why string
}

// reasons are all of them. A test that fails without one is on the page as not looked into.
var reasons = []reason{
	{
		tests: regexp.MustCompile(`^\[sig-node\] ImageVolume should succeed with pod and pull policy of Always`),
		lacks: "the test reads the words Alpine Linux from the system of upstream's image kitten; the one that is made here is " +
			"of Debian's packages. What it does before that works: the image is a volume, and its other file is read.",
	},
	{
		tests: regexp.MustCompile(`^\[sig-node\] (Secrets|ConfigMap) should be consumable (via the environment|as environment variable names)`), run: "2026-11-29 10:37",
		why: "the shell of the image busybox was BusyBox's, which keeps a variable called data-1 from the programs that it starts. " +
			"The image is mended; it has not been run since.",
	},
}

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
func why(failure outcome) string {
	for _, r := range reasons {
		if r.why != "" && r.tests.MatchString(failure.Name) && (r.run == "" || r.run == failure.Began) {
			return r.why
		}
	}
	return ""
}
