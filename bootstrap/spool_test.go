package bootstrap

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSpool protects a cluster's keys: what a run that was killed has left goes with the next
// one, what another that still runs has does not, and nothing that only has such a name.
func TestSpool(t *testing.T) {
	parent := t.TempDir()
	left := filepath.Join(parent, "craton-recover-1")
	if err := os.MkdirAll(filepath.Join(left, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	link, file := filepath.Join(parent, "craton-recover-2"), filepath.Join(parent, "craton-recover-3")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := newSpool(parent, "craton-recover-")
	if err != nil {
		t.Fatal(err)
	}
	second, err := newSpool(parent, "craton-recover-")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{left: false, elsewhere: true, link: true, file: true, first.dir: true, second.dir: true} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", path, err == nil, want)
		}
	}
	if info, err := os.Stat(first.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v, want 0700", first.dir, info.Mode(), err)
	}
	for _, s := range []*spool{first, second} {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(s.dir); err == nil {
			t.Errorf("%s is left", s.dir)
		}
	}
}
