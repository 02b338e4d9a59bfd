package bootstrap

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// onMachine runs a verb of the script, with a ctr that notes how it was called.
func onMachine(t *testing.T, root string, in []byte, args ...string) (out, called string) {
	t.Helper()
	bin := t.TempDir()
	fake := "#!/bin/sh\necho \"$*\" >>" + bin + "/calls\ncase \"$*\" in *'containers ls'*) echo one; echo two;; *kill*) exit 1;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "ctr"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", append([]string{"-c", renewScript, "sh"}, args...)...)
	c.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "ROOT=" + root}
	c.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	text, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	calls, _ := os.ReadFile(filepath.Join(bin, "calls"))
	return string(text), string(calls)
}

// TestRenewDiffering protects machines from being told that all is new: only a file that is
// there with other contents counts, and none of a machine that still makes its first boot.
func TestRenewDiffering(t *testing.T) {
	dir := t.TempDir()
	same, other, none := filepath.Join(dir, "same"), filepath.Join(dir, "other"), filepath.Join(dir, "none")
	var sums strings.Builder
	for _, path := range []string{same, other, none} {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte("new")), path)
	}
	for path, text := range map[string]string{same: "new", other: "old"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, _ := onMachine(t, "", []byte(sums.String()), "differing", none); out != "" {
		t.Errorf("of a machine that has not joined: %q", out)
	}
	if out, _ := onMachine(t, "", []byte(sums.String()), "differing", same); out != other+"\n" {
		t.Errorf("%q, want %s", out, other)
	}
}

// TestRenewReplace protects that files get their contents and modes, that nothing is left
// beside them, and that the programs that read them are ended, also where one of them is
// not there any more.
func TestRenewReplace(t *testing.T) {
	root := t.TempDir()
	cert, key := "etc/kubernetes/pki/a.crt", "etc/kubernetes/pki/a.key"
	if err := os.MkdirAll(filepath.Join(root, "etc/kubernetes/pki"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, key), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		name string
		mode int64
	}{{cert, 0o644}, {key, 0o600}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: 3}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "new")
	}
	w.Close()
	_, called := onMachine(t, root, archive.Bytes(), "replace")
	found := map[string]string{}
	filepath.WalkDir(filepath.Join(root, "etc"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		found[name] = fmt.Sprintf("%s %o", text, info.Mode())
		return err
	})
	if len(found) != 2 || found[cert] != "new 644" || found[key] != "new 600" {
		t.Errorf("files are %v", found)
	}
	for _, id := range []string{"one", "two"} {
		if !strings.Contains(called, "tasks kill "+id+"\n") || !strings.Contains(called, "tasks kill --signal SIGKILL "+id+"\n") {
			t.Errorf("container %s is not ended:\n%s", id, called)
		}
	}
}
