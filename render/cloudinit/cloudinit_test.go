package cloudinit_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"craton.dev/craton/command"
	"craton.dev/craton/golden"
	"craton.dev/craton/render/cloudinit"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

func machine(t *testing.T, name string) *firstboot.Config {
	t.Helper()
	p := example.Plan(t, 1, 1)
	c, err := firstboot.For(p, name, example.Secrets(p), firstboot.Options{PauseImage: "registry.k8s.io/pause:3.10"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func render(t *testing.T, c *firstboot.Config) []byte {
	t.Helper()
	out, err := cloudinit.Render(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestGolden protects the text of a worker's configuration.
func TestGolden(t *testing.T) {
	golden.Check(t, "worker.yaml", render(t, machine(t, "demo-worker-1")))
}

// TestSchema protects that the real cloud-init accepts the file, and shows that the check
// can refuse one.
func TestSchema(t *testing.T) {
	master := machine(t, "demo-master-1")
	master.Users = []firstboot.User{{Name: "core", SSHKeys: []string{"ssh-ed25519 AAAA a@example.com"}}}
	for name, c := range map[string]struct {
		text []byte
		ok   bool
	}{
		"master": {render(t, master), true},
		"worker": {render(t, machine(t, "demo-worker-1")), true},
		"wrong":  {bytes.Replace(render(t, master), []byte("encoding: b64"), []byte("encoding: b65"), 1), false},
	} {
		file := filepath.Join(t.TempDir(), "user-data")
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := command.Run(context.Background(), "cloud-init", "schema", "--config-file", file)
		if c.ok != (err == nil) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if c.ok && !strings.Contains(string(out), "Valid") {
			t.Errorf("%s: cloud-init does not say that it is valid:\n%s", name, out)
		}
	}
}

// TestContents protects that every file and unit is in it with its bytes and mode.
func TestContents(t *testing.T) {
	c := machine(t, "demo-master-1")
	c.Files = append(c.Files, firstboot.File{Path: "/etc/bytes", Mode: 0o755, Contents: []byte("\x00ü\n: -")})
	var read struct {
		Files []struct{ Path, Owner, Permissions, Encoding, Content string } `yaml:"write_files"`
		Run   [][]string                                                     `yaml:"runcmd"`
	}
	if err := yaml.Unmarshal(render(t, c), &read); err != nil {
		t.Fatal(err)
	}
	modes := map[int]string{0o600: "0600", 0o644: "0644", 0o755: "0755"}
	if want := len(c.Files) + len(c.Units); len(read.Files) != want {
		t.Fatalf("%d files: expected %d", len(read.Files), want)
	}
	for i, f := range c.Files {
		got := read.Files[i]
		contents, err := base64.StdEncoding.DecodeString(got.Content)
		if err != nil || !bytes.Equal(contents, f.Contents) || got.Path != f.Path || got.Permissions != modes[f.Mode] || got.Owner != "root:root" {
			t.Errorf("%+v: expected %s %o %q", got, f.Path, f.Mode, f.Contents)
		}
	}
	want := "systemctl enable --now --no-block"
	for _, u := range c.Units {
		want += " " + u.Name
	}
	if last := strings.Join(read.Run[len(read.Run)-1], " "); last != want {
		t.Errorf("the last command is %q: expected %q", last, want)
	}
}

// TestErrors protects what is refused.
func TestErrors(t *testing.T) {
	for _, c := range []*firstboot.Config{
		{Hostname: "m", Files: []firstboot.File{{Path: "etc/x"}}},
		{Hostname: "m", Units: []firstboot.Unit{{Name: "../x.service"}}},
		{Hostname: "m", Units: []firstboot.Unit{{Name: "--now"}}},
	} {
		if _, err := cloudinit.Render(c); err == nil || !strings.Contains(err.Error(), "m: ") {
			t.Errorf("%+v: %v: expected an error that names the machine", c, err)
		}
	}
}
