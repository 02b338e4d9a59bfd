// Command faults brings clusters up on this host, lets scenarios of faults befall them
// while clients use them, and reports for each how long the API was away, how long the
// control plane did no work, when all was ready again, and whether an acknowledged write was
// lost or a read was not of its time. It needs root and, for all scenarios, some hours.
//
// It tests no single package and measures no speed: what can be found without a running
// cluster has its tests beside its code. The cluster is named by -cluster, and there is no
// other that it touches.
//
// Files: scenario.go (what a scenario is), scenarios.go (all of them, with their bounds),
// faults.go (what befalls), play.go and moment.go (how one is played), watch.go and
// canary.go (what is looked at meanwhile), lab.go (the cluster), results.go (what was found
// so far), report.go (the table).
// Packages: load (the clients), history (the checker), inject (how things are broken).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/faults/history"
)

type options struct {
	run     *regexp.Regexp
	report  string
	seed    uint64
	short   bool
	list    bool
	craton  string
	cluster string
	check   string
	keep    string
	resume  bool
	limit   time.Duration
	page    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(3)
	}
}

func parse() (o options, err error) {
	pattern := flag.String("run", "", "play the scenarios whose name matches this regular expression")
	flag.StringVar(&o.report, "report", "faults.md", "the file of the report; beside it, NAME.json has the rows")
	flag.Uint64Var(&o.seed, "seed", 0, "decides what is drawn; 0 draws one, and it is printed")
	flag.BoolVar(&o.short, "short", false, "only the short subset, of less than five minutes")
	flag.BoolVar(&o.list, "list", false, "print the scenarios' names, and play none")
	flag.StringVar(&o.craton, "craton", "", "the program under test; where it is not given, it is built from this source")
	flag.StringVar(&o.cluster, "cluster", "faults", "the name of the cluster that is made")
	flag.BoolVar(&o.resume, "resume", false, "go on from the results beside the report or, where there are none, beside "+lastPage+": what has passed is not played again, what has failed is at the end")
	flag.DurationVar(&o.limit, "for", 0, "begin no scenario after that time, such as 20m; 0 is no limit")
	flag.StringVar(&o.page, "page", "", "put the table of the report's results into this page, and the results beside it, and play nothing")
	flag.StringVar(&o.check, "check", "", "check this file, a history of an earlier run, and play nothing")
	flag.StringVar(&o.keep, "keep", "", "the folder for logs and histories of scenarios that failed; default: beside the report")
	flag.Parse()
	if flag.NArg() > 0 {
		return o, fmt.Errorf("%q: no arguments are expected; see -help", flag.Arg(0))
	}
	if o.run, err = regexp.Compile(*pattern); err != nil {
		return o, fmt.Errorf("-run: %w", err)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1e9) + 1
	}
	if o.keep == "" {
		o.keep = strings.TrimSuffix(o.report, ".md") + ".d"
	}
	return o, nil
}

func chosen(o options) []scenario {
	var out []scenario
	for _, s := range scenarios() {
		if o.run.MatchString(s.name()) && (!o.short || s.short) {
			out = append(out, s)
		}
	}
	return out
}

func run(ctx context.Context) (ok bool, err error) {
	o, err := parse()
	if err != nil {
		return false, err
	}
	if o.check != "" {
		return check(o.check)
	}
	if o.page != "" {
		found, err := loadResults(o.report, true)
		if err != nil {
			return false, err
		}
		if err := writePage(o.page, found.sorted()); err != nil {
			return false, err
		}
		return true, found.save(o.page)
	}
	all := chosen(o)
	if o.list {
		for _, s := range all {
			fmt.Println(s.name())
		}
		return true, nil
	}
	if len(all) == 0 {
		return false, errors.New("no scenario matches: -list prints their names")
	}
	found, err := loadResults(o.report, o.resume)
	if err != nil {
		return false, err
	}
	if all = found.left(all); len(all) == 0 {
		say("all that match have passed: %s", o.report)
		return true, nil
	}
	if os.Geteuid() != 0 {
		return false, errors.New("it makes machines, which needs root: run it with sudo")
	}
	l := &lab{name: o.cluster}
	if l.dir, err = filepath.Abs(o.keep); err != nil {
		return false, err
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return false, err
	}
	if l.craton, err = program(ctx, o.craton, l.dir); err != nil {
		return false, err
	}
	if err := l.build(ctx); err != nil {
		return false, err
	}
	if err := l.down(ctx); err != nil {
		return false, err
	}
	defer func() {
		err = errors.Join(err, l.down(context.WithoutCancel(ctx)))
	}()
	return playAll(ctx, o, l, all, found)
}

