package main_test

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestImports protects that the module graph has what main.go imports: else the payload fails to
// build it, and says so only after minutes.
func TestImports(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	graph, err := os.ReadFile("module.mod")
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for line := range strings.Lines(string(graph)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			modules = append(modules, fields[0])
		}
	}
	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := strings.Cut(path, "/")
		found := !strings.Contains(host, ".")
		for _, m := range modules {
			found = found || path == m || strings.HasPrefix(path, m+"/")
		}
		if !found {
			t.Errorf("module.mod requires no module with %s directly", path)
		}
	}
}
