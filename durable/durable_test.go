package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"craton.dev/craton/durable"
)

// TestWriteFile protects a file's mode, which keeps others from keys, also where it replaces one
// with wider rights, and that nothing is left beside it.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != "new" || info.Mode() != 0o600 {
		t.Errorf("%q with mode %o, want %q with 600", text, info.Mode(), "new")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files are there, want one", len(files))
	}
	if err := durable.WriteFile(filepath.Join(dir, "none", "key"), nil, 0o600); err == nil {
		t.Error("a folder that is not there: no error")
	}
}
