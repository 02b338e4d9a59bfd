// Command conformance runs upstream's own end-to-end tests, those that are marked
// [Conformance], on a cluster of one master and two workers behind exactly the plan's rules.
// It needs root.
//
// It tests no single package: what fails there and passes without the rules is a finding
// about the contract. The tests take hours, so a run may take a part of them, and a time;
// what became of each test is kept, a later run goes on from there, and the page is made
// of all that was found so far. The cluster is named by -cluster, and there is no other
// that it touches.
//
// Files: tests.go (which tests there are, and which of them a run takes), suite.go (running
// upstream's program on the cluster), junit.go (what it says), results.go (what was found so
// far), reasons.go (why a test fails or cannot run here), page.go (the page).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

type options struct {
	profile string
	cluster string
	focus   *regexp.Regexp
	skip    *regexp.Regexp
	part    part
	limit   time.Duration
	at      int
	again   bool
	keep    bool
	list    bool
	craton  string
	results string
	logs    string
	page    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(3)
	}
}

func parse() (o options, err error) {
	focus := flag.String("focus", "", "run the tests whose name matches this regular expression, such as '^\\[sig-network\\]'")
	skip := flag.String("skip", "^$", "leave out those whose name matches this one")
	flag.TextVar(&o.part, "part", part{1, 1}, "run the part K/N of them: every N-th test")
	flag.StringVar(&o.profile, "profile", "document", "the cluster's profile: document or minimal")
	flag.StringVar(&o.cluster, "cluster", "conformance", "the name of the cluster that is made")
	flag.DurationVar(&o.limit, "for", 3*time.Hour, "stop the tests after that time; what was not finished is left for a later run")
	flag.IntVar(&o.at, "nodes", 4, "how many tests run at once, but those marked [Serial]")
	flag.BoolVar(&o.again, "again", false, "also run what has passed in an earlier run, or cannot run here")
	flag.BoolVar(&o.keep, "keep", false, "use the cluster that is there, where it is, and leave it: to look into a failure")
	flag.BoolVar(&o.list, "list", false, "print the tests' names, and run none")
	flag.StringVar(&o.craton, "craton", "bin/craton", "the program that makes the cluster")
	flag.StringVar(&o.results, "results", "docs/conformance", "the folder of results; a file a profile")
	flag.StringVar(&o.logs, "logs", "bin/conformance", "the folder for JUnit files and what the suite says")
	flag.StringVar(&o.page, "page", "", "make this page of the results, and run nothing")
	flag.Parse()
	if flag.NArg() > 0 {
		return o, fmt.Errorf("%q: no arguments are expected; see -help", flag.Arg(0))
	}
	if o.profile != "document" && o.profile != "minimal" {
		return o, fmt.Errorf("-profile %s: expected document or minimal", o.profile)
	}
	if o.focus, err = regexp.Compile(*focus); err != nil {
		return o, fmt.Errorf("-focus: %w", err)
	}
	if o.skip, err = regexp.Compile(*skip); err != nil {
		return o, fmt.Errorf("-skip: %w", err)
	}
	for _, path := range []*string{&o.craton, &o.logs} {
		if *path, err = filepath.Abs(*path); err != nil {
			return o, err
		}
	}
	return o, nil
}

func run(ctx context.Context) (ok bool, err error) {
	o, err := parse()
	if err != nil {
		return false, err
	}
	if o.page != "" {
		return true, writePage(o.page, o.results)
	}
	if os.Geteuid() != 0 {
		return false, errors.New("it makes machines, which needs root: run it with sudo")
	}
	s := &suite{options: o}
	if err := s.build(ctx); err != nil {
		return false, err
	}
	all, err := s.tests(ctx)
	if err != nil {
		return false, err
	}
	found, err := readResults(o.results, o.profile)
	if err != nil {
		return false, err
	}
	found.know(all)
	chosen := o.choose(all, found)
	if o.list {
		for _, name := range chosen {
			fmt.Println(name)
		}
		return true, nil
	}
	if len(chosen) == 0 {
		say("no test is left of those that were asked for: -again runs them once more")
		return true, nil
	}
	done, err := s.play(ctx, chosen, func(one session) error {
		found.add(one)
		return found.write(o.results)
	})
	return report(chosen, done) && err == nil, err
}

// report says what became of a run, and whether all that was chosen has passed.
func report(chosen []string, done session) bool {
	count := map[string]int{}
	for _, t := range done.tests {
		count[t.Verdict]++
		if t.Verdict == failed {
			say("failed: %s: %s%s", t.Name, firstLine(t.Failure), t.compared())
		}
	}
	say("%d passed, %d failed, %d of %d not run in %.0f s", count[passed], count[failed], len(chosen)-len(done.tests), len(chosen), done.Seconds)
	return count[passed] == len(chosen)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return fmt.Sprintf("%.200s", line)
}

// say tells on stderr how far it is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}
