package bootstrap

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"craton.dev/craton/backup"
	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/snapshot"
)

// sample is a cluster as it is on a host, without machines.
func sample(t *testing.T, masters int) *Cluster {
	t.Helper()
	file := cluster.Default("demo")
	file.Masters, file.Workers = masters, 1
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Name: "demo", Dir: t.TempDir(), Plan: p}
	if _, err := pki.Ensure(c.pkiDir(), p, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := c.record(); err != nil {
		t.Fatal(err)
	}
	return c
}

// database is a snapshot of an etcd that agreed on a version and holds these values.
func database(t *testing.T, version string, values map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcd.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		keys, err1 := tx.CreateBucket([]byte("key"))
		about, err2 := tx.CreateBucket([]byte("cluster"))
		if err := errors.Join(err1, err2, about.Put([]byte("clusterVersion"), []byte(version))); err != nil {
			return err
		}
		for i, key := range slices.Sorted(maps.Keys(values)) {
			change, err := proto.Marshal(&mvccpb.KeyValue{Key: []byte(key), Value: []byte(values[key])})
			if err != nil {
				return err
			}
			revision := append([]byte{0, 0, 0, 0, 0, 0, 0, byte(i + 2), '_'}, make([]byte, 8)...)
			if err := keys.Put(revision, change); err != nil {
				return err
			}
		}
		return nil
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
	return path
}

