// Command bench measures craton against what it can be compared with on the same host, and
// prints a Markdown table: each figure with its goal, the least, median and greatest of
// several runs, its ratio to the other side of its pair, and whether the goal is met.
//
// The two sides of a pair are measured one after the other in each run, and ratios are
// made within a run, so that a host that grows slower spoils both alike. It is no test:
// nothing fails where a goal is missed. It needs root, starts clusters whose names begin
// with "bench", and removes all that it makes.
//
// Files: table.go (what is printed), one file for each group of measurements (plan.go,
// static.go, live.go, fabric.go, operator.go, up.go, kubeadm.go, masters.go, kinds.go, services.go, console.go), and what
// they are made of (process.go, namespace.go, traffic.go, floor.go, machines.go, outside.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is what all measurements share.
type bench struct {
	craton  string // the program that is measured
	dir     string // scratch, removed at the end
	samples samples
}

// measurement is one side of a comparison: a call is one run of it.
type measurement struct {
	name string // as -only names it
	run  func(*bench, context.Context) error
}

// measurements are all of them, in the order of a run. Those on processes' memory come
// first (see usage).
var measurements = []measurement{
	{"plan", (*bench).planAndRender},
	{"static", (*bench).static},
	{"fabric", (*bench).fabric},
	{"operator", (*bench).operator},
	{"floor", (*bench).floor},
	{"up", (*bench).up},
	{"kubeadm", (*bench).kubeadm},
	{"masters", (*bench).masters},
	{"kubeadm-masters", (*bench).kubeadmMasters},
	{"etcd", (*bench).etcdKinds},
	{"services", (*bench).services},
	{"console", (*bench).console},
	{"live", (*bench).live},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	runs := flag.Int("runs", 5, "how often each measurement is made")
	only := flag.String("only", strings.Join(names, ","), "the measurements to make; memory is part of up")
	craton := flag.String("craton", "bin/craton", "the program to measure")
	flag.Parse()
	if *runs < 1 || flag.NArg() > 0 {
		return fmt.Errorf("expected -runs of at least 1 and no arguments: see -help")
	}
	var chosen []measurement
	for _, name := range strings.Split(*only, ",") {
		if name == "memory" {
			name = "up"
		}
		i := slices.Index(names, name)
		if i < 0 {
			return fmt.Errorf("-only %s: there is no such measurement; there are %s", name, strings.Join(names, ", "))
		}
		if !slices.ContainsFunc(chosen, func(m measurement) bool { return m.name == name }) {
			chosen = append(chosen, measurements[i])
		}
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("it makes namespaces and machines, which needs root: run it with sudo")
	}
	program, err := filepath.Abs(*craton)
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w; `make build` makes it", err)
	}
	// On a disk, as the clusters' state is: /tmp may be in memory.
	dir, err := os.MkdirTemp("/var/tmp", "craton-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{craton: program, dir: dir, samples: samples{}}
	for i := range *runs {
		for _, m := range chosen {
			began := time.Now()
			if err := m.run(b, ctx); err != nil {
				if ctx.Err() != nil {
					return fmt.Errorf("stopped in %s; what it made is removed", m.name)
				}
				return fmt.Errorf("%s, run %d: %w", m.name, i+1, err)
			}
			say("run %d of %d: %s took %.0f s", i+1, *runs, m.name, time.Since(began).Seconds())
		}
	}
	_, err = os.Stdout.WriteString(table(b.samples, figures()))
	return err
}

// say tells on stderr how far it is.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
