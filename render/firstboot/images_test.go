package firstboot_test

import (
	"strings"
	"testing"

	"craton.dev/craton/contract"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

// TestFirstImages protects that a machine gets its pods' images in the order of their
// urgency, by the registries' own configuration, at its first boot only, and that a machine
// which has to wait for the API leaves the processor alone until there is one.
func TestFirstImages(t *testing.T) {
	p := example.Plan(t, 1, 1)
	opt := options
	opt.FirstImages = []string{"quay.io/a:1", "quay.io/b:1", "quay.io/c:1"}
	for _, m := range p.Machines {
		c, err := firstboot.For(p, m.Name, example.Secrets(p), opt)
		if err != nil {
			t.Fatal(err)
		}
		script := file(t, c, "/usr/local/sbin/craton-images")
		at := 0
		for _, want := range []string{options.PauseImage, "quay.io/a:1", "quay.io/b:1", "wait\n", "quay.io/c:1", "wait\n"} {
			i := strings.Index(script[at:], want)
			if i < 0 {
				t.Fatalf("%s: no %q where it should come, in:\n%s", m.Name, want, script)
			}
			at += i
		}
		if got := strings.Count(script, "--hosts-dir=/etc/containerd/certs.d "); got != 4 {
			t.Errorf("%s: %d of 4 images are got by the registries' configuration", m.Name, got)
		}
		for _, u := range c.Units {
			if u.Name != "craton-images.service" {
				continue
			}
			if waits := strings.Contains(u.Contents, "craton-join known"); waits != (m.Role != contract.Master) {
				t.Errorf("%s: images wait for the API: %t", m.Name, waits)
			}
			if !strings.Contains(u.Contents, "ConditionPathExists=!") {
				t.Errorf("%s: images are got at each boot, when the registry may be away", m.Name)
			}
		}
	}
}
