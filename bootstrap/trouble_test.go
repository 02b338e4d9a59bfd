package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/disk"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// A clock with which certificates are not valid must be refused before anything is made
// with it; one that is right must not be, to the second.
func TestClockTrouble(t *testing.T) {
	made := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	p, err := plan.Make(cluster.Default("demo"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := pki.Ensure(dir, p, made); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "authorities", "damaged.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	have := authorities(dir)
	if len(have) < 4 {
		t.Fatalf("found %d authorities", len(have))
	}
	begins, ends := have[0].begins, have[0].ends
	for _, c := range []struct {
		name       string
		now, built time.Time
		have       []validity
		want       string
	}{
		{"a first up", made, made.AddDate(0, -1, 0), nil, ""},
		{"made here, in another time zone", made, made.Add(20 * time.Hour), nil, ""},
		{"nobody knows when it was made", time.Unix(0, 0), time.Time{}, nil, ""},
		{"a clock of 1970", time.Unix(0, 0), made, nil, "1970-01-01T00:00:00Z, but this craton was made on 2026-11-01"},
		{"with authorities", made, made, have, ""},
		{"just valid", begins, time.Time{}, have, ""},
		{"not valid yet", begins.Add(-time.Second), time.Time{}, have, "is not valid before 2026-11-01T11:55:00Z"},
		{"still valid", ends, time.Time{}, have, ""},
		{"no longer valid", ends.Add(time.Second), time.Time{}, have, "was valid until 2036"},
	} {
		err := clockTrouble(c.now, c.built, c.have)
		if (err == nil) != (c.want == "") {
			t.Errorf("%s: %v", c.name, err)
		} else if err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "set the clock right")) {
			t.Errorf("%s: %q lacks %q", c.name, err, c.want)
		}
	}
}

// lone is a cluster in a folder, of which nothing runs.
func lone(t *testing.T) *Cluster {
	t.Helper()
	p, err := plan.Make(cluster.Default("demo"))
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Name: "demo", Dir: filepath.Join(t.TempDir(), "demo"), Plan: p}
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if c.Platform, err = local.New("demo", filepath.Join(c.Dir, "local"), local.Image{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever fails, people get one line with the step, the cause and what to do next, said
// once; programs still find the cause.
func TestTrouble(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		want   []string
		reject string
	}{
		{"a full disk", &os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC},
			[]string{"step secrets: a disk is full: the file system at /", "free", "2 machines need about", "`craton up`", "`craton down`", "write /x"}, ""},
		{"a full disk that was named already", fmt.Errorf("a disk is full: this one: make room, then run `craton up` again: %w", syscall.ENOSPC),
			[]string{"step secrets: a disk is full: this one"}, "machines need"},
		{"lines", errors.New("nft failed:\n\n  line 1\n  line 2\n"), []string{"nft failed: / line 1 / line 2: correct that and run `craton up` again"}, ""},
		{"with a next step", errors.New("x is missing: run `craton doctor`"), []string{"step secrets: x is missing: run `craton doctor`"}, "craton up"},
		{"to be run again", errors.New("x is broken: correct that, then run it again"), []string{"then run it again"}, "craton up"},
		{"said by the step", errors.New("secrets: x"), []string{"step secrets: x"}, "secrets: secrets"},
	} {
		err := lone(t).trouble(context.Background(), "secrets", c.err)
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", c.name, err, want)
			}
		}
		if c.reject != "" && strings.Contains(err.Error(), c.reject) {
			t.Errorf("%s: %q has %q", c.name, err, c.reject)
		}
		if strings.Contains(err.Error(), "\n") || !errors.Is(err, c.err) {
			t.Errorf("%s: %q is several lines, or hides its cause", c.name, err)
		}
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	// What ^C has stopped is said with the next step, and craton says nothing else in its place.
	if err := lone(t).trouble(stopped, "api", context.Canceled); !strings.HasPrefix(err.Error(), "stopped in step api: run `craton up` again") || !SaysNext(err) {
		t.Error(err)
	}
	if SaysNext(context.Canceled) {
		t.Error("a bare error is said to have the next step")
	}
}

// What was refused or failed before it made anything leaves no folder; what has made
// something keeps it, for down to find.
func TestAbandon(t *testing.T) {
	c := lone(t)
	c.trouble(context.Background(), "payload", errors.New("x"))
	if _, err := os.Stat(c.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder stays: %v", err)
	}
	c = lone(t)
	if err := os.Mkdir(c.pkiDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	c.trouble(context.Background(), "secrets", errors.New("x"))
	if _, err := os.Stat(c.pkiDir()); err != nil {
		t.Error(err)
	}
}

// Up must not wait for an answer that a dead machine cannot give, even in the middle of a
// request to it; and must wait as long as all run. The clock is the bubble's own.
func TestAwaitNoticesWhatHasEnded(t *testing.T) { synctest.Test(t, testAwaitNoticesWhatHasEnded) }

func testAwaitNoticesWhatHasEnded(t *testing.T) {
	room, err := disk.At(t.TempDir())
	if err != nil || room.Free < local.KeepFree {
		t.Skipf("a full disk would be noticed first: %v, %v", room, err)
	}
	c := lone(t)
	ended := make(chan time.Time, 1)
	time.AfterFunc(700*time.Millisecond, func() {
		dir := filepath.Join(c.Dir, "local")
		os.MkdirAll(filepath.Join(dir, "run"), 0o700)
		os.MkdirAll(filepath.Join(dir, "machines", "demo-worker-1"), 0o700)
		// A process id that is beyond the kernel's largest.
		os.WriteFile(filepath.Join(dir, "run", "machine-demo-worker-1.pid"), []byte("4194305 1\n"), 0o600)
		ended <- time.Now()
	})
	err = c.await(context.Background(), time.Minute, time.Millisecond, func(ctx context.Context) (string, error) {
		<-ctx.Done() // a request that nobody answers
		return "", fmt.Errorf("the request: %w", ctx.Err())
	})
	took := time.Since(<-ended)
	if err == nil || !strings.Contains(err.Error(), "machine demo-worker-1 has ended") || !strings.Contains(err.Error(), "demo-worker-1/console.log") {
		t.Errorf("%v", err)
	}
	if took > watchPause { // unnoticed, it takes a minute
		t.Errorf("noticed after %s, expected at most %s", took, watchPause)
	}
}

// wait gives the last reason after its limit, ends with its caller, and passes a fault on. The
// clock is the bubble's own.
func TestWait(t *testing.T) { synctest.Test(t, testWait) }

func testWait(t *testing.T) {
	broken := errors.New("broken")
	tries := 0
	for _, c := range []struct {
		name  string
		check func(context.Context) (string, error)
		want  string
	}{
		{"in the end", func(context.Context) (string, error) {
			if tries++; tries < 3 {
				return "not yet", nil
			}
			return "", nil
		}, ""},
		{"never", func(context.Context) (string, error) { return "x is not ready", nil }, "after 50ms: x is not ready"},
		{"a fault", func(context.Context) (string, error) { return "", broken }, "broken"},
	} {
		err := wait(context.Background(), 50*time.Millisecond, time.Millisecond, c.check)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(broken)
	if err := wait(ctx, time.Minute, time.Minute, func(context.Context) (string, error) { return "x", nil }); !errors.Is(err, broken) {
		t.Errorf("its caller has ended: %v", err)
	}
}
