package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A process id that the kernel gave to somebody else must never be taken for ours: stop
// would kill a stranger. Only the id together with the start time is the process.
func TestProcessIdentity(t *testing.T) {
	born, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "self.pid")
	for _, c := range []struct {
		name, content string
		want          int
	}{
		{"itself", fmt.Sprintf("%d %d\n", os.Getpid(), born), os.Getpid()},
		{"the same id, born at another time", fmt.Sprintf("%d %d\n", os.Getpid(), born+1), 0},
		{"no such process", fmt.Sprintf("%d %d\n", 1<<22+1, born), 0},
		{"half a file", fmt.Sprintf("%d", os.Getpid()), 0},
		{"no number", "x y", 0},
	} {
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := (process{file: file}).pid(); got != c.want {
			t.Errorf("%s: pid %d, want %d", c.name, got, c.want)
		}
	}
}

// What Platform starts has to outlive its starter, be found again by another Platform,
// and be gone after stop even where it ignores SIGTERM.
func TestStartAndStop(t *testing.T) {
	p := &Platform{Cluster: "t", Dir: t.TempDir()}
	if err := p.start("stubborn", "", []string{"/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"}, nil); err != nil {
		t.Fatal(err)
	}
	again := (&Platform{Cluster: "t", Dir: p.Dir}).process("stubborn")
	if !again.alive() {
		t.Fatal("not found by its pid file")
	}
	pid := again.pid()
	time.Sleep(100 * time.Millisecond) // the shell sets its trap
	if err := again.stop(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if again.alive() {
		t.Error("alive after stop")
	}
	if _, err := startTime(pid); err == nil {
		t.Errorf("process %d is still there", pid)
	}
	if err := again.stop(0); err != nil {
		t.Errorf("stop of what is stopped: %v", err)
	}
}

// A process that ends is dead to States and Start at once, also while nobody has waited
// for it.
func TestZombieIsDead(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := startTime(cmd.Process.Pid); err != nil {
			return
		}
	}
	t.Error("a zombie counts as running")
}
