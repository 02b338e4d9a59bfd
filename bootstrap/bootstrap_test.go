package bootstrap

import (
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
