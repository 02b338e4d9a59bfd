package etcd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-logr/logr"
)

// TestRealSeed protects the way from a temporary member to those that stay: it begins the
// cluster, the first master joins it, it stays while somebody needs it, and leaves with
// nothing lost. Started once more, also without its data, it ends itself.
func TestRealSeed(t *testing.T) {
	l := newLab(t)
	seed, m1, m2 := l.machine("m1-seed"), l.machine("m1"), l.machine("m2")
	manifest := filepath.Join(t.TempDir(), "etcd-seed.yaml")
	if err := os.WriteFile(manifest, []byte("a pod\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := seed.options(m1, m2)
	o.First, o.Manifest = true, manifest
	if r := seed.join(o); r.How != Alone {
		t.Fatalf("the seed: %+v", r)
	}
	seed.run()

	var needed atomic.Bool
	needed.Store(true)
	l.want(m1)
	l.keepWith(KeepOptions{
		Seed: func() string { return seed.client },
		Needed: func(_ context.Context, m Member) string {
			if m.Name != "m1-seed" {
				t.Errorf("asked whether %s is needed", m.Name)
			}
			if needed.Load() {
				return "an API server uses it"
			}
			return ""
		},
	})
	l.put(l.client(seed), "by the seed")
	if r := m1.up(seed, m1); r.How != Joined {
		t.Fatalf("the first master: %+v", r)
	}
	l.await("both have a vote, and the seed stays", func() bool {
		s := l.status()
		return len(s.Members) == 2 && strings.Contains(s.Action, "m1-seed stays for now: an API server uses it")
	})
	l.put(l.client(m1), "by the master")
	l.put(l.client(seed), "by the seed again")

	t.Log("a loss of power while both have a vote")
	seed.kill()
	m1.kill()
	if r := seed.join(o); r.How != Stayed {
		t.Fatalf("the seed after a loss of power: %+v", r)
	}
	seed.run()
	m1.up(seed)
	l.put(l.client(seed), "after the loss")

	needed.Store(false)
	l.settled(m1)
	<-seed.exited // etcd ends by itself when it is removed
	r := seed.join(o)
	if r.How != Ended || r.Moved == "" {
		t.Fatalf("the seed after its end: %+v", r)
	}
	if _, err := os.Stat(manifest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its manifest is still there: %v", err)
	}
	l.has(l.client(m1), "by the seed", "by the master", "by the seed again", "after the loss")

	if err := os.RemoveAll(seed.dir); err != nil {
		t.Fatal(err)
	}
	if r := seed.join(o); r.How != Ended {
		t.Errorf("a seed without data beside a cluster: %+v", r)
	}
	l.settled(m1)
}

// TestLock protects data from two pods of one machine: the second one waits, and goes on
// when the first has ended.
func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd", "data")
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := os.Create(dir + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(first.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Lock(short, dir, logr.Discard()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second one: %v, want that it waits", err)
	}
	done := make(chan error, 1)
	go func() { done <- Lock(t.Context(), dir, logr.Discard()) }()
	first.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	again, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Lock(again, dir, logr.Discard()); err == nil {
		t.Error("two have the lock")
	}
}
