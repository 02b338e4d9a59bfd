package local

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"craton.dev/craton/plan"
)

// A machine that is held to less, or to more, than its file says would make a minimum that was
// measured with it a wrong one.
func TestSizeLimits(t *testing.T) {
	for _, test := range []struct {
		name string
		size plan.Size
		v2   bool
		want []limit
	}{
		{"no size", plan.Size{}, false, nil},
		{"a disk only", plan.Size{DiskMiB: 4096}, true, nil},
		{"v1", plan.Size{MemoryMiB: 512, MilliCPU: 250}, false, []limit{
			{"memory.limit_in_bytes", "536870912"}, {"memory.memsw.limit_in_bytes", "536870912"},
			{"cpu.cfs_period_us", "100000"}, {"cpu.cfs_quota_us", "25000"}}},
		{"v2", plan.Size{MemoryMiB: 512, MilliCPU: 1500}, true, []limit{
			{"memory.max", "536870912"}, {"memory.swap.max", "0"}, {"cpu.max", "150000 100000"}}},
		{"as little as a file takes", plan.Size{MilliCPU: 10}, false, []limit{
			{"cpu.cfs_period_us", "100000"}, {"cpu.cfs_quota_us", "1000"}}}, // the kernel takes no less
	} {
		if got := sizeLimits(test.size, test.v2); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// A host that does not count memory must not let a machine pass as limited; one without swap may.
func TestLimitsThatAHostLacks(t *testing.T) {
	for file, may := range map[string]bool{
		"memory.limit_in_bytes": false, "memory.memsw.limit_in_bytes": true, "cpu.cfs_quota_us": false,
		"memory.max": false, "memory.swap.max": true, "cpu.max": false,
	} {
		if got := (limit{file: file}).may(); got != may {
			t.Errorf("%s may be missing: %v", file, got)
		}
	}
}

// A measured minimum must not be one at which programs are ended for want of memory. A container that
// has used up its own limit, or another cluster's machine, says nothing about it.
func TestOutOfMemory(t *testing.T) {
	const message = "6,1187,98213,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=%,task_memcg=/craton/demo/demo-worker-1/system.slice/kubelet.service,task=kubelet,pid=77,uid=0\n SUBSYSTEM=x\n"
	for cgroup, want := range map[string]string{
		"/craton/demo/demo-worker-1":                "kubelet on demo-worker-1",
		"/craton/demo/demo-worker-1/kubepods/pod12": "",
		"/craton/other/other-worker-1":              "",
		"/":                                         "",
	} {
		got := ""
		if machine, program, ok := outOfMemory(strings.Replace(message, "%", cgroup, 1), "demo"); ok {
			got = program + " on " + machine
		}
		if got != want {
			t.Errorf("%s: %q, want %q", cgroup, got, want)
		}
	}
	if _, _, ok := outOfMemory("6,1,2,-;eth0: link up", "demo"); ok {
		t.Error("another message counts")
	}
}

// A machine's own disk holds the operating system, with upper layers over lower ones, and no more than
// its size; and it is the same one when the machine is on again.
func TestOwnDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it mounts, which needs root")
	}
	runtime.LockOSThread() // till the thread ends, with the mounts that only it sees
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		t.Skipf("no mount namespace of its own: %v", err)
	}
	dir := t.TempDir()
	upper, lower := filepath.Join(dir, "upper-layer"), filepath.Join(dir, "lower-layer")
	for path, text := range map[string]string{upper + "/etc/both": "upper", lower + "/etc/both": "lower", lower + "/etc/only": "lower"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	disk, err := mountDisk(dir, 32, []string{upper, lower})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(string(disk), 0) })
	for path, want := range map[string]string{"both": "upper", "only": "lower"} {
		if got, err := os.ReadFile(filepath.Join(disk.system(), "etc", path)); string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(disk.upper(), "log"), make([]byte, 40<<20), 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("40 MiB are on a disk of 32: %v", err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(disk.upper(), "log"), []byte("kept"), 0o644), unix.Unmount(string(disk), 0)); err != nil {
		t.Fatal(err)
	}
	if disk, err = mountDisk(dir, 32, []string{upper, lower}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(disk.upper(), "log")); string(got) != "kept" {
		t.Errorf("after the machine was off: %q, %v", got, err)
	}
}
