package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// sizes are the numbers of workers that plans are measured with. The half of the largest
// is there to see growth where the start of a process no longer counts.
var sizes = []int{1, 100, largest / 2, largest}

const largest = 5000

// The commands that are measured.
const (
	planVerb   = "plan"
	renderVerb = "render"
)

func sampleName(verb string, workers int, unit string) string {
	return fmt.Sprintf("%s %d %s", verb, workers, unit)
}

// addedName is the sample of what workers cost beyond a cluster of one.
func addedName(verb string, workers int, unit string) string {
	return "added " + sampleName(verb, workers, unit)
}

// planAndRender runs `craton plan` and `craton render ignition` once for each size. The
// keys are made before: rendering is measured, not the making of keys.
func (b *bench) planAndRender(ctx context.Context) error {
	for _, n := range sizes {
		file, err := b.clusterFile(fmt.Sprintf("bench%d", n), n, "")
		if err != nil {
			return err
		}
		u, err := b.measure(ctx, "plan", "--file", file, "-o", "json")
		if err != nil {
			return err
		}
		b.usage(planVerb, n, u)
		secrets := filepath.Join(b.dir, fmt.Sprintf("secrets%d", n))
		if _, err := os.Stat(secrets); errors.Is(err, os.ErrNotExist) {
			if _, err := b.measure(ctx, "render", "manifests", "--file", file, "--secrets", secrets); err != nil {
				return err
			}
		}
		out := filepath.Join(b.dir, "out")
		u, err = b.measure(ctx, "render", "ignition", "--file", file, "--secrets", secrets, "--out", out)
		if err != nil {
			return err
		}
		b.usage(renderVerb, n, u)
		if err := os.RemoveAll(out); err != nil {
			return err
		}
	}
	for _, verb := range []string{planVerb, renderVerb} {
		for _, unit := range []string{"cpu", "B"} {
			for _, n := range []int{largest / 2, largest} {
				b.samples.add(addedName(verb, n, unit), b.last(sampleName(verb, n, unit))-b.last(sampleName(verb, 1, unit)))
			}
		}
	}
	return nil
}

func (b *bench) usage(verb string, workers int, u usage) {
	b.samples.add(sampleName(verb, workers, "s"), u.wall.Seconds())
	b.samples.add(sampleName(verb, workers, "cpu"), u.cpu.Seconds())
	b.samples.add(sampleName(verb, workers, "B"), float64(u.peak))
}

func (b *bench) last(sample string) float64 {
	values := b.samples[sample]
	return values[len(values)-1]
}

// clusterFile writes a cluster file with one master; more are further lines of it.
func (b *bench) clusterFile(name string, workers int, more string) (string, error) {
	path := filepath.Join(b.dir, name+".yaml")
	text := fmt.Sprintf("apiVersion: craton.dev/v1alpha1\nkind: Cluster\nname: %s\nworkers: %d\n%s", name, workers, more)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
