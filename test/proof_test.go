package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/filter/nft"
	"craton.dev/craton/prove"
	"craton.dev/craton/verify"
)

// lines collects what a program prints.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// drift compares the fabric's rules with the plan, without touching anything.
func (l *lab) drift(t *testing.T) error {
	t.Helper()
	c := l.open(t)
	listing, ports, err := c.Platform.Rules(context.Background(), c.Plan)
	if err != nil {
		return err
	}
	rules, err := nft.Read("the fabric", listing)
	if err != nil {
		return err
	}
	v, err := verify.Static(c.Plan, rules, verify.StaticOptions{Ports: ports})
	if err != nil {
		return err
	}
	if v.Summary.Failed+v.Summary.Unknown > 0 {
		return fmt.Errorf("%d ranges are not as planned, %d unknown", v.Summary.Failed, v.Summary.Unknown)
	}
	return nil
}

// testRules protects from rules that somebody changes by hand: verify --static calls the running
// fabric as planned, finds one rule too many with a packet that shows it, --watch tells of it
// within five seconds, and up puts it right.
func testRules(t *testing.T, l *lab) {
	if out, err := l.craton("verify", "--static", "--cluster", l.name); err != nil {
		t.Fatalf("the fabric of a cluster that is just up is not as planned: %v\n%s", err, out)
	}
	watch := exec.Command(craton, "verify", "--static", "--watch", "--cluster", l.name)
	var said lines
	watch.Stdout, watch.Stderr = &said, &said
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer watch.Wait()
	defer watch.Process.Kill()
	eventually(t, 10*time.Second, func() error {
		if !strings.Contains(said.String(), " 0 not, 0 unknown") {
			return fmt.Errorf("the watcher says %q", said.String())
		}
		return nil
	})
	const port = "8443"
	if _, err := command.Run(context.Background(), "nsenter", "--net=/run/netns/craton-"+l.name+"-fabric",
		"nft", "insert", "rule", "inet", "craton", "master.ingress", "tcp", "dport", port, "accept"); err != nil {
		t.Fatal(err)
	}
	changed := time.Now()
	eventually(t, 5*time.Second, func() error {
		if !strings.Contains(said.String(), "tcp "+port) {
			return fmt.Errorf("the watcher says %q", said.String())
		}
		return nil
	})
	t.Logf("the watcher told of the change after %.1f s", time.Since(changed).Seconds())
	out, err := l.craton("verify", "--static", "--cluster", l.name)
	failed := (*command.Error)(nil)
	if !errors.As(err, &failed) || failed.ExitCode() != 3 || !strings.Contains(out, "tcp "+port+": the plan has it closed, found open") || !strings.Contains(out, "accepted by") {
		t.Errorf("a port that was opened by hand: %v\n%s", err, out)
	}
	l.up(t)
	if err := l.drift(t); err != nil {
		t.Errorf("after up: %v", err)
	}
}

// testProof protects the claim that the rules are enough and that clauses are needed, on a few of
// them; the whole set is `make prove`. And it protects the rules from a proof that is killed.
func testProof(t *testing.T, l *lab) {
	// In profile document all ports of workers are open to masters, the kubelet's as well.
	want := map[string]struct {
		verdict string
		broken  []string
	}{
		"master.ingress.ssh":        {prove.Necessary, []string{"ssh"}},
		"worker.ingress.node-ports": {prove.Necessary, []string{"node-port"}},
		"master.ingress.vxlan":      {prove.Necessary, []string{"call-webhook", "pod-to-pod", "reach-service", "resolve-service"}},
		"worker.ingress.kubelet":    {prove.Redundant, []string{}},
	}
	var clauses []string
	for id := range want {
		clauses = append(clauses, id)
	}
	args := []string{"prove", "--cluster", l.name, "--brief", "--clause", strings.Join(clauses, ","), "-o", "json",
		"--results", filepath.Join(t.TempDir(), "proof.json")}
	l.killedProof(t, args)
	began := time.Now()
	out, err := l.craton(args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("the proof took %.0f s", time.Since(began).Seconds())
	var proof prove.Proof
	if err := json.Unmarshal([]byte(out), &proof); err != nil {
		t.Fatal(err)
	}
	for _, n := range proof.Necessary {
		slices.Sort(n.Broken)
		if w := want[n.Clause]; n.Verdict != w.verdict || !slices.Equal(n.Broken, w.broken) {
			t.Errorf("%s is %s and breaks %v (%s); expected %s, %v", n.Clause, n.Verdict, n.Broken, n.Detail, w.verdict, w.broken)
		}
	}
	if len(proof.Necessary) != len(want) || len(proof.Sufficient.Operations) < 15 {
		t.Errorf("%d clauses and %d operations were tried", len(proof.Necessary), len(proof.Sufficient.Operations))
	}
	if err := l.drift(t); err != nil {
		t.Errorf("after the proof: %v", err)
	}
}

// killedProof kills one while a clause is out: the rules are back within five seconds, with no
// command that would see to it.
func (l *lab) killedProof(t *testing.T, args []string) {
	t.Helper()
	cmd := exec.Command(craton, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := false
	for says := bufio.NewScanner(stderr); says.Scan(); {
		if strings.Contains(says.Text(), "without ") {
			out = true
			break
		}
	}
	if out {
		eventually(t, 2*time.Second, func() error {
			if l.drift(t) == nil {
				return errors.New("the proof says that a clause is out, but the rules are the plan's")
			}
			return nil
		})
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if !out {
		t.Fatal("the proof ended before it took a clause out")
	}
	eventually(t, 5*time.Second, func() error { return l.drift(t) })
}
