package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	makeTarget = regexp.MustCompile("(?m)^([a-z][a-z-]*):")
	makeNamed  = regexp.MustCompile("(?m)(?:`|^    )(?:sudo )?make ([a-z-]+)")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	testNamed  = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	link       = regexp.MustCompile(`\]\(([^)#:]*)(#[^):]*)?\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestPagesNameWhatThereIs protects readers of the pages from targets of make, tests and links that
// are gone. The commands that they name are package cli's to check.
func TestPagesNameWhatThereIs(t *testing.T) {
	targets, tests, pages := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, m := range makeTarget.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
			return fs.SkipDir
		}
		below := strings.TrimPrefix(path, root+"/")
		switch {
		case strings.HasSuffix(path, "_test.go"):
			for _, m := range testFunc.FindAllStringSubmatch(read(t, below), -1) {
				tests[m[1]] = true
			}
		case filepath.Ext(path) == ".md":
			pages[below] = read(t, below)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) < 10 || len(tests) < 100 || len(pages) < 10 {
		t.Fatalf("found %d targets, %d tests, %d pages: this test does not see them", len(targets), len(tests), len(pages))
	}
	for page, text := range pages {
		for _, m := range makeNamed.FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s: the Makefile has no target %s", page, m[1])
			}
		}
		for _, name := range testNamed.FindAllString(text, -1) {
			if !tests[name] {
				t.Errorf("%s: there is no %s", page, name)
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to := page
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(page), m[1])
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: it links to %s, which is not there", page, to)
			} else if m[2] != "" && !headed(pages[to], m[2][1:]) {
				t.Errorf("%s: %s has no heading for %s", page, to, m[2])
			}
		}
	}
}

// headed tells whether a page has a heading that a link's fragment names.
func headed(page, fragment string) bool {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		if strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == fragment {
			return true
		}
	}
	return false
}

func read(t *testing.T, below string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, below))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