func playAll(ctx context.Context, o options, l *lab, all []scenario, found *results) (ok bool, err error) {
	started := time.Now()
	bare, err := l.bare(ctx)
	if err != nil {
		return false, err
	}
	version, _ := command.Run(ctx, l.craton, "version")
	commit, _ := command.Run(ctx, "git", "describe", "--always", "--dirty") // "" where this is no clone
	say("seed %d, %d scenarios; report: %s; bare etcd and API server start in %.1f s", o.seed, len(all), o.report, bare.Seconds())
	ok = true
	for i, s := range all {
		if o.limit > 0 && time.Since(started) > o.limit {
			say("%s are over, %d scenarios are left: -resume goes on", o.limit, len(all)-i)
			return ok, nil
		}
		one := func() (r *row, broken bool) {
			r = &row{
				Scenario: s.name(), Seed: o.seed, Played: time.Now().UTC().Format("2006-01-02 15:04"),
				Version: strings.Join(strings.Fields(string(version)), " "), Bare: bare.Seconds(),
				Commit: strings.TrimSpace(string(commit)),
			}
			began := time.Now()
			seed := s.seed(o.seed)
			p := &play{scenario: s, lab: l, row: r, random: rand.New(rand.NewPCG(seed, 0)), seed: seed, began: began}
			if broken = p.run(ctx, bare); broken {
				l.cluster = nil
			}
			say("%d of %d: %s: %s (%.0f s) %s", i+1, len(all), s.name(), r.Verdict, time.Since(began).Seconds(), strings.Join(r.Reasons, "; "))
			return r, broken
		}
		r, broken := one()
		if o.short && r.Verdict == failed && !broken && ctx.Err() == nil {
			// It only took too long, as it does where the host has other work: the whole set tells that apart by
			// its many rows, and the short one by a second try.
			first := strings.Join(r.Reasons, "; ")
			r, _ = one()
			r.Notes = append(r.Notes, note{Text: "at the first try: " + first})
		}
		ok = ok && r.Verdict == passed
		if ctx.Err() != nil {
			return false, errors.New("stopped; the report has what was played till then")
		}
		found.rows[s.name()] = r
		if err := found.write(); err != nil {
			return false, err
		}
	}
	return ok, nil
}

// program is the craton under test, with its companions beside it.
func program(ctx context.Context, path, dir string) (string, error) {
	if path != "" {
		path, err := filepath.Abs(path)
		if err == nil {
			_, err = os.Stat(path)
		}
		return path, err
	}
	bin := filepath.Join(dir, "bin")
	build := command.Cmd{Name: "go", Env: []string{"CGO_ENABLED=0"}, Timeout: 20 * time.Minute,
		Args: []string{"build", "-buildvcs=false", "-o", bin + "/", "./cmd/craton", "./cmd/craton-operator", "./cmd/craton-checkpointer"}}
	_, err := build.Run(ctx)
	return filepath.Join(bin, "craton"), err
}

// check decides about a history again.
func check(path string) (bool, error) {
	ops, err := history.ReadFile(path)
	if err != nil {
		return false, err
	}
	v := history.Check(ops, 10*checking)
	fmt.Printf("%d operations: %d writes, %d acknowledged, %d unclear, %d lost, %d reads\n", len(ops), v.Tried, v.Acked, v.Unclear, v.Lost, v.Reads)
	for _, w := range v.Wrong {
		fmt.Println(w)
	}
	for _, k := range v.Undecided {
		fmt.Println(k + ": not decided")
	}
	return v.Passed(), nil
}

// say tells on stderr how far it is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
