package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
)

// TestTrouble makes a host's usual faults: each has to end `up` with exit code 1 and one
// sentence that says the cause and the next step, and down has to leave nothing of it.
func TestTrouble(t *testing.T) {
	needHost(t)
	l := newLab(t, troubleCluster)
	before := lookAtHost(t)
	for _, part := range []struct {
		name string
		f    func(*testing.T, *lab)
	}{
		{"not root", testNotRoot},
		{"wrong clock", testWrongClock},
		{"name taken", testNameTaken},
		{"small disk", testSmallDisk},
		{"disk fills up", testDiskFillsUp},
		{"small cache", testSmallCache},
		{"build fails", testBuildFails},
		{"machine killed", testMachineKilled},
		{"port taken", testPortTaken},
	} {
		t.Run(part.name, func(t *testing.T) {
			l.write(t, 1, 1)
			part.f(t, l)
			l.away(t)
			now := lookAtHost(t)
			now.nothingOf(t, l.name)
			before.compare(t, "after "+part.name, now, unchanged...)
		})
	}
}

// state is a path in the cluster's folder of state.
func (l *lab) state(elem ...string) string {
	return filepath.Join(append([]string{bootstrap.StateRoot, l.name}, elem...)...)
}

// fails runs up, which has to fail with one sentence that has all the words.
func (l *lab) fails(t *testing.T, env []string, words ...string) {
	t.Helper()
	var stderr bytes.Buffer
	_, err := command.Cmd{Name: craton, Args: []string{"up", "--file", l.file}, Env: env, Stderr: &stderr, Timeout: 8 * time.Minute}.Run(context.Background())
	code := 0
	if cmd := (*command.Error)(nil); errors.As(err, &cmd) {
		code = cmd.ExitCode()
	}
	sentence(t, code, strings.Split(stderr.String(), "\n"), words...)
}

// sentence fails the test unless up ended with code 1 and said one sentence with the words.
func sentence(t *testing.T, code int, lines []string, words ...string) {
	t.Helper()
	var said []string
	for _, line := range lines {
		if line, ok := strings.CutPrefix(line, "craton: "); ok {
			said = append(said, line)
		}
	}
	if code != 1 || len(said) != 1 {
		t.Errorf("up ended with code %d and %d sentences:\n%s", code, len(said), strings.Join(lines, "\n"))
		return
	}
	t.Log(said[0])
	for _, w := range words {
		if !strings.Contains(said[0], w) {
			t.Errorf("%q lacks %q", said[0], w)
		}
	}
}

// testNotRoot protects from a failure half-way: nothing is begun without the rights to end it.
func testNotRoot(t *testing.T, l *lab) {
	// Another user can neither enter the tests' folders nor read the cluster file in them.
	dir, err := os.MkdirTemp("", "craton-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile(l.file)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(craton)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"craton": program, "cluster.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./craton", "up")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := cmd.CombinedOutput()
	sentence(t, cmd.ProcessState.ExitCode(), strings.Split(string(out), "\n"), "needs root", "sudo")
}

// testWrongClock protects from certificates that nobody takes. The host's clock is not
// touched: the secrets are made by another one.
func testWrongClock(t *testing.T, l *lab) {
	for _, c := range []struct {
		made time.Time
		want string
	}{
		{time.Now().AddDate(1, 0, 0), "is not valid before"},
		{time.Now().AddDate(-11, 0, 0), "was valid until"},
	} {
		if _, err := pki.Ensure(l.state("pki"), l.plan(t), c.made); err != nil {
			t.Fatal(err)
		}
		l.fails(t, nil, "clock says "+time.Now().UTC().Format("2006-01-02"), c.want, "set the clock right", "craton down")
		l.away(t)
	}
}

// testNameTaken protects the namespaces of others, from up and from down.
func testNameTaken(t *testing.T, l *lab) {
	name := "craton-" + l.name + "-fabric"
	if _, err := command.Run(context.Background(), "ip", "netns", "add", name); err != nil {
		t.Fatal(err)
	}
	defer command.Run(context.Background(), "ip", "netns", "delete", name)
	l.fails(t, nil, name, "ip netns delete", "another name")
	if _, err := os.Stat(l.state()); err == nil {
		t.Error("up was refused, and has made its folder all the same")
	}
	// An up that was killed before it made a namespace leaves a folder. What others own must
	// survive the down.
	if err := os.MkdirAll(l.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	l.down(t)
	if _, err := os.Stat("/run/netns/" + name); err != nil {
		t.Errorf("down has removed a namespace that is not the cluster's: %v", err)
	}
}

// mount puts a small disk at dir till the test ends.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Unmount(dir, unix.MNT_DETACH) // where the test has not done so
		os.Remove(dir)
	})
}

