package assets

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestVersions protects that the files in the tree are of the versions that are pinned, and
// that each has its licence.
func TestVersions(t *testing.T) {
	pinned, err := os.ReadFile("../npm/package.json")
	if err != nil {
		t.Fatal(err)
	}
	licences, err := os.ReadFile("LICENSES.txt")
	if err != nil {
		t.Fatal(err)
	}
	for file, name := range map[string]string{"patternfly.css": "@patternfly/patternfly", "htmx.js": "htmx.org", "sse.js": "htmx-ext-sse"} {
		text, err := files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		version := regexp.MustCompile(`"` + regexp.QuoteMeta(name) + `": "([^"]+)"`).FindSubmatch(pinned)
		if version == nil || !strings.HasPrefix(first, "/*! "+name+" "+string(version[1])+", ") {
			t.Errorf("%s begins with %q; pinned is %s: run scripts/console-assets", file, first, version)
		}
		if !strings.Contains(string(licences), file) {
			t.Errorf("LICENSES.txt does not name %s", file)
		}
	}
}

// TestClasses protects that the styles in the tree have what the templates use: a class of
// PatternFly's that was new in a template would have no style.
func TestClasses(t *testing.T) {
	styles, err := files.ReadFile("patternfly.css")
	if err != nil {
		t.Fatal(err)
	}
	own, err := files.ReadFile("console.css")
	if err != nil {
		t.Fatal(err)
	}
	// They are hooks of PatternFly's without a style of their own.
	bare := map[string]bool{"pf-v6-c-table__tbody": true, "pf-v6-c-table__thead": true, "pf-v6-c-tabs__item-text": true}
	entries, err := os.ReadDir("../view")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		text, err := os.ReadFile("../view/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, class := range regexp.MustCompile(`\b(?:pf-v6|console)-[A-Za-z0-9_-]+`).FindAllString(string(text), -1) {
			n++
			if !bare[class] && !strings.Contains(string(styles), "."+class) && !strings.Contains(string(own), "."+class) {
				t.Errorf("%s uses %s, which has no style: run scripts/console-assets", e.Name(), class)
			}
		}
	}
	if n < 100 {
		t.Errorf("found %d classes only: this test does not read the templates rightly", n)
	}
}

// TestHandler protects that an asset is served under a name that changes with it, packed or
// plain, and that nothing else is.
func TestHandler(t *testing.T) {
	get := func(path, encoding string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, r)
		return w
	}
	path := Path("console.css")
	plain, packed := get(path, ""), get(path, "br, gzip")
	if plain.Code != 200 || !strings.HasPrefix(plain.Header().Get("Content-Type"), "text/css") || !strings.Contains(plain.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%d %v", plain.Code, plain.Header())
	}
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len() {
		t.Errorf("packed it has %d bytes of %d, %v", packed.Body.Len(), plain.Body.Len(), packed.Header())
	}
	for _, path := range []string{"/assets/console.css", "/assets/", "/assets/LICENSES.txt", "/assets/../assets.go"} {
		if w := get(path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
