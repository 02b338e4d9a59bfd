package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestShareMount protects a cluster's namespaces from being covered when somebody else's first
// `ip netns add` makes their folder a mount: it has to be one already, once, with all that is in it.
func TestShareMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	below := filepath.Join(dir, "namespace")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", below, "tmpfs", 0, ""); err != nil {
		t.Skipf("this place lets nobody mount: %v", err)
	}
	t.Cleanup(func() {
		for range 4 { // each once more than it should be there
			_ = unix.Unmount(below, unix.MNT_DETACH)
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	if err := os.WriteFile(filepath.Join(below, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := shareMount(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(below, "there")); err != nil {
		t.Errorf("what was mounted in the folder is covered: %v", err)
	}
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 6 && fields[4] == dir {
			found++
			if !strings.HasPrefix(fields[6], "shared:") {
				t.Errorf("the folder's mount is not shared: %s", line)
			}
		}
	}
	if found != 1 {
		t.Errorf("the folder is mounted %d times, expected once", found)
	}
}
