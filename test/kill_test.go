package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/bootstrap"
)

// moment is a point in a run of up, known by something that shows.
type moment struct {
	step string
	// line is printed when the step begins; file is made by it.
	line, file string
	// after is how long up goes on from there.
	after time.Duration
	// asked has it stopped as by ^C, which all programs of a terminal get; else it is killed.
	asked bool
	// fresh moments take a cluster that has not come further before: not one that was
	// killed there and goes on.
	fresh bool
}

// moments are the points at which up is killed, in the order of its steps.
var moments = []moment{
	{step: "payload", file: "."},
	{step: "secrets", file: "pki"},
	{step: "secrets", file: "pki", after: 5 * time.Millisecond},
	{step: "record", file: "applied.json"},
	{step: "surroundings", line: "network,"},
	{step: "surroundings", line: "network,", after: 20 * time.Millisecond},
	{step: "surroundings", line: "network,", after: 60 * time.Millisecond},
	{step: "surroundings", line: "network,", after: 40 * time.Millisecond, asked: true},
	{step: "surroundings", line: "network,", after: 150 * time.Millisecond, fresh: true},
	{step: "machines", line: "starting"},
	{step: "machines", line: "starting", after: 30 * time.Millisecond, fresh: true},
	{step: "machines", line: "starting", after: 300 * time.Millisecond, fresh: true},
	{step: "machines", line: "starting", after: 100 * time.Millisecond, asked: true, fresh: true},
	{step: "api", line: "waiting for the API"},
	{step: "api", line: "waiting for the API", after: time.Second, asked: true},
	{step: "api", line: "waiting for the API", after: 2 * time.Second},
	{step: "objects", line: "applying"},
	{step: "objects", line: "applying", after: 100 * time.Millisecond},
	// A cluster that has answered once is told the plan before anything else.
	{step: "plan", line: "applying", after: 20 * time.Millisecond},
	{step: "ready", line: "looking whether"},
	{step: "ready", line: "looking whether", after: 50 * time.Millisecond},
}

// reached tells whether that point is there.
func (m moment) reached(l *lab, up *background) bool {
	if m.line != "" {
		_, said := up.said(m.line)
		return said
	}
	_, err := os.Stat(filepath.Join(bootstrap.StateRoot, l.name, m.file))
	return err == nil
}

// killAt runs up and kills it, as the kernel does when memory is short, or has it stopped as by ^C.
// done is true where up has ended before.
func (l *lab) killAt(t *testing.T, m moment) (done bool) {
	t.Helper()
	up := l.start(t)
	limit := time.After(3 * time.Minute)
	for !m.reached(l, up) {
		select {
		case <-up.done:
			if up.err != nil {
				t.Fatalf("up, to be killed at step %s, failed: %v:\n%s", m.step, up.err, up.all())
			}
			return true
		case <-limit:
			t.Fatalf("up does not come to step %s:\n%s", m.step, up.all())
		case <-time.After(time.Millisecond):
		}
	}
	time.Sleep(m.after)
	if !m.asked {
		up.cmd.Process.Kill()
		<-up.done
		return false
	}
	if err := syscall.Kill(-up.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-up.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("up goes on after ^C at step %s:\n%s", m.step, up.all())
	}
	sentence(t, up.cmd.ProcessState.ExitCode(), strings.Split(up.all(), "\n"), "stopped in step ", "`craton up` again to go on", "`craton down`")
	return false
}

// testKilled protects from a craton that dies anywhere: up goes on from there, down leaves
// nothing. Another cluster is there all the time, and notices nothing.
func testKilled(t *testing.T, other *lab) {
	for _, step := range bootstrap.Steps() {
		if step == "seed" {
			continue // it has nothing to do here: only etcd on the cluster itself has a seed
		}
		if !slices.ContainsFunc(moments, func(m moment) bool { return m.step == step }) {
			t.Errorf("up has the step %s, at which it is never killed: add a moment", step)
		}
	}
	l := newLab(t, killCluster)
	l.write(t, 1, 0)
	before := lookAtHost(t)
	t.Run("then down", func(t *testing.T) {
		for _, m := range moments {
			if m.step == "plan" || (m.step == "objects" || m.step == "ready") && m.after == 0 {
				continue // each takes a whole start: once a step is enough
			}
			l.killAt(t, m)
			l.down(t)
			now := lookAtHost(t)
			now.nothingOf(t, l.name)
			before.compare(t, "after down", now, unchanged...)
			if t.Failed() {
				t.Fatalf("up was killed at %+v", m)
			}
		}
	})
	t.Run("then up", func(t *testing.T) {
		t.Cleanup(func() { l.diagnose(t) })
		for _, m := range moments {
			if !m.fresh && l.killAt(t, m) {
				t.Errorf("up ended without being seen at %+v", m)
			}
		}
		l.up(t)
		l.ready(t)
		l.labels(t)
	})
	t.Run("side by side", func(t *testing.T) {
		other.ready(t)
		eventually(t, 20*time.Second, func() error { return other.served(t, replicas) })
	})
	l.down(t)
	now := lookAtHost(t)
	now.nothingOf(t, l.name)
	before.compare(t, "after down", now, unchanged...)
	other.ready(t)
}

// testTwoUps protects from two that change one cluster at once: the second says who is there,
// and the first is not disturbed.
func testTwoUps(t *testing.T, l *lab) {
	first := l.start(t)
	first.await(t, "") // it has begun to speak: it has the lock
	// It stays there however fast this host is.
	if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.refused(t, "another craton works on cluster "+l.name, "process ", "craton up", "nothing was changed")
	if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-first.done
	if first.err != nil {
		t.Errorf("the first up ended with %v:\n%s", first.err, first.all())
	}
}
