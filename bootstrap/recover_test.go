package bootstrap

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
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
	"craton.dev/craton/machines"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
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

// of is a snapshot of this cluster's etcd.
func of(t *testing.T, c *Cluster, version string) string {
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
	db := of(t, c, "3.7.0")
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
	raw, err := os.ReadFile(of(t, ours, "3.7.0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, from, key string
		want            string
	}{
		{"no file", filepath.Join(t.TempDir(), "none"), key, "no such file"},
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
		{"a snapshot with a key", of(t, ours, "3.7.0"), key, "not encrypted"},
		{"a truncated snapshot", write(raw[:len(raw)-100]), "", "truncated"},
		{"a snapshot of a newer etcd", of(t, ours, "3.8.0"), "", "3.8.0"},
		{"a snapshot of another cluster", of(t, theirs, "3.7.0"), "", "trusts another authority"},
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
	for name, from := range map[string][2]string{"backup": {file, key}, "snapshot": {of(t, ours, "3.7.0"), ""}} {
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

// TestCouldWork protects from setting a cluster back that was only switched off.
func TestCouldWork(t *testing.T) {
	for _, test := range []struct {
		name    string
		masters int
		states  string // a letter a master: running, off, gone
		want    string
	}{
		{"all run", 3, "rrr", "[]"},
		{"one off of three", 3, "rro", "[demo-master-3]"},
		{"two off of three", 3, "roo", "[demo-master-2 demo-master-3]"},
		{"all off", 3, "ooo", "[demo-master-1 demo-master-2 demo-master-3]"},
		{"two gone", 3, "rgg", "[]"},
		{"two gone, the last one off", 3, "ogg", "[]"},
		{"one gone, one off", 3, "rog", "[demo-master-2]"},
		{"the only one off", 1, "o", "[demo-master-1]"},
		{"the only one gone", 1, "g", "[]"},
		{"all gone", 3, "ggg", "[]"},
	} {
		c := sample(t, test.masters)
		states := []machines.State{{Name: "demo-worker-1"}}
		for i, m := range c.masters() {
			if test.states[i] != 'g' {
				states = append(states, machines.State{Name: m.Name, Running: test.states[i] == 'r'})
			}
		}
		if got := couldWork(c.masters(), states); fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

// TestMayLeave protects the quorum: a master is replaced only where the others have one
// without it, and the refusal says which member is missing.
func TestMayLeave(t *testing.T) {
	for _, test := range []struct {
		members string // by number: + healthy, - not, l a healthy learner
		leaves  int
		want    string // "" where it may
	}{
		{"+++", 1, ""},
		{"-++", 1, ""},
		{"+-+", 1, "1 of 2 voters of etcd would be healthy, and their quorum is 2: start or repair demo-master-2 first"},
		{"--+", 1, "start or repair demo-master-2 first"},
		{"+--", 1, "0 of 2 voters"},
		{"++", 1, ""},
		{"+-", 1, "0 of 1 voters"},
		{"+", 1, "the only vote"},
		{"+l", 1, "the only vote"},
		{"++l", 3, ""},
		{"++", 3, ""}, // it is no member any more
		{"++++-", 1, ""},
		{"+++--", 1, "2 of 4 voters"},
		{"-++--", 1, "2 of 4 voters"},
		{"--+++", 1, ""},
	} {
		var members []etcdMember
		for i, c := range test.members {
			members = append(members, etcdMember{ID: fmt.Sprint(i), Name: fmt.Sprintf("demo-master-%d", i+1), Healthy: c != '-', Learner: c == 'l'})
		}
		err := mayLeave(members, fmt.Sprintf("demo-master-%d", test.leaves))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s without %d: %v, want %q", test.members, test.leaves, err, test.want)
		}
	}
}

// TestMembers protects the reading of what etcdctl prints.
func TestMembers(t *testing.T) {
	list, err := parseMembers([]byte(`{"header":{"cluster_id":"8b","member_id":"4c","raft_term":2},"members":[
		{"ID":"4cb8dec4a1dbdc9e","name":"demo-master-1","peerURLs":["https://10.32.0.10:2380"],"clientURLs":["https://10.32.0.10:2379"]},
		{"ID":"ff","peerURLs":["https://10.32.0.11:2380"],"isLearner":true}]}`))
	want := []etcdMember{{ID: "4cb8dec4a1dbdc9e", Name: "demo-master-1", URL: "https://10.32.0.10:2379"}, {ID: "ff", Learner: true}}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("%+v %v, want %+v", list, err, want)
	}
	well, err := parseHealth([]byte(`[{"endpoint":"https://10.32.0.10:2379","health":true,"took":"9ms"},{"endpoint":"https://10.32.0.11:2379","health":false,"took":"2s","error":"context deadline exceeded"}]`))
	if err != nil || !well["https://10.32.0.10:2379"] || well["https://10.32.0.11:2379"] {
		t.Errorf("%v %v", well, err)
	}
	if _, err := parseMembers([]byte("hello")); err == nil {
		t.Error("a text is a list of members")
	}
	if _, err := parseHealth(nil); err == nil {
		t.Error("nothing is a list of members")
	}
}

// TestNoVote protects the end of a recovery: reports of the old cluster's members, which are in
// the data that came back, do not count.
func TestNoVote(t *testing.T) {
	c := sample(t, 3)
	now := time.Now()
	status := func(at time.Time, change func(i int, m *inventory.EtcdMember)) *inventory.EtcdStatus {
		s := &inventory.EtcdStatus{Time: at, Action: "none: waiting"}
		for i, m := range c.masters() {
			e := inventory.EtcdMember{Name: m.Name, Healthy: true}
			if change != nil {
				change(i, &e)
			}
			s.Members = append(s.Members, e)
		}
		return s
	}
	for _, test := range []struct {
		name   string
		status *inventory.EtcdStatus
		want   string
	}{
		{"all", status(now, nil), ""},
		{"before", status(now.Add(-time.Minute), nil), "not reported"},
		{"a learner", status(now, func(i int, m *inventory.EtcdMember) { m.Learner = i == 1 }), "demo-master-2 has no vote in etcd yet: none: waiting"},
		{"not healthy", status(now, func(i int, m *inventory.EtcdMember) { m.Healthy = i != 2 }), "demo-master-3"},
		{"never started", status(now, func(i int, m *inventory.EtcdMember) {
			if i == 0 {
				m.Name = ""
			}
		}), "demo-master-1"},
	} {
		got := noVote(test.status, c.masters(), now.Add(-time.Second))
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestEtcdDir protects what a recovery does on a machine from another folder in the manifest.
func TestEtcdDir(t *testing.T) {
	c := sample(t, 3)
	files, err := manifests.MasterFiles(c.Plan, c.masters()[0].Name, payload.Image, manifests.Bring{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f firstboot.File) bool {
		return bytes.Contains(f.Contents, []byte("--data-dir="+etcdDir+"/data\n"))
	}) {
		t.Errorf("etcd's data are not in %s/data", etcdDir)
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
		"no name":   {"", c.Dir, "--cluster"},
		"a path":    {"../etc", c.Dir, "no name of a cluster"},
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
