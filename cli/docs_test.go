package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedPages protects readers of docs/ from pages that no longer say what craton
// does. go test ./cli -update rewrites them.
func TestGeneratedPages(t *testing.T) {
	pages, err := generatedPages("../docs")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		path := filepath.Join("..", "docs", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v: run go test ./cli -update", err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not current: run go test ./cli -update", name)
		}
	}
}
