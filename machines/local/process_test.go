package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

const firstThreadEnds = "CRATON_TEST_FIRST_THREAD_ENDS"

// The program of TestFirstThreadEnds: init runs on the process's first thread.
func init() {
	if os.Getenv(firstThreadEnds) == "" {
		return
	}
	runtime.LockOSThread()
	go func() {
		time.Sleep(time.Minute)
		os.Exit(0)
	}()
	unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
}

// A process whose first thread has ended looks like a zombie, and lives while another
// thread does: so does each machine for as long as its starter is becoming the machine,
// which on a busy host is long enough to be seen.
func TestFirstThreadEnds(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), firstThreadEnds+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { cmd.Wait() })
	t.Cleanup(func() { cmd.Process.Kill() })
	state := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0]
	}
	for end := time.Now().Add(10 * time.Second); state() != "Z"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the first thread of process %d does not end: it is %s", pid, state())
		}
	}
	if _, err := startTime(pid); err != nil {
		t.Errorf("a process that lives without its first thread: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := startTime(pid); err != nil {
			break // a zombie now, since nobody has waited for it
		}
		if time.Now().After(end) {
			t.Fatal("a process that was killed still has a start time")
		}
	}
}
