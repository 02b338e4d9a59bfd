package bootstrap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNamed protects the folders around the clusters' from being taken for a cluster's: Down
// removes a cluster's folder with all that is in it. It is not called here, lest it be missed.
func TestNamed(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../craton", "a/b", "a/../b", "/etc", "A", strings.Repeat("a", 64)} {
		if c, err := named(name, Options{}); err == nil {
			t.Errorf("%q is a cluster's name, and its folder is %s", name, c.Dir)
		}
		if _, err := Open(name, Options{}); err == nil || strings.Contains(err.Error(), ErrNone.Error()) {
			t.Errorf("Open %q: %v", name, err)
		}
	}
	c, err := named("demo", Options{})
	if err != nil || c.Dir != filepath.Join(StateRoot, "demo") {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestKeep protects those who read a cluster's files while they are written, and keys from wider
// rights that an older file had.
func TestKeep(t *testing.T) {
	c := &Cluster{Dir: t.TempDir()}
	path := filepath.Join(c.Dir, kubeconfigFile)
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := c.keep(kubeconfigFile, []byte("the new one")); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 20)
	if n, err := reader.Read(text); err != nil || string(text[:n]) != "old" {
		t.Errorf("who had it open reads %q, %v", text[:n], err)
	}
	now, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || string(now) != "the new one" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", now, info.Mode(), err)
	}
	c.Dir = filepath.Join(c.Dir, "gone")
	if err := c.keep(kubeconfigFile, nil); err == nil {
		t.Error("it wrote into a folder that is not there")
	}
	if left, err := os.ReadDir(filepath.Dir(c.Dir)); err != nil || len(left) != 1 {
		t.Errorf("beside it is left %v, %v", left, err)
	}
}

// TestRecordDamaged protects somebody whose record cannot be read from being told to remove the cluster:
// the error names the file, which `up` writes anew.
func TestRecordDamaged(t *testing.T) {
	c := lone(t)
	path := filepath.Join(c.Dir, applied)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.recorded(); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "`craton up`") {
		t.Errorf("error %v, expected %s and what to do", err, path)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if file, err := c.recorded(); file != nil || err != nil {
		t.Errorf("where there is none: %v, %v", file, err)
	}
}