// testSmallDisk protects the room that others need, and a folder that is a disk of its own.
func testSmallDisk(t *testing.T, l *lab) {
	mount(t, l.state(), "64m")
	l.fails(t, nil, "the file system at "+l.state()+" has 64 MiB free", "2 more machines need about", "GiB", "make room")
	if err := os.WriteFile(l.state("fill"), make([]byte, 65<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	l.fails(t, nil, "has 0 MiB free")
	l.down(t)
	if left, err := os.ReadDir(l.state()); err != nil || len(left) > 0 {
		t.Errorf("down leaves %v, %v", left, err)
	}
	unix.Unmount(l.state(), 0)
}

// testDiskFillsUp protects from waiting for pods that kubelets evict, or cannot start.
func testDiskFillsUp(t *testing.T, l *lab) {
	l.write(t, 1, 0)
	mount(t, l.state(), "4g")
	up := l.start(t)
	up.await(t, "waiting for the API")
	// Somebody else takes the room: the disk becomes as small as what is on it, and a bit.
	var s unix.Statfs_t
	if err := unix.Statfs(l.state(), &s); err != nil {
		t.Fatal(err)
	}
	size := (s.Blocks-s.Bfree)*uint64(s.Bsize) + 500<<20
	if err := unix.Mount("tmpfs", l.state(), "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
	up.endsWithin(t, 5*time.Second, "a disk is full: the file system at "+l.state()+" has", "make room, then run `craton up` again")
	l.down(t)
	unix.Unmount(l.state(), 0)
}

// testSmallCache protects from a build of many minutes that ends where the disk does.
func testSmallCache(t *testing.T, l *lab) {
	cache := filepath.Join(t.TempDir(), "cache")
	mount(t, cache, "16m")
	l.fails(t, []string{"CRATON_CACHE=" + cache}, "the file system at "+cache+" has 16 MiB free", "needs about", "CRATON_CACHE")
	unix.Unmount(cache, 0)
}

// testBuildFails protects the one who reads it from pages of a compiler's output.
func testBuildFails(t *testing.T, l *lab) {
	empty := t.TempDir()
	l.fails(t, []string{"CRATON_CACHE=" + empty, "GOPROXY=off", "GOMODCACHE=" + filepath.Join(empty, "modules"), "CRATON_DEBIAN_MIRROR=http://127.0.0.1:9/debian"},
		"could not be built", "could not be downloaded", "check this host's network", filepath.Join(empty, "failed"))
}

// testMachineKilled protects from waiting for a machine that is no more: ended by the
// kernel, or by a person.
func testMachineKilled(t *testing.T, l *lab) {
	p := l.plan(t)
	master, worker := p.OfRole(contract.Master)[0].Name, p.OfRole(contract.Worker)[0].Name
	for _, c := range []struct{ line, machine string }{
		{"waiting for the API", master},
		{"applying", worker},
		{"looking whether", master},
	} {
		up := l.start(t)
		up.await(t, c.line)
		l.kill(t, "machine-"+c.machine)
		up.endsWithin(t, 5*time.Second, "machine "+c.machine+" has ended", l.state("local", "machines", c.machine, "console.log"), "craton up")
	}
	l.up(t)
	l.ready(t)
}

// kill ends a process of the cluster by its id, as the kernel does when memory is short.
func (l *lab) kill(t *testing.T, process string) {
	t.Helper()
	text, err := os.ReadFile(l.state("local", "run", process+".pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil || pid < 2 {
		t.Fatalf("%s: %q, %v", process, text, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// testPortTaken protects from a kubeconfig that leads to somebody else's port, and from
// waiting for an API that cannot be reached.
func testPortTaken(t *testing.T, l *lab) {
	l.write(t, 1, 0)
	l.up(t)
	port, err := os.ReadFile(l.state("local", "run", "api.port"))
	if err != nil {
		t.Fatal(err)
	}
	l.kill(t, "gateway")
	var taken net.Listener
	eventually(t, 5*time.Second, func() error {
		taken, err = net.Listen("tcp4", "127.0.0.1:"+string(port))
		return err
	})
	l.fails(t, nil, "loopback port "+string(port), fmt.Sprintf("process %d (", os.Getpid()), l.state("local", "run", "api.port"), "craton up")
	taken.Close()
	l.up(t)
	l.ready(t)
}

// await waits till up has said that.
func (b *background) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(3 * time.Minute)
	for {
		if _, said := b.said(text); said {
			return
		}
		select {
		case <-b.done:
			t.Fatalf("up ended before it said %q:\n%s", text, b.all())
		case <-limit:
			t.Fatalf("up does not say %q:\n%s", text, b.all())
		case <-time.After(time.Millisecond):
		}
	}
}

// endsWithin fails the test unless up ends so soon, with one sentence that has the words.
func (b *background) endsWithin(t *testing.T, limit time.Duration, words ...string) {
	t.Helper()
	began := time.Now()
	select {
	case <-b.done:
	case <-time.After(limit):
		t.Fatalf("up still runs after %s:\n%s", limit, b.all())
	}
	t.Logf("up ended after %.1f s", time.Since(began).Seconds())
	sentence(t, b.cmd.ProcessState.ExitCode(), strings.Split(b.all(), "\n"), words...)
}
