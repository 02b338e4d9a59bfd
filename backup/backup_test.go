package backup

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	"filippo.io/age"
	"filippo.io/age/armor"
	"go.etcd.io/bbolt"

	"craton.dev/craton/snapshot"
)

// database makes the least that is a snapshot of etcd's, and says what it is.
func database(t *testing.T) (string, snapshot.Copy) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcd.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("key"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(data)
	if err := os.WriteFile(path, append(data, digest[:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, snapshot.Copy{Cluster: "c1", Member: "a1", Revision: 7, Bytes: int64(len(data) + 32), SHA256: fmt.Sprintf("%x", digest)}
}

// secrets is a folder as package pki has it, with what a killed write left.
func secrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"authorities/kubernetes.pem": "ca", "bootstrap-tokens/demo-master-1": "token", "encryption.key": "key",
		"authorities/.etcd.pem.new": "half",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// made is a backup of a cluster demo.
func made(t *testing.T, to ...age.Recipient) []byte {
	t.Helper()
	db, copied := database(t)
	var out bytes.Buffer
	h := Header{Cluster: "demo", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Craton: "v0.1.0", Kubernetes: "v1.37.2", Etcd: "v3.7.3", Snapshot: copied}
	if err := Write(&out, to, h, []byte(`{"name":"demo"}`), secrets(t), db); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestRoundTrip protects that a backup gives back what went into it, to each recipient, with
// the rights that keys need, and that nothing of it can be read in the file.
func TestRoundTrip(t *testing.T) {
	one, two := identity(t), identity(t)
	data := made(t, one.Recipient(), two.Recipient())
	if bytes.Contains(data, []byte("demo")) {
		t.Error("the cluster's name can be read in the file")
	}
	var armored bytes.Buffer
	w := armor.NewWriter(&armored)
	w.Write(data)
	w.Close()
	for name, test := range map[string]struct {
		data []byte
		id   age.Identity
	}{"first": {data, one}, "second": {data, two}, "armored": {armored.Bytes(), two}} {
		dir := t.TempDir()
		b, err := Read(bytes.NewReader(test.data), []age.Identity{test.id}, dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b.Header.Cluster != "demo" || b.Header.Format != Format || b.Header.Snapshot.Revision != 7 || string(b.File) != `{"name":"demo"}` || b.Contents.Bytes != b.Header.Snapshot.Bytes {
			t.Errorf("%s: %+v", name, b)
		}
		var found []string
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if path != dir && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %s has mode %v", name, path, info.Mode())
			}
			if !d.IsDir() {
				found = append(found, strings.TrimPrefix(path, dir+"/"))
			}
			return nil
		})
		if want := "[etcd.db pki/authorities/kubernetes.pem pki/bootstrap-tokens/demo-master-1 pki/encryption.key]"; fmt.Sprint(found) != want {
			t.Errorf("%s: unpacked %v, want %s", name, found, want)
		}
		if text, err := os.ReadFile(filepath.Join(b.Secrets, "encryption.key")); string(text) != "key" {
			t.Errorf("%s: encryption.key is %q (%v)", name, text, err)
		}
	}
}

// TestDamage protects that no file that was cut off or changed anywhere is taken for a
// backup.
func TestDamage(t *testing.T) {
	id := identity(t)
	data := made(t, id.Recipient())
	read := func(b []byte) error {
		_, err := Read(bytes.NewReader(b), []age.Identity{id}, t.TempDir())
		return err
	}
	if err := read(data); err != nil {
		t.Fatal(err)
	}
	header := bytes.Index(data, []byte("\n---"))
	for _, n := range []int{0, 1, 10, header, header + 40, header + 100, len(data) / 2, len(data) - 1} {
		if err := read(data[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("the first %d of %d bytes: %v", n, len(data), err)
		}
	}
	for _, at := range []int{0, header + 10, header + 100, len(data) / 2, len(data) - 1} {
		altered := bytes.Clone(data)
		altered[at] ^= 1
		if err := read(altered); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d of %d altered: %v", at, len(data), err)
		}
	}
	if err := read(append(bytes.Clone(data), 'x')); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v", err)
	}
}

// TestForeign protects from what a stranger, or another version, puts inside the encryption.
func TestForeign(t *testing.T) {
	id := identity(t)
	head := func(h Header) string {
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := head(Header{Kind: kind, Format: Format, Cluster: "demo"})
	type entry struct{ name, text string }
	for _, test := range []struct {
		name    string
		entries []entry
		want    error
		words   string
	}{
		{"nothing", nil, ErrDamaged, ""},
		{"another archive", []entry{{"README", "hello"}}, ErrNone, "README"},
		{"no header", []entry{{headerName, "hello"}}, ErrNone, "header"},
		{"another kind", []entry{{headerName, head(Header{Kind: "Plan", Format: 1})}}, ErrNone, "Plan"},
		{"a newer format", []entry{{headerName, head(Header{Kind: kind, Format: Format + 1, Craton: "v9.8.7"})}, {"unheard-of", "x"}}, ErrNewer, "v9.8.7"},
		{"a path out of the folder", []entry{{headerName, good}, {"pki/../../evil", "x"}}, ErrDamaged, "evil"},
		{"an absolute path", []entry{{headerName, good}, {"/etc/passwd", "x"}}, ErrDamaged, "passwd"},
		{"no snapshot", []entry{{headerName, good}, {"pki/a", "x"}}, ErrDamaged, snapshotName},
		{"no snapshot of etcd's", []entry{{headerName, good}, {snapshotName, "hello"}}, snapshot.ErrTruncated, snapshotName},
		{"a file that is too large", []entry{{headerName, good}, {"pki/a", strings.Repeat("x", most+1)}}, ErrDamaged, "pki/a"},
	} {
		var sealed bytes.Buffer
		w, err := age.Encrypt(&sealed, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		archive := tar.NewWriter(w)
		for _, e := range test.entries {
			if err := add(archive, e.name, time.Now(), int64(len(e.text)), strings.NewReader(e.text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(archive.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "a", "b")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b, err := Read(&sealed, []age.Identity{id}, dir)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.words) || b != nil {
			t.Errorf("%s: error %v, want one of %q with %q", test.name, err, test.want, test.words)
		}
		if _, err := os.Stat(filepath.Join(dir, "..", "evil")); err == nil {
			t.Errorf("%s: it wrote outside of its folder", test.name)
		}
	}
	if _, err := Read(bytes.NewReader(made(t, id.Recipient())), []age.Identity{identity(t)}, t.TempDir()); !errors.Is(err, ErrIdentity) {
		t.Errorf("another identity: %v", err)
	}
}

// TestWriteChecks protects from a backup of data that changed after they were copied.
func TestWriteChecks(t *testing.T) {
	db, copied := database(t)
	copied.SHA256 = strings.Repeat("0", 64)
	if err := Write(&bytes.Buffer{}, []age.Recipient{identity(t).Recipient()}, Header{Snapshot: copied}, nil, secrets(t), db); err == nil || !strings.Contains(err.Error(), "the hash") {
		t.Errorf("another hash in the header: %v", err)
	}
}

// TestKeys protects the file of a key: only its owner reads it, none that is there is lost,
// and what is not one is called so.
func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	to, err := NewIdentity(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	with, err := Identities(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(bytes.NewReader(made(t, to)), with, t.TempDir()); err != nil {
		t.Error(err)
	}
	before, _ := os.ReadFile(path)
	if _, err := NewIdentity(path, time.Now()); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a second key into the same file: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the first key is lost")
	}
	if again, err := Recipients([]string{fmt.Sprint(to)}); err != nil || len(again) != 1 {
		t.Errorf("its public key: %v %v", again, err)
	}
	for _, bad := range []string{"", "age1", "hello", fmt.Sprint(to) + "\n" + fmt.Sprint(to)} {
		if _, err := Recipients([]string{bad}); err == nil || !strings.Contains(err.Error(), "age1…") {
			t.Errorf("recipient %q: %v", bad, err)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	os.WriteFile(other, []byte("hello\n"), 0o600)
	if _, err := Identities(other); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("no identity: %v", err)
	}
}

// TestEncrypted protects what tells a backup from a snapshot of etcd's own tools.
func TestEncrypted(t *testing.T) {
	id := identity(t)
	db, _ := database(t)
	sealed := filepath.Join(t.TempDir(), "backup")
	os.WriteFile(sealed, made(t, id.Recipient()), 0o600)
	empty := filepath.Join(t.TempDir(), "empty")
	os.WriteFile(empty, nil, 0o600)
	for path, want := range map[string]bool{db: false, sealed: true, empty: false} {
		if got, err := Encrypted(path); err != nil || got != want {
			t.Errorf("%s: %t %v, want %t", path, got, err, want)
		}
	}
	if _, err := Encrypted(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
