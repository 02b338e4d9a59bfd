package ignition_test

import (
	"strings"
	"testing"

	config "github.com/coreos/ignition/v2/config/v3_4"
	"github.com/google/go-cmp/cmp"
	"github.com/vincent-petithory/dataurl"

	"craton.dev/craton/golden"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/ignition"
)

func sample() *firstboot.Config {
	return &firstboot.Config{
		Hostname: "demo-worker-1",
		Files: []firstboot.File{
			{Path: "/etc/hostname", Mode: 0o644, Contents: []byte("demo-worker-1\n")},
			{Path: "/etc/secret", Mode: 0o600, Contents: []byte("\x00ü%\n")},
		},
		Units: []firstboot.Unit{{Name: "a.service", Enabled: true, Contents: "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}},
		Users: []firstboot.User{{Name: "core", SSHKeys: []string{"ssh-ed25519 AAAA a@example.com"}}},
	}
}

// TestRender protects the text, and that Ignition's own parser reads back what went in,
// byte for byte.
func TestRender(t *testing.T) {
	c := sample()
	got, err := ignition.Render(c)
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "sample.ign", got)
	parsed, report, err := config.Parse(got)
	if err != nil || len(report.Entries) > 0 {
		t.Fatalf("%v %v", err, report)
	}
	back := &firstboot.Config{Hostname: c.Hostname}
	for _, f := range parsed.Storage.Files {
		contents, err := dataurl.DecodeString(*f.Contents.Source)
		if err != nil {
			t.Fatal(err)
		}
		back.Files = append(back.Files, firstboot.File{Path: f.Path, Mode: *f.Mode, Contents: contents.Data})
	}
	for _, u := range parsed.Systemd.Units {
		back.Units = append(back.Units, firstboot.Unit{Name: u.Name, Enabled: *u.Enabled, Contents: *u.Contents})
	}
	for _, u := range parsed.Passwd.Users {
		user := firstboot.User{Name: u.Name}
		for _, k := range u.SSHAuthorizedKeys {
			user.SSHKeys = append(user.SSHKeys, string(k))
		}
		back.Users = append(back.Users, user)
	}
	if diff := cmp.Diff(c, back); diff != "" {
		t.Errorf("what Ignition reads is not what was written (-written +read):\n%s", diff)
	}
}

// TestInvalid protects that Ignition's validation is asked and its words are passed on.
func TestInvalid(t *testing.T) {
	for name, spoil := range map[string]func(*firstboot.Config){
		"relative path": func(c *firstboot.Config) { c.Files[0].Path = "etc/hostname" },
		"unit's name":   func(c *firstboot.Config) { c.Units[0].Name = "a.exe" },
		"no [Install]":  func(c *firstboot.Config) { c.Units[0].Contents = "[Service]\nExecStart=/bin/true\n" },
		"a path twice":  func(c *firstboot.Config) { c.Files[1].Path = c.Files[0].Path },
	} {
		c := sample()
		spoil(c)
		if _, err := ignition.Render(c); err == nil || !strings.Contains(err.Error(), "demo-worker-1") {
			t.Errorf("%s: %v: expected an error that names the machine", name, err)
		}
	}
}
