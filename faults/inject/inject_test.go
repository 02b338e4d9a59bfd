package inject

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root; `make test-faults` runs as root")
	}
}

// TestSignalMeetsNobodyElse protects processes of others, whose id one of ours has had
// before.
func TestSignalMeetsNobodyElse(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	t.Cleanup(func() { child.Process.Kill() })
	id := child.Process.Pid
	for _, p := range []Process{{id, "1"}, {id, ""}} {
		if err := Signal([]Process{p}, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("a process that began at another time was ended: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := Signal([]Process{{id, born(id)}}, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the process lives on")
	}
	if err := Signal([]Process{{id, "1"}}, unix.SIGKILL); err != nil {
		t.Errorf("a process that is gone: %v", err)
	}
}

// TestProcessesOfAMachine protects from breaking another cluster, or the host: this
// process's child runs in no machine.
func TestProcessesOfAMachine(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill(); child.Wait() })
	c := &Cluster{Plan: &plan.Plan{Cluster: "x"}}
	if found := c.Processes("x-master-1", "sleep"); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	if _, err := c.SignalAll([]string{"x-master-1"}, "sleep", unix.SIGKILL); err == nil || !strings.Contains(err.Error(), "x-master-1") {
		t.Errorf("nothing was there to be signalled, and the error is %v", err)
	}
}

// cluster has three machines.
func cluster() *Cluster {
	c := &Cluster{Plan: &plan.Plan{Cluster: "x"}}
	for i, name := range []string{"a", "b", "c"} {
		c.Plan.Machines = append(c.Plan.Machines, plan.Machine{Name: name, Role: contract.Master, Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})})
	}
	return c
}

// TestWays protects from a partition that is none: of each pair, both directions, or the
// one that is meant.
func TestWays(t *testing.T) {
	c := cluster()
	for _, x := range []struct {
		name string
		ways func() ([]Way, error)
		want string
	}{
		{"between", func() ([]Way, error) { return c.Between([]string{"a"}, []string{"b", "c"}) }, "{10.0.0.1 10.0.0.2} {10.0.0.2 10.0.0.1} {10.0.0.1 10.0.0.3} {10.0.0.3 10.0.0.1}"},
		{"around", func() ([]Way, error) { return c.Around([]string{"b"}) }, "{10.0.0.2 } { 10.0.0.2}"},
		{"one way", func() ([]Way, error) { return c.OneWay("a", []string{"b", "c"}) }, "{10.0.0.1 10.0.0.2} {10.0.0.1 10.0.0.3}"},
	} {
		ways, err := x.ways()
		var got []string
		for _, w := range ways {
			got = append(got, "{"+w.From+" "+w.To+"}")
		}
		if err != nil || strings.Join(got, " ") != x.want {
			t.Errorf("%s: %v, %v", x.name, got, err)
		}
	}
	if _, err := c.Around([]string{"d"}); err == nil {
		t.Error("a machine that is not there has ways")
	}
}

// TestRuleset asks the kernel whether it takes the rules, twice, and whether they go again.
func TestRuleset(t *testing.T) {
	needRoot(t)
	ways, err := cluster().Around([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	rules := ruleset(ways)
	if n := strings.Count(rules, "drop"); n != 4 {
		t.Fatalf("%d rules:\n%s", n, rules)
	}
	var out bytes.Buffer
	script := "nft -f - <<E\n" + rules + rules + "E\nnft list ruleset && nft -f - <<E\n" + joined + joined + "E\necho now: && nft list ruleset"
	cmd := command.Cmd{Name: "unshare", Args: []string{"--net", "sh", "-c", script}, Stdout: &out}
	if _, err := cmd.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(out.String(), "now:")
	if !strings.Contains(before, "ip saddr 10.0.0.1 drop") || strings.TrimSpace(after) != "" {
		t.Errorf("the kernel has:\n%s\nand then:\n%s", before, after)
	}
}

// TestDisk protects from scenarios of disks that break nothing: the disk is full, then has
// room; is read-only though a file is open; and is good again once it was repaired.
func TestDisk(t *testing.T) {
	needRoot(t)
	ctx := context.Background()
	dir := t.TempDir()
	d, err := NewDisk(ctx, dir, "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d != nil {
			d.Remove(ctx)
		}
	})
	write := func() error { return os.WriteFile(filepath.Join(d.Dir, "file"), make([]byte, 1<<20), 0o600) }
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.Dir, "file")); err != nil {
		t.Fatal(err)
	}
	if err := d.Fill(); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("on the full disk: %v", err)
	}
	if err := d.Empty(); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("on the emptied disk: %v", err)
	}
	open, err := os.OpenFile(filepath.Join(d.Dir, "open"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Fail(); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, unix.EROFS) {
		t.Errorf("on the failed disk: %v", err)
	}
	if _, err := open.Write([]byte("x")); err == nil {
		err = open.Sync()
		if err == nil {
			t.Error("an open file of the failed disk can be written to the end")
		}
	}
	open.Close()
	if err := d.Repair(ctx); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("on the repaired disk: %v", err)
	}
	crash(t, d)
	if err := d.Remove(ctx); err != nil {
		t.Error(err)
	}
	d = nil
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	if strings.Contains(string(mounts), dir) {
		t.Error("something is still mounted")
	}
}

// crash protects from a loss of power that loses nothing: what was synced is there
// afterwards, what was only written is not.
func crash(t *testing.T, d *Disk) {
	t.Helper()
	for _, name := range []string{"synced", "written"} {
		f, err := os.Create(filepath.Join(d.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(name); err != nil {
			t.Fatal(err)
		}
		if name == "synced" {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
	if err := d.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := d.Repair(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(d.Dir, "synced")); string(got) != "synced" {
		t.Errorf("what was synced is now %q, %v", got, err)
	}
	if got, _ := os.ReadFile(filepath.Join(d.Dir, "written")); string(got) == "written" {
		t.Error("what was only written has survived")
	}
}
