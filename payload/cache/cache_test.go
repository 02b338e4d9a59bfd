package cache

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Two builds of one thing at the same time must not both do the work, and both must get it.
func TestEntryIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var fills atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, _, err := Store{dir}.Entry(t.Context(), "bin", "a", "1", func(dir, _ string) error {
				fills.Add(1)
				time.Sleep(50 * time.Millisecond)
				return os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644)
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(path, "f")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

// Another key is another entry; the same key in another kind too.
func TestEntryKeys(t *testing.T) {
	s := Store{t.TempDir()}
	for _, e := range [][3]string{{"bin", "a", "1"}, {"bin", "a", "2"}, {"bin", "b", "1"}, {"node", "a", "1"}} {
		_, made, err := s.Entry(t.Context(), e[0], e[1], e[2], func(_, _ string) error { return nil })
		if err != nil || !made {
			t.Errorf("%v: made=%v, %v", e, made, err)
		}
	}
}

// A failed build leaves no entry, and the next one is tried afresh in an empty folder.
func TestFailureLeavesNothing(t *testing.T) {
	s := Store{t.TempDir()}
	broken := errors.New("broken")
	_, _, err := s.Entry(t.Context(), "bin", "a", "1", func(dir, _ string) error {
		os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
		return broken
	})
	if !errors.Is(err, broken) || s.Has("bin", "a", "1") {
		t.Fatalf("err=%v, there=%v", err, s.Has("bin", "a", "1"))
	}
	path, made, err := s.Entry(t.Context(), "bin", "a", "1", func(dir, _ string) error { return nil })
	if err != nil || !made {
		t.Fatalf("made=%v, %v", made, err)
	}
	if left, _ := os.ReadDir(path); len(left) != 0 {
		t.Errorf("the failed build's files are in the entry: %v", left)
	}
}

// A root folder that only its owner may enter would lock every other user of a machine out.
func TestEntryIsReadable(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path, _, err := Store{t.TempDir()}.Entry(t.Context(), "bin", "a", "1", func(_, _ string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A build that is killed half-way holds no lock, leaves no entry, and what it left goes
// with the next build.
func TestKilledBuildIsResumed(t *testing.T) {
	if dir := os.Getenv("CRATON_TEST_BUILD_AND_HANG"); dir != "" {
		Store{dir}.Entry(context.Background(), "bin", "a", "1", func(dir, _ string) error {
			os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
			os.Stdout.WriteString("busy\n")
			time.Sleep(time.Minute)
			return nil
		})
		return
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledBuildIsResumed$")
	child.Env = append(os.Environ(), "CRATON_TEST_BUILD_AND_HANG="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	s := Store{dir}
	if _, _, err := s.Entry(ctx, "bin", "a", "1", func(_, _ string) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("did not wait for the other process: %v", err)
	}
	child.Process.Kill()
	child.Wait()

	path, made, err := s.Entry(t.Context(), "bin", "a", "1", func(_, _ string) error { return nil })
	if err != nil || !made {
		t.Fatalf("made=%v, %v", made, err)
	}
	if left, _ := os.ReadDir(path); len(left) != 0 {
		t.Errorf("the killed build's files are in the entry: %v", left)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
