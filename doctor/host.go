package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"craton.dev/craton/command"
	"golang.org/x/sys/unix"
)

// Host is what the checks can ask. It is a struct of functions so that a test can break
// one thing at a time.
type Host struct {
	// UID is the effective user.
	UID func() int
	// LookPath finds a program.
	LookPath func(name string) (string, error)
	// ReadFile reads a file of /proc or /sys, whole.
	ReadFile func(path string) ([]byte, error)
	// Free is the room for an ordinary user below a folder, which may not exist yet, in bytes.
	Free func(dir string) (uint64, error)
	// Now is the host's clock.
	Now func() time.Time
	// Run runs a program and returns what it prints.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
	// Probe tries a kernel feature in a network namespace that is thrown away.
	Probe func(feature string) error
	// CacheDir and StateDir are where craton keeps what it builds and what it runs.
	CacheDir, StateDir string
	// Built is when this program was made; the zero time where that is unknown.
	Built time.Time
}

// ThisHost is the machine that we run on. The folders are where disk space is looked for.
func ThisHost(cacheDir, stateDir string, built time.Time) Host {
	return Host{
		UID:      os.Geteuid,
		LookPath: lookPath,
		ReadFile: os.ReadFile,
		Free:     free,
		Now:      time.Now,
		Run:      command.Run,
		Probe:    probe,
		CacheDir: cacheDir, StateDir: stateDir,
		Built: built,
	}
}

// lookPath finds programs in sbin too, which is not in every user's PATH.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

// free looks at the nearest folder above dir that exists.
func free(dir string) (uint64, error) {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			return s.Bavail * uint64(s.Bsize), nil
		}
		if up := filepath.Dir(dir); !errors.Is(err, fs.ErrNotExist) || up == dir {
			return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
		} else {
			dir = up
		}
	}
}

// lines are a file's lines, or none where it cannot be read.
func (h Host) lines(path string) []string {
	data, err := h.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}
