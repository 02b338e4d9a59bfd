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
		tests: regexp.MustCompile(`^\[sig-node\] (Secrets|ConfigMap) should be consumable via the environment`), run: "2026-11-29 10:37",
		why: "the shell of the image busybox was BusyBox's, which keeps a variable called data-1 from the programs that it starts. " +
			"The image is mended; it has not been run since.",
	},
	{
		tests: regexp.MustCompile(`^\[sig-network\] Services `), run: "2026-11-29 08:43",
		why: "the shell of the image agnhost ran BusyBox's nc, which knows neither -v nor -u, and not the one beside it. " +
			"The image is mended. It was while that run went on, so what passed without the rules says nothing about them; " +
			"it has not been run behind them since.",
	},
	{
		tests: regexp.MustCompile(`^\[sig-network\] Services should (be able to change the type from ExternalName to NodePort|be able to create a functioning NodePort service|have session affinity work for NodePort service)`),
		why: "a pod asks for a node port at another machine's address. Clause worker.ingress.node-ports lets the user network in " +
			"(the document names no peer, this is inferred), and no clause workers: a finding about the contract.",
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
