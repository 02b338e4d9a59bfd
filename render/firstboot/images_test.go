package firstboot_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

// TestFirstStart protects the order of a machine's first start: the images that need no API at
// once, each pod when its images are there, what needs an API after that.
func TestFirstStart(t *testing.T) {
	p := example.Plan(t, 1, 1)
	pod := func(name string) firstboot.File {
		return firstboot.File{Path: firstboot.ManifestDir + "/" + name, Mode: 0o600, Contents: []byte("kind: Pod\n")}
	}
	opt := options
	opt.Start = []firstboot.Step{
		{Images: []string{"quay.io/a:1", "quay.io/b:1"}, Pods: []firstboot.File{pod("a.yaml"), pod("b.yaml")}},
		{Early: true, Listening: netip.MustParseAddrPort("192.0.2.1:2379"), Images: []string{"quay.io/c:1"}, Pods: []firstboot.File{pod("e.yaml")}},
		{Ready: netip.MustParseAddrPort("127.0.0.1:2381"), AfterAPI: true, Pods: []firstboot.File{pod("c.yaml")}},
		{AfterAPI: true, Images: []string{"quay.io/d:1"}},
	}
	worker := opt
	worker.Start = opt.Start[3:]
	begin, end := "get "+options.PauseImage+" &\ngot0+=\" $!\"\n", "wait\nsync -f /var/lib/containerd && rm /var/lib/craton-images-unsynced\n"
	get := func(image string, step int) string { return fmt.Sprintf("get %s &\ngot%d+=\" $!\"\n", image, step) }
	for _, c := range []struct {
		machine string
		opt     firstboot.Options
		want    string // the end of the script
	}{
		{"demo-master-1", opt, begin + get("quay.io/a:1", 0) + get("quay.io/b:1", 0) + get("quay.io/c:1", 1) + "wait $got0\nrun a.yaml\nrun b.yaml\n" +
			"until (: </dev/tcp/192.0.2.1/2379) 2>/dev/null; do sleep 0.1; done\nwait $got1\nrun e.yaml\n" +
			"/usr/local/sbin/craton-join known\nuntil ready 127.0.0.1 2381 2>/dev/null; do sleep 0.2; done\nwait $got2\nrun c.yaml\n" +
			get("quay.io/d:1", 3) + "wait $got3\n" + end},
		{"demo-worker-1", worker, begin + "/usr/local/sbin/craton-join known\n" + get("quay.io/d:1", 0) + "wait $got0\n" + end},
	} {
		config, err := firstboot.For(p, c.machine, example.Secrets(p), c.opt)
		if err != nil {
			t.Fatal(err)
		}
		script := file(t, config, "/usr/local/sbin/craton-images")
		if !strings.HasSuffix(script, c.want) {
			t.Errorf("%s: the script does not end with\n%s\nin:\n%s", c.machine, c.want, script)
		}
		check := exec.Command("bash", "-n")
		check.Stdin = strings.NewReader(script)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: bash does not take the script: %s", c.machine, out)
		}
		for _, f := range config.Files {
			if strings.HasPrefix(f.Path, firstboot.ManifestDir+"/") {
				t.Errorf("%s: %s is in the kubelet's folder before its images are there", c.machine, f.Path)
			}
			if strings.HasPrefix(f.Path, firstboot.StartDir+"/") && f.Mode != 0o600 {
				t.Errorf("%s: %s has mode %o", c.machine, f.Path, f.Mode)
			}
		}
	}
}

// TestImagesAreWhole protects that a machine that went off in its first start throws away
// what may not have come to the disk before its container runtime sees it, that nothing is
// thrown away after the first start or while the runtime runs, and that a start that was
// broken off goes on.
func TestImagesAreWhole(t *testing.T) {
	p := example.Plan(t, 1, 1)
	config, err := firstboot.For(p, "demo-master-1", example.Secrets(p), options)
	if err != nil {
		t.Fatal(err)
	}
	unit := func(name string) string {
		i := slices.IndexFunc(config.Units, func(u firstboot.Unit) bool { return u.Name == name })
		if i < 0 {
			t.Fatalf("there is no unit %s", name)
		}
		if !config.Units[i].Enabled {
			t.Errorf("%s does not start", name)
		}
		return config.Units[i].Contents
	}
	whole := unit("craton-images-whole.service")
	for _, want := range []string{
		"Before=containerd.service\n", "ConditionPathExists=/var/lib/craton-images-unsynced\n", "RemainAfterExit=yes\n",
		"ExecStart=/usr/bin/find /var/lib/containerd -mindepth 1 -delete\n",
	} {
		if !strings.Contains(whole, want) {
			t.Errorf("no %q in:\n%s", want, whole)
		}
	}
	images := unit("craton-images.service")
	for _, want := range []string{
		"ConditionPathExists=|!/var/lib/kubelet/pki/kubelet-client-current.pem\n",
		"ConditionDirectoryNotEmpty=|" + firstboot.StartDir + "\n", "ConditionPathExists=|/var/lib/craton-images-unsynced\n",
	} {
		if !strings.Contains(images, want) {
			t.Errorf("no %q in:\n%s", want, images)
		}
	}
	script := file(t, config, "/usr/local/sbin/craton-images")
	mark, get := strings.Index(script, "touch /var/lib/craton-images-unsynced && sync -f "), strings.Index(script, "ctr ")
	if mark < 0 || get < mark {
		t.Errorf("an image may come before the mark is on the disk:\n%s", script)
	}
}
