package plan

import (
	"io"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

func sized(workers int) *cluster.Cluster {
	c := cluster.Default("big")
	c.Masters, c.Workers = 3, workers
	return c
}

// TestGrowthIsLinear: four times the workers cost at most five times the memory, so that
// nothing compares each machine with each other.
func TestGrowthIsLinear(t *testing.T) {
	for name, run := range map[string]func(workers int) func(){
		"Make": func(workers int) func() { return func() { made(t, sized(workers)) } },
		"WriteJSON": func(workers int) func() {
			p := made(t, sized(workers))
			return func() { _ = WriteJSON(io.Discard, p) }
		},
		"WriteCSV": func(workers int) func() {
			p := made(t, sized(workers))
			return func() { _ = WriteCSV(io.Discard, p) }
		},
		"Diff": func(workers int) func() {
			p, q := made(t, sized(workers)), made(t, sized(workers+7))
			return func() { Diff(p, q) }
		},
	} {
		bytes := func(workers int) uint64 {
			f := run(workers)
			f() // what is made once, such as the contract's index
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 5 {
				f()
			}
			runtime.ReadMemStats(&after)
			return (after.TotalAlloc - before.TotalAlloc) / 5
		}
		few, many := bytes(1000), bytes(4000)
		if few == 0 || many > 5*few {
			t.Errorf("%s: %d bytes for 1,000 workers, %d for 4,000", name, few, many)
		}
	}
}

// TestFiveThousand protects what a large cluster costs: its plan is made, and written for other tools, in
// less than a second and 200 MiB. The second is the processor's, so that a busy host does not fail it.
func TestFiveThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("time and memory are not asked about with -short: the race detector uses much of both")
	}
	runtime.GC()
	var before, after syscall.Rusage
	var base, now runtime.MemStats
	runtime.ReadMemStats(&base)
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	if err := WriteJSON(io.Discard, made(t, sized(5000))); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&now)
	took := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	allocated := now.TotalAlloc - base.TotalAlloc // at no moment is there more
	t.Logf("%s, %d MiB", took, allocated>>20)
	if took > time.Second || allocated > 200<<20 {
		t.Errorf("the plan of 5,000 workers took %s and %d MiB: expected 1 s and 200 MiB at most", took, allocated>>20)
	}
}

// TestRulesDoNotGrow: rules, and the prefixes of a role, are as few for 5,000 workers as
// for a handful.
func TestRulesDoNotGrow(t *testing.T) {
	few, many := made(t, sized(5)), made(t, sized(5000))
	if len(few.Rules) != len(many.Rules) {
		t.Errorf("%d rules for 5 workers, %d for 5,000", len(few.Rules), len(many.Rules))
	}
	if n := len(many.Peers[contract.Workers]); n > 16 {
		t.Errorf("%d prefixes for 5,000 addresses in a row", n)
	}
}

func BenchmarkMake5000(b *testing.B) {
	c := sized(5000)
	b.ReportAllocs()
	for b.Loop() {
		made(b, c)
	}
}

func BenchmarkMakeAndJSON5000(b *testing.B) {
	c := sized(5000)
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteJSON(io.Discard, made(b, c)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAllows5000 asks about a port that only the last rules could open.
func BenchmarkAllows5000(b *testing.B) {
	p := made(b, sized(5000))
	src, dst := p.Machines[10].Address, p.Machines[4000].Address
	outside := netip.MustParseAddr("8.8.8.8")
	b.ReportAllocs()
	for b.Loop() {
		p.Allows(src, dst, contract.UDP, 4789)
		p.Allows(outside, dst, contract.TCP, 4789)
	}
}
