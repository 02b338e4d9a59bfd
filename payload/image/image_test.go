package image

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An image's digest must not depend on when, where, by whom or in which order it is made:
// otherwise each host pulls it anew.
func TestSameFilesSameDigest(t *testing.T) {
	digest := func(reverse bool) string {
		files := []File{
			{Path: "usr/local/bin/a", From: write(t, "a")},
			{Path: "usr/local/bin/b", From: write(t, "b")},
			{Path: "lib", Link: "usr/lib"},
			{Path: "tmp/", Mode: 0o1777},
		}
		os.Chtimes(files[0].From, time.Time{}, time.Now().Add(time.Hour))
		if reverse {
			slices.Reverse(files)
		}
		l, err := WriteLayer(filepath.Join(t.TempDir(), "x.tar"), files)
		if err != nil {
			t.Fatal(err)
		}
		img, err := New(Run{Entrypoint: []string{"/usr/local/bin/a"}}, l)
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	if a, b := digest(false), digest(true); a != b {
		t.Errorf("%s, then %s", a, b)
	}
}

// Containers run as other users than root too: what they need must be theirs to read, and
// no file may carry this host's owner or time.
func TestLayerEntries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.tar")
	_, err := WriteLayer(path, []File{{Path: "usr/local/bin/a", From: write(t, "a")}, {Path: "tmp/", Mode: 0o1777}, {Path: "lib", Link: "usr/lib"}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 0 || h.Mode&0o555 != 0o555 {
			t.Errorf("%s: owner %d:%d %q, time %v, mode %o", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime, h.Mode)
		}
	}
	if want := []string{"lib", "tmp/", "usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/a"}; !slices.Equal(names, want) {
		t.Errorf("got %q\nwant %q", names, want)
	}
}

// containerd reads what the manifest says: OCI types, and a layer that is what it is
// called, with a digest of its bytes.
func TestImageIsOCI(t *testing.T) {
	l, err := WriteLayer(filepath.Join(t.TempDir(), "x.tar"), []File{{Path: "a", From: write(t, "a")}})
	if err != nil {
		t.Fatal(err)
	}
	img, err := New(Run{Entrypoint: []string{"/a"}}, l)
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(l.path)
	if err != nil {
		t.Fatal(err)
	}
	if m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON ||
		m.Layers[0].MediaType != types.OCIUncompressedLayer || m.Layers[0].Size != info.Size() {
		t.Errorf("%+v", m)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Architecture != arch || len(c.RootFS.DiffIDs) != 1 || c.RootFS.DiffIDs[0] != m.Layers[0].Digest {
		t.Errorf("%+v", c)
	}
}

// The registry is asked without the host, with the whole path behind it.
func TestSplit(t *testing.T) {
	for ref, want := range map[string][2]string{
		"registry.k8s.io/pause:3.10":              {"pause", "3.10"},
		"registry.k8s.io/coredns/coredns:v1.15.0": {"coredns/coredns", "v1.15.0"},
		"docker.io/flannel/flannel:v0.28.10":      {"flannel/flannel", "v0.28.10"},
	} {
		if r, tag := split(ref); r != want[0] || tag != want[1] {
			t.Errorf("%s: %s, %s", ref, r, tag)
		}
	}
}

// A library's link inside a root file system may be absolute: it means that root, never
// this host's files.
func TestResolveStaysInside(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "usr/lib64"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"usr/lib64/ld.so": "/lib/arch/ld.so", "usr/lib64/a.so": "b.so", "usr/lib64/b.so": "../other/c.so",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"usr/lib64/ld.so": "usr/lib/arch/ld.so", "usr/lib64/a.so": "usr/other/c.so", "usr/bin/x": "usr/bin/x",
	} {
		if got := resolve(root, path); got != filepath.Join(root, want) {
			t.Errorf("%s: %s, not %s", path, got, want)
		}
	}
}

// A layer of unpacked packages must be what was unpacked: links as links, and the rights that
// programs of other users need.
func TestTreeIsWhatWasUnpacked(t *testing.T) {
	root := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755),
		os.WriteFile(filepath.Join(root, "usr/bin/sh"), []byte("x"), 0o700),
		os.Chmod(filepath.Join(root, "usr/bin/sh"), 0o555),
		os.Symlink("usr/bin", filepath.Join(root, "bin")),
		os.Mkdir(filepath.Join(root, "tmp"), 0o755),
		os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	files, err := Tree(root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i].From = strings.TrimPrefix(files[i].From, root)
	}
	want := []File{
		{Path: "bin", Link: "usr/bin", Mode: 0o777},
		{Path: "tmp/", Mode: 0o1777},
		{Path: "usr/", Mode: 0o755},
		{Path: "usr/bin/", Mode: 0o755},
		{Path: "usr/bin/sh", From: "/usr/bin/sh", Mode: 0o555},
	}
	if !slices.Equal(files, want) {
		t.Errorf("%+v", files)
	}
}

// Two names of one image must be two images: a container runtime calls a container by
// whichever name it finds first.
func TestNamedIsAnotherImage(t *testing.T) {
	l, err := WriteLayer(filepath.Join(t.TempDir(), "x.tar"), []File{{Path: "a", From: write(t, "a")}})
	if err != nil {
		t.Fatal(err)
	}
	img, err := New(Run{Cmd: []string{"/a"}, User: "1234"}, l)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Named(img, "a.b/c:d")
	if err != nil {
		t.Fatal(err)
	}
	config, err := other.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := img.ConfigName()
	b, _ := other.ConfigName()
	if a == b || config.Config.User != "1234" || !slices.Equal(config.Config.Cmd, []string{"/a"}) {
		t.Errorf("%s, %s, %+v", a, b, config.Config)
	}
}
