package nftables_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"craton.dev/craton/command"
	"craton.dev/craton/golden"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/internal/example"
	"craton.dev/craton/render/nftables"
)

func ports(p *plan.Plan) map[string]string {
	out := map[string]string{}
	for i, m := range p.Machines {
		out[m.Name] = fmt.Sprintf("m%d", i)
	}
	return out
}

// nft runs the real nft in a network namespace of its own: even a check asks the kernel.
func nft(t *testing.T, ruleset []byte, args ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("nft needs root, even to check")
	}
	out, err := command.Cmd{
		Name: "nft", Args: append(args, "-f", "-"), Stdin: bytes.NewReader(ruleset),
		Attr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET},
	}.Run(context.Background())
	if err != nil {
		t.Fatalf("nft refuses the ruleset: %v", err)
	}
	return string(out)
}

// TestFabric protects the rulesets' text against changes that nobody looked at, and holds
// the kernel to it: the real nft takes each file.
func TestFabric(t *testing.T) {
	for name, p := range example.Golden(t) {
		t.Run(name, func(t *testing.T) {
			got := nftables.Fabric(p, nftables.Options{Ports: ports(p), LogGroup: 4})
			golden.Check(t, name+".nft", got)
			nft(t, got, "-c")
		})
	}
}

// TestMachine is the same for a machine's own table.
func TestMachine(t *testing.T) {
	for name, p := range example.Golden(t) {
		for _, m := range p.Machines {
			got, err := nftables.Machine(p, m.Name)
			if err != nil {
				t.Fatal(err)
			}
			nft(t, got, "-c")
			if name == "1+1-document" && strings.HasSuffix(m.Name, "worker-1") {
				golden.Check(t, "machine-worker.nft", got)
			}
		}
		if _, err := nftables.Machine(p, "nobody"); err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("a machine that is not there: %v", err)
		}
	}
}

// TestReplace protects the promise that a file replaces the table: loaded twice in one
// namespace, nothing is there twice, and the counters start from the given values.
func TestReplace(t *testing.T) {
	p := example.Plan(t, 1, 1)
	clause := p.Rules[0].Clauses[0]
	file := nftables.Fabric(p, nftables.Options{Ports: ports(p), LogGroup: 4})
	counted := nftables.Fabric(p, nftables.Options{Ports: ports(p), LogGroup: 4, Counts: map[string]nftables.Count{
		nftables.CounterName(clause): {Packets: 41, Bytes: 4242},
	}})
	once := nft(t, append(bytes.Clone(counted), "list ruleset\n"...))
	twice := nft(t, append(append(bytes.Clone(file), counted...), "list ruleset\n"...))
	if once != twice {
		t.Errorf("the second load is not a replacement: %s", cmp.Diff(once, twice))
	}
	if !strings.Contains(once, "packets 41 bytes 4242") {
		t.Errorf("the counter does not go on from its value:\n%s", once)
	}
}

// TestSize protects the promise that a rule costs the same for 5 workers and for 5,000,
// and that the ruleset of 5,000 is there in less than a second.
func TestSize(t *testing.T) {
	rules := func(workers int) (int, time.Duration) {
		p := example.Plan(t, 3, workers)
		var text []byte
		took := time.Hour
		for range 3 { // another program may have the processor once
			start := time.Now()
			text = nftables.Fabric(p, nftables.Options{Ports: ports(p), LogGroup: 4})
			took = min(took, time.Since(start))
		}
		nft(t, text, "-c")
		n := 0
		for line := range strings.Lines(string(text)) {
			for _, verdict := range []string{" accept\n", " return\n", " drop\n", "\tdrop\n", " jump "} {
				if strings.Contains(line, verdict) {
					n++
					break
				}
			}
		}
		return n, took
	}
	few, _ := rules(5)
	many, took := rules(5000)
	if few != many || few < 20 {
		t.Errorf("%d rules for 5 workers, %d for 5,000: expected the same", few, many)
	}
	if took > time.Second {
		t.Errorf("5,000 workers took %s: expected less than 1s", took)
	}
	t.Logf("%d rules, %s", many, took)
}

// TestCounterName protects the way back from a counter to its clause, whatever the id.
func TestCounterName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clause := rapid.StringMatching(`(master|worker)\.[a-z./ _é-]{0,12}`).Draw(t, "clause")
		name := nftables.CounterName(clause)
		back, ok := nftables.ClauseOf(name)
		if !ok || back != clause {
			t.Fatalf("%q is counted by %q, which leads back to %q", clause, name, back)
		}
		for _, c := range name {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789./_-", c) {
				t.Fatalf("nft takes no %q in %q", c, name)
			}
		}
	})
	if _, ok := nftables.ClauseOf(nftables.DropCounter("master.ingress")); ok {
		t.Error("a drop counter passes for a clause's")
	}
	if what, ok := nftables.DropOf(nftables.DropCounter("master.ingress")); !ok || what != "master.ingress" {
		t.Errorf("the drop counter leads back to %q", what)
	}
}

// TestNarrowestCounts protects what a counter means: a packet that a rule for one port lets
// in is not counted by "all ports", which stands first in the plan.
func TestNarrowestCounts(t *testing.T) {
	p := example.Plan(t, 1, 1)
	text := string(nftables.Fabric(p, nftables.Options{}))
	chain := text[strings.Index(text, "chain worker.ingress"):]
	one, all := strings.Index(chain, "worker.ingress.kubelet"), strings.Index(chain, "worker.ingress.masters-all")
	if one < 0 || all < 0 || one > all {
		t.Errorf("the rule for one port is at %d, that for all at %d: expected the one first", one, all)
	}
}
