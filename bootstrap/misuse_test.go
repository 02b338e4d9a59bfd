package bootstrap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMisuse protects a cluster, and the time of whoever waits, from what cannot end well: it is
// refused before anything is asked or touched, as bad input.
func TestMisuse(t *testing.T) {
	single, external, three := sample(t, 1), sample(t, 1), sample(t, 3)
	external.Plan.File.Etcd = etcdExternal
	const master = "demo-master-1"
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	backup := func(c *Cluster, out string) error {
		_, err := c.Backup(t.Context(), out, nil)
		return err
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"replace: no such machine":              {three.Replace(t.Context(), "nobody", time.Minute), "has no machine nobody: it has " + master},
		"replace: the only master":              {single.Replace(t.Context(), master, time.Minute), "`craton backup` first"},
		"replace: the only one, etcd elsewhere": {external.Replace(t.Context(), master, time.Minute), "with masters: 3 first"},
		"backup: over another file":             {backup(three, taken), "is there already"},
		"backup: into no folder":                {backup(three, filepath.Join(dir, "none", "b")), "there is no folder " + filepath.Join(dir, "none")},
		"backup: into a file":                   {backup(three, filepath.Join(taken, "b")), "there is no folder " + taken},
		"backup: etcd elsewhere":                {backup(external, filepath.Join(dir, "b")), "back that one up where it runs"},
	} {
		if _, ok := errors.AsType[Misuse](test.err); !ok || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: %v, want a Misuse with %q", name, test.err, test.want)
		}
	}
}
