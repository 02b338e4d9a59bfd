package firstboot_test

import (
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

// TestFirstImages protects that a machine gets its pods' images in the order of their
// urgency, by the registries' own configuration, at its first boot only, and that what it
// needs later leaves the processor to an API server that starts.
func TestFirstImages(t *testing.T) {
	p := example.Plan(t, 1, 1)
	opt := options
	opt.FirstImages = []string{"quay.io/a:1", "quay.io/b:1", "quay.io/c:1", "quay.io/d:1"}
	opt.NextImages = []string{"quay.io/e:1"}
	for _, m := range p.Machines {
		c, err := firstboot.For(p, m.Name, example.Secrets(p), opt)
		if err != nil {
			t.Fatal(err)
		}
		script := file(t, c, "/usr/local/sbin/craton-images")
		at := 0
		for _, want := range []string{
			options.PauseImage, "quay.io/a:1", "quay.io/b:1", "quay.io/c:1", "wait\n", "quay.io/d:1", "wait\n",
			"craton-join known", "quay.io/e:1", "wait\n",
		} {
			i := strings.Index(script[at:], want)
			if i < 0 {
				t.Fatalf("%s: no %q where it should come, in:\n%s", m.Name, want, script)
			}
			at += i
		}
		if got := strings.Count(script, "--hosts-dir=/etc/containerd/certs.d "); got != 6 {
			t.Errorf("%s: %d of 6 images are got by the registries' configuration", m.Name, got)
		}
		i := slices.IndexFunc(c.Units, func(u firstboot.Unit) bool { return u.Name == "craton-images.service" })
		if i < 0 || !strings.Contains(c.Units[i].Contents, "ConditionPathExists=!") {
			t.Errorf("%s: images are got never, or at each boot, when the registry may be away", m.Name)
		}
	}
}
