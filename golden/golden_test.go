package golden_test

import (
	"os"
	"testing"

	"craton.dev/craton/golden"
)

// seen is a test that notes whether it has failed.
type seen struct {
	testing.TB
	failed bool
}

func (s *seen) Helper()               {}
func (s *seen) Errorf(string, ...any) { s.failed = true }

// TestCheck protects all tests that rely on it: a file that says something else is a failure.
func TestCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/file", []byte("one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "file", "one\n")
	golden.Check(t, "file", []byte("one\n"))
	other := &seen{TB: t}
	if golden.Check(other, "file", "two\n"); !other.failed {
		t.Error("a file that says something else is passed over")
	}
}
