package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A second craton on the same cluster must not wait without a word, nor touch anything: it
// says who is there. Once that one has ended it is its turn, and a folder that was removed
// and made anew meanwhile is another lock. The clock is the bubble's own, so a busy host
// changes no figure.
func TestLock(t *testing.T) { synctest.Test(t, testLock) }

func testLock(t *testing.T) {
	first := lone(t)
	if err := first.acquire(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	second := *first
	second.lock = nil
	began := time.Now()
	err := second.acquire(t.Context(), 300*time.Millisecond)
	if took := time.Since(began); took != 300*time.Millisecond {
		t.Errorf("it ended after %s, expected its patience of 300ms", took)
	}
	for _, want := range []string{first.Name, fmt.Sprintf("process %d (%s", os.Getpid(), os.Args[0]), "nothing was changed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.acquire(stopped, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	began = time.Now()
	time.AfterFunc(250*time.Millisecond, first.release)
	if err := second.acquire(t.Context(), 10*time.Second); err != nil {
		t.Error(err)
	}
	// For the release itself to be over.
	synctest.Wait()
	if took := time.Since(began); took != 300*time.Millisecond { // it looks every 100 ms
		t.Errorf("it had its turn after %s, expected 300ms: at the first look after the other one ended", took)
	}
	if err := os.RemoveAll(second.Dir); err != nil {
		t.Fatal(err)
	}
	if err := first.acquire(t.Context(), time.Second); err != nil {
		t.Errorf("a folder of the same name: %v", err)
	}
	second.release()
	first.release()
}

// The kernel's list has other kinds of locks, other files, and those who wait.
func TestHolder(t *testing.T) {
	const locks = `1: POSIX  ADVISORY  WRITE 10 fe:01:77 0 EOF
2: FLOCK  ADVISORY  WRITE 11 fe:02:77 0 EOF
3: FLOCK  ADVISORY  WRITE 4194305 fe:01:77 0 EOF
3: -> FLOCK  ADVISORY  WRITE 13 fe:01:77 0 EOF
`
	const dev = 0xfe01
	if got := holder([]byte(locks), dev, 77); got != "process 4194305" {
		t.Errorf("the holder is %q", got)
	}
	for _, other := range []string{"", "x", locks} {
		if got := holder([]byte(other), dev, 78); got != "" {
			t.Errorf("the holder of another file is %q", got)
		}
	}
}