// snapshotFor is a snapshot of this cluster's etcd.
func snapshotFor(t *testing.T, c *Cluster, version string) string {
	t.Helper()
	secrets, err := pki.Ensure(c.pkiDir(), c.Plan, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return database(t, version, map[string]string{rootCA: "k8s\x00 ca.crt " + string(secrets.Authorities[pki.KubernetesCA].Cert), "/other": "x"})
}

// backupOf writes a backup of the cluster into a file and returns it with its key's.
func backupOf(t *testing.T, c *Cluster, change func(*backup.Header)) (file, key string) {
	t.Helper()
	dir := t.TempDir()
	file, key = filepath.Join(dir, "backup"), filepath.Join(dir, "key")
	to, err := backup.NewIdentity(key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	db := snapshotFor(t, c, "3.7.0")
	contents, err := snapshot.Verify(db)
	if err != nil {
		t.Fatal(err)
	}
	h := backup.Header{Cluster: c.Name, Craton: "v0.1.0", Kubernetes: "v1.37.2", Etcd: "v3.7.3", Snapshot: snapshot.Copy{Bytes: contents.Bytes, SHA256: contents.SHA256}}
	if change != nil {
		change(&h)
	}
	record, err := json.Marshal(c.Plan.File)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := backup.Write(&out, []age.Recipient{to}, h, record, c.pkiDir(), db); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, key
}

// TestSourceRefused protects a cluster from what is not whole, not its own or too new: each is a
// Misuse, so that the exit code says bad input, with the file's name and what to do.
func TestSourceRefused(t *testing.T) {
	ours, theirs := sample(t, 1), sample(t, 1)
	file, key := backupOf(t, ours, nil)
	_, otherKey := backupOf(t, ours, nil)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	altered := bytes.Clone(text)
	altered[len(altered)/2] ^= 1
	changed := func(change func(*backup.Header)) (string, string) { return backupOf(t, ours, change) }
	newKubernetes, newKubernetesKey := changed(func(h *backup.Header) { h.Kubernetes = "v1.38.0" })
	newEtcd, newEtcdKey := changed(func(h *backup.Header) { h.Etcd = "v4.0.1" })
	renamed, renamedKey := changed(func(h *backup.Header) { h.Cluster = "shop" })
	foreign, foreignKey := backupOf(t, theirs, nil)
	raw, err := os.ReadFile(snapshotFor(t, ours, "3.7.0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, from, key string
		want            string
	}{
		{"no file", filepath.Join(t.TempDir(), "none"), key, "there is no file"},
		{"no key's file", file, filepath.Join(t.TempDir(), "none"), "there is no file"},
		{"no key", file, "", "--identity"},
		{"a key that is none", file, file, "no identity"},
		{"another key", file, otherKey, "encrypted to somebody else"},
		{"truncated", write(text[:len(text)/2]), key, "truncated"},
		{"altered", write(altered), key, "altered"},
		{"newer Kubernetes", newKubernetes, newKubernetesKey, "v1.38.0"},
		{"newer etcd", newEtcd, newEtcdKey, "v4.0.1"},
		{"another name", renamed, renamedKey, "of cluster shop, not of demo"},
		{"another cluster of the name", foreign, foreignKey, "another cluster of the name demo"},
		{"a text", write([]byte("hello")), "", "truncated, or no snapshot"},
		{"a snapshot with a key", snapshotFor(t, ours, "3.7.0"), key, "not encrypted"},
		{"a truncated snapshot", write(raw[:len(raw)-100]), "", "truncated"},
		{"a snapshot of a newer etcd", snapshotFor(t, ours, "3.8.0"), "", "3.8.0"},
		{"a snapshot of another cluster", snapshotFor(t, theirs, "3.7.0"), "", "trusts another authority"},
		{"a snapshot of no cluster", database(t, "3.7.0", map[string]string{"a": "b"}), "", "does not say of which cluster"},
	} {
		s, err := readSource(test.from, test.key, t.TempDir())
		if err == nil {
			r := &recovery{c: ours, o: RecoverOptions{From: test.from}, source: s}
			err = r.possible()
		}
		if err == nil {
			err = s.of("demo", test.from, ours.pkiDir())
		}
		if _, ok := errors.AsType[Misuse](err); !ok || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.from) {
			t.Errorf("%s: error %v, want a Misuse with %q and the file", test.name, err, test.want)
		}
	}
	for name, from := range map[string][2]string{"backup": {file, key}, "snapshot": {snapshotFor(t, ours, "3.7.0"), ""}} {
		s, err := readSource(from[0], from[1], t.TempDir())
		if err == nil {
			err = s.of("demo", from[0], ours.pkiDir())
		}
		if err != nil || s.contents.Keys != 2 {
			t.Errorf("%s of this cluster: %v, %+v", name, err, s)
		}
	}
}

// TestFill protects a host that has lost its folder of secrets, or a part of it: the backup's
// come back, and none that is there is touched.
func TestFill(t *testing.T) {
	c := sample(t, 1)
	file, key := backupOf(t, c, nil)
	s, err := readSource(file, key, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.file()
	if err != nil || f.Name != "demo" || f.Masters != 1 {
		t.Errorf("the cluster file is %+v (%v)", f, err)
	}
	other := filepath.Join(t.TempDir(), "pki")
	kept := filepath.Join(other, "certificates", "admin.pem")
	if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o700), os.WriteFile(kept, []byte("newer"), 0o600), s.fill(other)); err != nil {
		t.Fatal(err)
	}
	if err := sameRoots(c.pkiDir(), other); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(kept); string(text) != "newer" {
		t.Errorf("%s is %q now", kept, text)
	}
	os.Remove(kept)
	before, err := os.ReadFile(filepath.Join(other, "encryption.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := pki.Ensure(other, c.Plan, time.Now())
	if err != nil || secrets.EncryptionKey != strings.TrimSpace(string(before)) {
		t.Errorf("package pki does not take them: %v", err)
	}
}

// TestRecoverPossible protects the host's folders from names that are none, and a cluster whose
// authorities are lost from new ones.
func TestRecoverPossible(t *testing.T) {
	c := sample(t, 1)
	for name, test := range map[string]struct {
		cluster, dir string
		want         string
	}{
		"not there": {"demo", t.TempDir(), ErrNone.Error()},
		"there":     {"demo", c.Dir, ""},
	} {
		r := &recovery{c: &Cluster{Name: test.cluster, Dir: test.dir}, source: &source{}}
		if err := r.possible(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if err := os.Remove(filepath.Join(c.pkiDir(), "authorities", pki.KubernetesCA+".pem")); err != nil {
		t.Fatal(err)
	}
	r := &recovery{c: c, source: &source{}}
	if err := r.possible(); err == nil || !strings.Contains(err.Error(), "recover from a backup") {
		t.Errorf("without its authority: %v", err)
	}
}

// TestRecoverNames protects every folder but a cluster's own from a recovery, and that whoever has a
// snapshot alone, which is of no name, is told how to name the cluster.
func TestRecoverNames(t *testing.T) {
	c := sample(t, 1)
	for name, test := range map[string]struct {
		o    RecoverOptions
		want string
	}{
		"no name": {RecoverOptions{From: snapshotFor(t, c, "3.7.0")}, "--cluster"},
		"a path":  {RecoverOptions{FromMachine: "demo-master-1", Cluster: "../etc"}, "a cluster's name"},
	} {
		_, err := Recover(t.Context(), test.o, Options{})
		if _, ok := errors.AsType[Misuse](err); !ok || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a Misuse with %q", name, err, test.want)
		}
	}
}
