package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A folder that will be made has the room of the one above it, and the sentence names a
// folder that the reader can look at.
func TestAt(t *testing.T) {
	dir := t.TempDir()
	there, err := At(dir)
	if err != nil || there.Free == 0 {
		t.Fatalf("%+v, %v", there, err)
	}
	later, err := At(filepath.Join(dir, "not", "yet"))
	if err != nil || !later.Same(there) || later.Mount != there.Mount {
		t.Errorf("%+v, %v; above it %+v", later, err, there)
	}
	if _, err := os.Stat(there.Mount); err != nil || !strings.HasPrefix(dir, there.Mount) {
		t.Errorf("%s is on the file system at %s: %v", dir, there.Mount, err)
	}
	proc, err := At("/proc/self")
	if err != nil || proc.Same(there) || proc.Mount != "/proc" {
		t.Errorf("/proc: %+v, %v", proc, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := At(filepath.Join(file, "below")); err == nil {
		t.Error("there is room below a file")
	}
}

// A real full disk has to be known as one, whether we write or a program does, and nothing
// else may be taken for it.
func TestFull(t *testing.T) {
	full := errors.New("")
	if f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		_, full = f.Write([]byte("x"))
		f.Close()
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{full, true},
		{fmt.Errorf("write: %w", unix.EDQUOT), true},
		{hidden{unix.EDQUOT}, true},
		{hidden{unix.ENOSPC}, true},
		{errors.New("cp: error writing 'x': No space left on device"), true},
		{unix.EACCES, false},
		{errors.New("no device left"), false},
		{nil, false},
	} {
		if Full(c.err) != c.want {
			t.Errorf("Full(%v) is %t", c.err, !c.want)
		}
	}
}

// hidden is an error in other words, whose cause is still there for programs.
type hidden struct{ cause error }

func (hidden) Error() string   { return "it did not work" }
func (h hidden) Unwrap() error { return h.cause }

// What people compare must have few digits and the right unit.
func TestSize(t *testing.T) {
	for bytes, want := range map[uint64]string{0: "0 MiB", 63 << 20: "63 MiB", 1 << 30: "1.0 GiB", 15<<30 + 1<<29: "15.5 GiB"} {
		if got := Size(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}

// Room without inodes is none: the sentence has to say so, or the figure misleads.
func TestNoInodes(t *testing.T) {
	if got := (Room{Mount: "/x", Free: 1 << 30, NoInodes: true}).String(); !strings.Contains(got, "no inodes") {
		t.Error(got)
	}
}
