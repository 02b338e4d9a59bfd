package test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/snapshot"
)

// recoverCluster is the cluster of the tests of backup, recover and replace.
const recoverCluster = "rc"

// TestRecover loses what a person can lose of a cluster with one master, and gets it back.
func TestRecover(t *testing.T) {
	needHost(t)
	l := newLab(t, recoverCluster)
	t.Cleanup(func() { l.diagnose(t) })
	l.write(t, 1, 1)
	l.up(t)
	dir := t.TempDir()
	backup, key := filepath.Join(dir, "backup"), filepath.Join(dir, "key")
	l.keep(t, "before")
	l.mustCraton(t, "backup", "--cluster", l.name, "--out", backup, "--identity-out", key)
	l.keep(t, "after")
	recovers := func(more ...string) string {
		began := time.Now()
		out := l.mustCraton(t, append([]string{"recover", "--from", backup, "--identity", key}, more...)...)
		t.Logf("recover %s took %.1f s:\n%s", strings.Join(more, " "), time.Since(began).Seconds(), out)
		l.ready(t)
		l.kept(t, "before", true)
		return out
	}
	t.Run("refused", func(t *testing.T) { testRecoverRefused(t, l, backup, key) })
	t.Run("set back", func(t *testing.T) {
		out := recovers("--cluster", l.name, "--force", l.name)
		l.kept(t, "after", false)
		l.aside(t, out)
	})
	t.Run("killed", func(t *testing.T) {
		// At each moment something else is where it should not stay.
		for _, line := range []string{"copying the snapshot", "making data", "ending the control plane", "are now in", "waiting for the API"} {
			killAt(t, line, "recover", "--from", backup, "--identity", key, "--cluster", l.name, "--force", l.name)
		}
		recovers("--cluster", l.name, "--force", l.name)
		var out bytes.Buffer
		if err := l.open(t).Platform.Exec(context.Background(), l.name+"-master-1", []string{"ls", "/var/lib/etcd"}, nil, &out, nil); err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(out.String()) {
			if strings.HasPrefix(name, "recovery-") {
				t.Errorf("the killed recoveries have left %s", name)
			}
		}
		// Keys from the backup were in these.
		if left, err := filepath.Glob(filepath.Join(os.TempDir(), "craton-recover-*")); err != nil || len(left) > 0 {
			t.Errorf("the killed recoveries have left %v (%v)", left, err)
		}
	})
	t.Run("disk lost", func(t *testing.T) {
		l.keep(t, "after")
		l.lose(t, 1)
		recovers("--cluster", l.name)
		l.kept(t, "after", false)
	})
	t.Run("all lost", func(t *testing.T) {
		l.down(t)
		recovers() // no cluster file, no folder, no machine: the backup is all that there is
		l.labels(t)
	})
	t.Run("a snapshot of etcd's own", func(t *testing.T) {
		master := l.plan(t).OfRole(contract.Master)[0]
		db := filepath.Join(dir, "etcd.db")
		const word = "abracadabra"
		if _, err := l.kubectl("create", "secret", "generic", "kept", "--from-literal=word="+word); err != nil {
			t.Fatal(err)
		}
		l.etcdctl(t, master.Name, master.Address.String(), "snapshot", "save", "/var/lib/etcd/own.db")
		f, err := os.Create(db)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := l.open(t).Platform.Exec(context.Background(), master.Name, []string{"cat", "/var/lib/etcd/own.db"}, nil, f, nil); err != nil {
			t.Fatal(err)
		}
		// Whoever has the disk has no secret: its key is not in etcd.
		if kept, err := snapshot.Value(db, "/registry/secrets/default/kept"); err != nil || !bytes.HasPrefix(kept, []byte("k8s:enc:")) || bytes.Contains(kept, []byte(word)) {
			t.Errorf("the secret is in etcd as %.200q, %v", kept, err)
		}
		l.keep(t, "after")
		out := l.mustCraton(t, "recover", "--cluster", l.name, "--from", db, "--force", l.name)
		l.ready(t)
		if got, err := l.kubectl("get", "secret", "kept", "-o", "go-template={{.data.word|base64decode}}"); err != nil || got != word {
			t.Errorf("the secret is read as %q, %v", got, err)
		}
		l.kept(t, "before", true)
		l.kept(t, "after", false)
		l.aside(t, out)
	})
}

// testRecoverRefused protects a cluster that works from a recovery that somebody did not mean.
func testRecoverRefused(t *testing.T, l *lab, backup, key string) {
	text, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut")
	if err := os.WriteFile(cut, text[:len(text)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	master := l.name + "-master-1"
	for _, test := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"a cluster that works", []string{"recover", "--from", backup, "--identity", key, "--cluster", l.name}, []string{"works", "--force " + l.name}},
		{"another name", []string{"recover", "--from", backup, "--identity", key, "--cluster", l.name, "--force", "other"}, []string{"--force other", l.name}},
		{"truncated", []string{"recover", "--from", cut, "--identity", key, "--cluster", l.name, "--force", l.name}, []string{"truncated", cut}},
		{"of another cluster", []string{"recover", "--from", backup, "--identity", key, "--cluster", "other"}, []string{"of cluster " + l.name, "not of other"}},
		{"from a disk, of one that works", []string{"recover", "--from-machine", master, "--cluster", l.name}, []string{"works"}},
		{"from a worker", []string{"recover", "--from-machine", l.name + "-worker-1", "--cluster", l.name}, []string{"no master", master}},
		{"the only master", []string{"replace", master, "--cluster", l.name}, []string{"only master", "craton backup"}},
		{"no machine", []string{"replace", "nobody", "--cluster", l.name}, []string{"nobody", master}},
		{"a backup over another file", []string{"backup", "--cluster", l.name, "--out", cut, "--identity-out", filepath.Join(t.TempDir(), "key")}, []string{cut, "there already"}},
		{"a backup for nobody", []string{"backup", "--cluster", l.name}, []string{"--recipient", "--identity-out"}},
	} {
		l.exits2(t, test.name, test.args, test.words...)
	}
	// Without an API server, and with the power off, the data are still there.
	asked := []string{"recover", "--from", backup, "--identity", key, "--cluster", l.name}
	script := `set -eu; systemctl stop kubelet
for id in $(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.container.name"==kube-apiserver'); do ctr -n k8s.io tasks kill -s SIGKILL "$id" || :; done`
	platform := l.open(t).Platform
	if err := platform.Exec(context.Background(), master, []string{"sh", "-c", script}, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	l.exits2(t, "no API server", asked, "etcd on "+master+" has a quorum", "--force "+l.name)
	if err := platform.PowerOff(context.Background(), master); err != nil {
		t.Fatal(err)
	}
	l.exits2(t, "power off", asked, master+" is off", "craton up", "--force "+l.name)
	l.up(t)
	l.ready(t)
	l.kept(t, "before", true)
	l.kept(t, "after", true)
	if left, _ := filepath.Glob("/var/lib/craton/other*"); len(left) > 0 {
		t.Errorf("what was refused has left %v", left)
	}
}
