package architecture

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documentation is the longest doc comment of a package's files. A package that consists
// of tests has it in one of those.
func documentation(t *testing.T, name string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(name), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no files: %v", name, err)
	}
	var longest string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if doc := f.Doc.Text(); len(doc) > len(longest) {
			longest = doc
		}
	}
	return longest
}

// TestDependenciesHaveTheirReason: nobody adds a dependency without saying what for, and
// the list names none that is gone.
func TestDependenciesHaveTheirReason(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		if reasons[row[1]] != "" {
			t.Errorf("docs/dependencies.md names %s twice", row[1])
		}
		reasons[row[1]] = row[2]
	}
	direct := directDependencies(t)
	for _, m := range direct {
		if len(strings.Fields(reasons[m])) < 3 {
			t.Errorf("docs/dependencies.md does not say what %s is for", m)
		}
		delete(reasons, m)
	}
	for m := range reasons {
		t.Errorf("docs/dependencies.md names %s, which go.mod does not require directly", m)
	}
}

// directDependencies are the modules that go.mod requires for our own imports.
func directDependencies(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, line := range regexp.MustCompile(`(?m)^(?:require )?\s*([a-z][^\s]*/[^\s]+) v[^\s]+$`).FindAllStringSubmatch(string(text), -1) {
		modules = append(modules, line[1])
	}
	slices.Sort(modules)
	if len(modules) < 5 {
		t.Fatalf("go.mod has only the direct dependencies %q: this test does not read it rightly", modules)
	}
	return modules
}
