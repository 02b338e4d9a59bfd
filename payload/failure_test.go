package payload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"craton.dev/craton/command"
	"craton.dev/craton/disk"
	"craton.dev/craton/payload/cache"
)

// The person who reads the error must see which component, why, and what to do, in one
// line; and find what the program said.
func TestFailureSaysWhatToDo(t *testing.T) {
	_, missing := command.Run(t.Context(), "no-such-program-here")
	stderr := func(s string) error {
		return &command.Error{Cmd: command.Cmd{Name: "go", Args: []string{"build", "-x"}}, Err: errors.New("exit status 1"), Stderr: s}
	}
	for _, c := range []struct {
		err  error
		want []string
	}{
		{fmt.Errorf("write x: %w", syscall.ENOSPC), []string{"disk is full: the file system at /", "free", "CRATON_CACHE"}},
		{stderr("link: write: no space left on device"), []string{"disk is full"}},
		{stderr("dial tcp: lookup proxy: no such host"), []string{"could not be downloaded", "network"}},
		{stderr("verifying x: checksum mismatch"), []string{"not the one that is pinned"}},
		{stderr("# pkg\npkg/x.go:2: unused\npkg/x.go:3: undefined: y"), []string{"go build: exit status 1: pkg/x.go:3: undefined: y", "run it again"}},
		{stderr("compile: signal: killed"), []string{"ended from outside", "dmesg"}},
		{missing, []string{"no-such-program-here is not installed", "doctor"}},
		{fmt.Errorf("go build: %w", context.Canceled), []string{"goes on from here"}},
		{os.ErrPermission, []string{"may not be written", "root"}},
		{errors.New("several\nlines"), []string{"lines", "run it again"}},
	} {
		dir := t.TempDir()
		got := failure("kubelet", dir, c.err)
		if !errors.Is(got, c.err) {
			t.Errorf("%v hides its cause", got)
		}
		for _, w := range append(c.want, "kubelet") {
			if !strings.Contains(got.Error(), w) {
				t.Errorf("%q lacks %q", got, w)
			}
		}
		if strings.Contains(got.Error(), "\n") {
			t.Errorf("%q is more than a line", got)
		}
		if errors.Is(c.err, context.Canceled) {
			continue
		}
		file := filepath.Join(dir, "failed", "kubelet.log")
		if text, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(text)) != c.err.Error() || !strings.Contains(got.Error(), file) {
			t.Errorf("%q; its file: %q, %v", got, text, err)
		}
	}
}

// A disk that fills up while a program is compiled must be named, by what the real
// compiler says of it.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	b := &build{store: cache.Store{Dir: dir}, keys: map[string]string{"pause": "1"}, dirs: map[string]string{}}
	err := b.component(t.Context(), component(t, "pause"))
	if err == nil {
		t.Fatal("a program of some 700 KiB is on a disk of 128 KiB")
	}
	got := failure("pause", dir, err).Error()
	if !strings.Contains(got, "a disk is full: the file system at "+dir+" has 0 MiB free") || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}

// A failure that is passed on by those above must not be wrapped in a second sentence, and
// where even the file cannot be written the sentence does without it.
func TestFailureIsSaidOnce(t *testing.T) {
	inner := failure("kubelet", "/proc/no-folder-can-be-made-here", errors.New("broken"))
	if strings.Contains(inner.Error(), "/proc") {
		t.Errorf("%q names a file that cannot be", inner)
	}
	if outer := failure("the images", t.TempDir(), fmt.Errorf("x: %w", inner)); strings.Contains(outer.Error(), "the images") {
		t.Errorf("%q", outer)
	}
}

// A disk that is too small has to be refused before the first build, with both figures; one
// that is large enough, and a build of nothing, must not be. What Go's caches hold already
// is not needed again.
func TestRoom(t *testing.T) {
	t.Setenv("GOCACHE", t.TempDir())
	t.Setenv("GOMODCACHE", t.TempDir())
	b := &build{store: cache.Store{Dir: t.TempDir()}}
	here, err := disk.At(b.store.Dir)
	if err != nil {
		t.Fatal(err)
	}
	tiny := disk.Room{Mount: "/tiny", Free: 5 << 20}
	places := add(add([]place{{here, 1, []string{"a"}}}, here, 2, "b"), tiny, 4, "c")
	if len(places) != 2 || places[0].need != 3 || !places[0].has("b") || places[0].has("c") || places[1].need != 4 {
		t.Errorf("needs are added wrongly: %+v", places)
	}
	if err := b.room(t.Context(), 0, 20); err != nil {
		t.Errorf("nothing to build: %v", err)
	}
	// So many times all components that no disk of this world has the room.
	err = b.room(t.Context(), 1<<20, 1)
	if err == nil || !strings.Contains(err.Error(), here.Mount) || !strings.Contains(err.Error(), disk.Size(here.Free)[:1]) || !strings.Contains(err.Error(), "CRATON_CACHE") {
		t.Errorf("no disk is so large: %v", err)
	}
}

// What is missing is counted with the same keys that builds use: a cache that has all must
// never be refused.
func TestMissingParts(t *testing.T) {
	s := cache.Store{Dir: t.TempDir()}
	components := []Component{component(t, "pause"), component(t, "kubelet")}
	b := &build{store: s, keys: map[string]string{"pause": "1", "kubelet": "2"}}
	if missing, all := b.missingParts(components, true); missing != 3 || all < 3 {
		t.Errorf("of an empty cache %d of %d are missing", missing, all)
	}
	k, err := rootFSKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range [][3]string{{"bin", "pause", "1"}, {"bin", "kubelet", "2"}, {"rootfs", MachineImage, k}} {
		if _, _, err := s.Entry(t.Context(), e[0], e[1], e[2], func(_, _ string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if missing, _ := b.missingParts(components, true); missing != 0 {
		t.Errorf("of a full cache %d are missing", missing)
	}
}
