package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/disk"
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
	// Inotify is how many inotify instances are in use, and how many there may be (0 where
	// the kernel sets no limit).
	Inotify func() (used, limit int, err error)
	Facts
}

// Facts are what the checks have to know of craton. Those who use the figures own them.
type Facts struct {
	// CacheDir and StateDir are where craton keeps what it builds and what it runs.
	CacheDir, StateDir string
	// Built is when this program was made, or a time before that.
	Built time.Time
	// Build is the disk that building everything takes, in bytes.
	Build uint64
	// Master and Worker are what one more machine takes; KeepFree is the disk that has to
	// stay free, in bytes.
	Master, Worker Share
	KeepFree       uint64
}

// Share is what a machine takes of what all machines have together.
type Share struct {
	Inotify int
	Disk    uint64 // bytes
}

// ThisHost is the machine that we run on.
func ThisHost(facts Facts, inotify func() (used, limit int, err error)) Host {
	return Host{
		UID:      os.Geteuid,
		LookPath: lookPath,
		ReadFile: os.ReadFile,
		Free:     free,
		Now:      time.Now,
		Run:      command.Run,
		Probe:    probe,
		Inotify:  inotify,
		Facts:    facts,
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

func free(dir string) (uint64, error) {
	room, err := disk.At(dir)
	return room.Free, err
}

// lines are a file's lines, or none where it cannot be read.
func (h Host) lines(path string) []string {
	data, err := h.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}
