package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/payload"
)

// Samples of the Console, by the names under which its tests log them.
const (
	consoleMemory, consoleTail, consoleAbove = "console memory", "console p99", "console above the API"
	consoleWeight, consoleUsable             = "console weight", "console usable"
)

// console measures the Console by its own tests, which play a cluster of 5,000 pods and twenty
// people to it, and look at its pages with a real browser. They are run from the source.
func (b *bench) console(ctx context.Context) error {
	built, err := payload.Build(ctx, payload.Options{Want: []string{"etcd", "kube-apiserver"}})
	if err != nil {
		return err
	}
	env := append(os.Environ(), "CRATON_FIGURES=1", "CRATON_ETCD="+built.HostBin("etcd"), "CRATON_APISERVER="+built.HostBin("kube-apiserver"))
	out, err := command.Cmd{
		Name: "go", Args: []string{"test", "./console", "-run", "^(TestFigures|TestBrowser)$", "-count=1", "-v"}, Env: env, Timeout: 15 * time.Minute,
	}.Run(ctx)
	if err != nil {
		return err
	}
	found := samples{}
	for line := range strings.Lines(string(out)) {
		_, text, ok := strings.Cut(line, "figure: ")
		name, value, whole := strings.Cut(strings.TrimSpace(text), " = ")
		var number float64
		if _, err := fmt.Sscan(value, &number); ok && whole && err == nil {
			found.add(name, number)
		}
	}
	for _, name := range []string{consoleMemory, consoleTail, consoleAbove, consoleWeight, consoleUsable} {
		if len(found[name]) != 1 {
			return fmt.Errorf("the Console's tests log %d values of %q, expected one: is there a browser (scripts/setup test)?", len(found[name]), name)
		}
		b.samples.add(name, found[name][0])
	}
	return nil
}
