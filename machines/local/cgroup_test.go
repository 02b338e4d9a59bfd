package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"craton.dev/craton/plan"
)

// TestLevel protects that masters which were behind when they joined weigh as much as the first one from
// then on, and that a machine which is off is no error.
func TestLevel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("cgroups are root's")
	}
	p := &Platform{Cluster: "testlevel"}
	cgroup := p.cgroupName("m1")
	t.Cleanup(func() {
		if err := p.removeCgroups(); err != nil {
			t.Error(err)
		}
	})
	dirs, v2, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		parent := dir
		for _, part := range strings.Split(cgroup, "/") {
			if v2 {
				passOnControllers(parent)
			}
			parent = filepath.Join(parent, part)
			if err := os.Mkdir(parent, 0o755); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
	}
	weights := func() (all []string) {
		for _, dir := range dirs {
			for file := range usual {
				if b, err := os.ReadFile(filepath.Join(dir, cgroup, file)); err == nil {
					all = append(all, strings.TrimSpace(string(b)))
				}
			}
		}
		return all
	}
	first := weights()
	if err := weigh(cgroup, little); err != nil {
		t.Fatal(err)
	}
	if got := weights(); len(got) != 1 || got[0] == first[0] {
		t.Errorf("a machine that waits for others weighs %v, like one that does not (%v)", got, first)
	}
	if err := p.Level([]plan.Machine{{Name: "m1"}, {Name: "off"}}); err != nil {
		t.Error(err)
	}
	if got := weights(); strings.Join(got, " ") != strings.Join(first, " ") {
		t.Errorf("the machine weighs %v, expected %v", got, first)
	}
}
