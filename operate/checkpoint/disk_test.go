package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func newDisk(t *testing.T) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{Manifests: filepath.Join(dir, "manifests"), Checkpoints: filepath.Join(dir, "checkpoints")}
	if err := os.Mkdir(d.Manifests, 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

// made is a checkpoint of the test's pod with these values of its secret.
func made(t *testing.T, d *disk, value string) checkpoint {
	t.Helper()
	have := objects()
	have.Secrets["keys"]["tls.key"] = []byte(value)
	have.Secrets["keys"]["tls.crt"] = []byte("of " + value)
	c, err := standInOf("kube-apiserver", readPod(t, "testdata/pod-volumes.yaml"), have, d.Dir("kube-apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// holds reads a manifest as the kubelet would, and what its pod would read, and says which
// value that is: "" where there is no manifest.
func holds(t *testing.T, file string) (string, error) {
	t.Helper()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(data, pod); err != nil || pod.Kind != "Pod" {
		return "", fmt.Errorf("%s is no pod: %v", file, err)
	}
	var value string
	for _, v := range pod.Spec.Volumes {
		if v.HostPath == nil || !strings.Contains(v.HostPath.Path, "checkpoints") {
			continue
		}
		info, err := os.Stat(v.HostPath.Path)
		if err != nil || !info.IsDir() {
			return "", fmt.Errorf("volume %s: %v", v.Name, err)
		}
		if v.Name == "keys" {
			key, err := os.ReadFile(filepath.Join(v.HostPath.Path, "tls.key"))
			if err != nil {
				return "", err
			}
			crt, err := os.ReadFile(filepath.Join(v.HostPath.Path, "tls.crt"))
			if err != nil || string(crt) != "of "+string(key) {
				return "", fmt.Errorf("the key %q is beside %q: %v", key, crt, err)
			}
			value = string(key)
		}
	}
	return value, nil
}

// TestCrash ends the writing of a checkpoint before each change of the disk, as a loss of
// power would, and looks at what is there: the old checkpoint whole or the new one whole,
// and what runs stays whole too. Then it is done again, to the end.
func TestCrash(t *testing.T) {
	const name = "kube-apiserver"
	crash := errors.New("the power is gone")
	for _, first := range []bool{true, false} {
		var steps int
		for at := 0; ; at++ {
			d := newDisk(t)
			old := "old value"
			if first {
				old = ""
			} else {
				mustWrite(t, d, name, made(t, d, old))
				if err := d.Activate(name); err != nil {
					t.Fatal(err)
				}
			}
			steps = 0
			d.step = func(string) error {
				if steps++; steps > at {
					return crash
				}
				return nil
			}
			next := made(t, d, "new value")
			_, err := d.Write(name, next)
			d.step = nil
			value, bad := holds(t, d.checkpoint(name))
			if bad != nil || value != old && value != "new value" || err == nil && value != "new value" {
				t.Fatalf("crash at step %d: %q, %v", at, value, bad)
			}
			if value, bad := holds(t, d.active(name)); bad != nil || value != old {
				t.Fatalf("crash at step %d: what runs is %q, %v", at, value, bad)
			}
			mustWrite(t, d, name, next)
			if value, bad := holds(t, d.checkpoint(name)); bad != nil || value != "new value" {
				t.Fatalf("after a crash at step %d and another try: %q, %v", at, value, bad)
			}
			// What is left over goes, but not what runs.
			if err := d.Prune(name); err != nil {
				t.Fatal(err)
			}
			if value, bad := holds(t, d.active(name)); bad != nil || value != old {
				t.Fatalf("pruned away what runs: %q, %v", value, bad)
			}
			entries, _ := os.ReadDir(d.Dir(name))
			if want := map[bool]int{true: 1, false: 2}[first]; len(entries) != want {
				t.Fatalf("%d folders are left: %v", len(entries), entries)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, crash) {
				t.Fatal(err)
			}
		}
		if steps < 20 {
			t.Errorf("only %d steps were tried", steps)
		}
	}
}

func mustWrite(t *testing.T, d *disk, name string, c checkpoint) {
	t.Helper()
	if _, err := d.Write(name, c); err != nil {
		t.Fatal(err)
	}
}

// TestActions protects each action on the disk, one crash at each of its steps, and that it
// can be done again.
func TestActions(t *testing.T) {
	const name = "kube-apiserver"
	crash := errors.New("the power is gone")
	for _, test := range []struct {
		name string
		do   func(*disk) error
		want stored
	}{
		{"activate", func(d *disk) error { return d.Activate(name) }, stored{true, true}},
		{"deactivate", func(d *disk) error { return d.Deactivate(name) }, stored{true, false}},
		{"remove", func(d *disk) error { return d.Remove(name) }, stored{false, false}},
	} {
		for _, before := range []bool{true, false} {
			for at := 0; ; at++ {
				d := newDisk(t)
				mustWrite(t, d, name, made(t, d, "v"))
				if before {
					if err := d.Activate(name); err != nil {
						t.Fatal(err)
					}
				}
				steps := 0
				d.step = func(string) error {
					if steps++; steps > at {
						return crash
					}
					return nil
				}
				err := test.do(d)
				d.step = nil
				for _, file := range []string{d.checkpoint(name), d.active(name)} {
					if value, bad := holds(t, file); bad != nil || value != "" && value != "v" {
						t.Fatalf("%s, crash at step %d: %s: %q, %v", test.name, at, file, value, bad)
					}
				}
				if err := test.do(d); err != nil {
					t.Fatalf("%s again: %v", test.name, err)
				}
				checkpoint, active, bad := d.Has(name)
				if bad != nil || (stored{checkpoint, active}) != test.want {
					t.Fatalf("%s: checkpoint %t, active %t, %v", test.name, checkpoint, active, bad)
				}
				if err == nil {
					break
				}
			}
		}
	}
}

// TestModes protects keys: nobody but root gets at a checkpoint, and the kubelet finds no
// half-written file, since it passes over names with a dot.
func TestModes(t *testing.T) {
	const name = "kube-apiserver"
	d := newDisk(t)
	var between []string
	d.step = func(what string) error {
		for _, dir := range []string{d.Manifests, d.Checkpoints} {
			found, _ := filepath.Glob(filepath.Join(dir, "[^.]*.yaml"))
			for _, file := range found {
				if _, bad := holds(t, file); bad != nil {
					between = append(between, fmt.Sprintf("before %q: %v", what, bad))
				}
			}
		}
		return nil
	}
	for _, value := range []string{"one", "two"} {
		mustWrite(t, d, name, made(t, d, value))
		if err := d.Activate(name); err != nil {
			t.Fatal(err)
		}
	}
	if len(between) > 0 {
		t.Error(strings.Join(between, "\n"))
	}
	files := 0
	filepath.WalkDir(d.Checkpoints, func(path string, e fs.DirEntry, _ error) error {
		info, err := e.Info()
		if err != nil {
			t.Error(err)
			return nil
		}
		if info.Mode().Perm()&0o077 != 0 || e.IsDir() && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		files++
		return nil
	})
	if files < 10 {
		t.Errorf("only %d files", files)
	}
	if info, err := os.Stat(d.active(name)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the manifest: %v %v", info, err)
	}
}

// TestWriteSaysWhatChanged protects the log from a line each minute, and notices files that
// somebody altered.
func TestWriteSaysWhatChanged(t *testing.T) {
	const name = "kube-apiserver"
	d := newDisk(t)
	c := made(t, d, "v")
	for _, step := range []struct {
		what   string
		change func()
		want   bool
	}{
		{"first", func() {}, true},
		{"same", func() {}, false},
		{"altered file", func() {
			os.WriteFile(filepath.Join(d.Dir(name), c.Folder, c.Files[1].Path), []byte("x"), 0o600)
		}, true},
		{"lost file", func() {
			os.Remove(filepath.Join(d.Dir(name), c.Folder, c.Files[1].Path))
		}, true},
		{"same again", func() {}, false},
		{"other", func() { c = made(t, d, "w") }, true},
	} {
		step.change()
		changed, err := d.Write(name, c)
		if err != nil || changed != step.want {
			t.Errorf("%s: changed %t, %v", step.what, changed, err)
		}
		if _, bad := holds(t, d.checkpoint(name)); bad != nil {
			t.Errorf("%s: %v", step.what, bad)
		}
	}
}

// TestHasNothing protects first boots of others' making: no folder is no checkpoint, an
// empty file neither, and a folder that cannot be read is an error, not a "no".
func TestHasNothing(t *testing.T) {
	d := newDisk(t)
	if c, a, err := d.Has("x"); c || a || err != nil {
		t.Error(c, a, err)
	}
	if err := os.WriteFile(d.active("x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, a, err := d.Has("x"); c || a || err != nil {
		t.Error(c, a, err)
	}
	broken := &disk{Manifests: d.Manifests, Checkpoints: d.active("x")} // a file, no folder
	if _, _, err := broken.Has("x"); err == nil {
		t.Error("no error")
	}
	if err := d.Prune("x"); err != nil {
		t.Error(err)
	}
}
