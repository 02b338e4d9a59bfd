package bootstrap

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/operate/etcd"
	"craton.dev/craton/snapshot"
)

// etcdVariable names the environment variable with the path of a real etcd, whose tools are
// beside it.
const etcdVariable = "CRATON_ETCD"

// fakeRuntime stands for containerd: it runs a container's program from the folder BIN, with
// the folder that is mounted at /work. All else is done for real.
const fakeRuntime = `#!/bin/sh
set -eu
shift 2 # --namespace k8s.io
start() { # the program of a container, and its arguments with the paths of this host
	program=$BIN/$(basename "$1")
	[ -e "$program" ] || program=$STATE/$(basename "$1")
	shift
	n=$#
	while [ $n -gt 0 ]; do
		arg=$(echo "$1" | sed "s|/work|$WORK|g")
		shift
		set -- "$@" "$arg"
		n=$((n - 1))
	done
	exec "$program" "$@"
}
case "$1 ${2:-}" in
"images ls") echo "$ETCD" ;;
"run --rm") shift 6; start "$@" ;;
"run --detach")
	shift 7
	id=$1
	shift
	start "$@" >"$WORK/etcd.log" 2>&1 </dev/null &
	echo $! >"$STATE/$id" ;;
"tasks exec") shift 5; start "$@" ;;
"tasks kill") kill -9 "$(cat "$STATE/$5")" ;;
"tasks delete" | "containers delete") ;;
*) echo "the test's ctr cannot: $*" >&2; exit 9 ;;
esac
`

// TestMain lets this program stand for craton-operator in the script's tests.
func TestMain(m *testing.M) {
	if dir, ok := strings.CutPrefix(strings.Join(os.Args[1:], " "), "commit-etcd-log --data-dir="); ok {
		if _, err := etcd.CommitLog(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// master is a folder that stands for a master's disk.
type master struct {
	t        *testing.T
	dir, bin string
	tools    string
	stamp    string
}

func newMaster(t *testing.T) *master {
	program := os.Getenv(etcdVariable)
	if program == "" {
		t.Skipf("%s is not set: it names a real etcd (craton payload path etcd), with etcdctl and etcdutl beside it", etcdVariable)
	}
	m := &master{t: t, dir: filepath.Join(t.TempDir(), "etcd"), bin: filepath.Dir(program), tools: t.TempDir(), stamp: "20260102-030405"}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.tools, "ctr"), []byte(fakeRuntime), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(m.tools, "craton-operator")); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *master) work() string { return filepath.Join(m.dir, "recovery-"+m.stamp) }

// do runs a verb of the script.
func (m *master) do(verb string, args ...string) (string, error) {
	m.t.Helper()
	out, err := command.Cmd{
		Name: "sh", Args: append([]string{"-s", "--", verb}, args...), Stdin: strings.NewReader(string(restoreScript)),
		Env: []string{"PATH=" + m.tools + ":" + os.Getenv("PATH"), "DIR=" + m.dir, "WORK=" + m.work(), "STAMP=" + m.stamp,
			"ETCD=etcd:test", "OPERATOR=operator:test", "BIN=" + m.bin, "STATE=" + m.tools},
		Timeout: time.Minute,
	}.Run(context.Background())
	return string(out), err
}

func (m *master) must(verb string, args ...string) string {
	m.t.Helper()
	out, err := m.do(verb, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// run starts the machine's etcd, does something with it and kills it as a loss of power does.
func (m *master) run(name string, do func(ctl func(args ...string) (string, error))) {
	m.t.Helper()
	client, peer := freePort(m.t), freePort(m.t)
	log, err := os.Create(filepath.Join(m.t.TempDir(), "log"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	peerURL := "http://127.0.0.1:" + peer
	server := exec.Command(filepath.Join(m.bin, "etcd"), "--name="+name, "--data-dir="+filepath.Join(m.dir, "data"),
		"--listen-client-urls=http://127.0.0.1:"+client, "--advertise-client-urls=http://127.0.0.1:"+client,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster="+name+"="+peerURL)
	server.Stderr = log
	if err := server.Start(); err != nil {
		m.t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	ctl := func(args ...string) (string, error) {
		out, err := command.Run(context.Background(), filepath.Join(m.bin, "etcdctl"), append([]string{"--endpoints=127.0.0.1:" + client}, args...)...)
		return strings.TrimSpace(string(out)), err
	}
	for n := 0; ; n++ {
		if _, err := ctl("endpoint", "health"); err == nil {
			break
		} else if n == 20 {
			text, _ := os.ReadFile(log.Name())
			m.t.Fatalf("etcd does not start: %v\n%s", err, text)
		}
	}
	do(ctl)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// TestRestoreScript protects data with the real etcd: what was written last is in the snapshot of
// a disk, also where the database has not got it yet; the old data stay as they were, under the
// name that is printed; and the new ones are another cluster, whose revisions go on further up.
func TestRestoreScript(t *testing.T) {
	m := newMaster(t)
	const writes = 200
	var id string
	m.run("m1", func(ctl func(...string) (string, error)) {
		for i := range writes {
			if _, err := ctl("put", fmt.Sprintf("key-%d", i), "value"); err != nil {
				t.Fatal(err)
			}
		}
		id, _ = ctl("endpoint", "status", "--write-out=json")
	})
	before := digest(t, filepath.Join(m.dir, "data"))

	m.must("extract", freePort(t), freePort(t))
	if now := digest(t, filepath.Join(m.dir, "data")); now != before {
		t.Error("extract has changed the data")
	}
	contents, err := snapshot.Verify(filepath.Join(m.work(), "snapshot.db"))
	if err != nil || contents.Keys != writes {
		t.Fatalf("the snapshot of the disk has %d keys of %d: %v", contents.Keys, writes, err)
	}
	if left, _ := filepath.Glob(filepath.Join(m.work(), "copy")); len(left) > 0 {
		t.Errorf("extract leaves %v", left)
	}

	old := filepath.Join(m.dir, "recovery-of-a-run-that-was-killed")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	m.must("build", "m1", "http://127.0.0.1:"+freePort(t), "token", "1000000000")
	if _, err := os.Stat(old); err == nil {
		t.Errorf("%s stays", old)
	}
	taken := filepath.Join(m.dir, "data.before-recovery-"+m.stamp)
	if err := os.Mkdir(taken, 0o700); err != nil { // its name is not free
		t.Fatal(err)
	}
	checkpoints, active := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(checkpoints, "kube-scheduler.yaml"), []byte("pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	aside := taken + ".2"
	if out := m.must("use", active, checkpoints); out != "aside "+aside+"\n" {
		t.Errorf("use says %q, want the path %s", out, aside)
	}
	if now := digest(t, aside); now != before {
		t.Error("the old data have changed")
	}
	info, err := os.Stat(filepath.Join(m.dir, "data"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new data: mode %v (%v)", info.Mode(), err)
	}
	if found, _ := os.ReadDir(active); len(found) != 1 || found[0].Name() != "kube-scheduler.yaml" {
		t.Errorf("active stand-ins: %v", found)
	}
	if _, err := os.Stat(m.work()); err == nil {
		t.Error("the work's folder stays")
	}
	m.run("m1", func(ctl func(...string) (string, error)) {
		if text, err := ctl("get", "--prefix", "key-", "--count-only", "--write-out=fields"); err != nil || !strings.Contains(text, fmt.Sprintf("\"Count\" : %d", writes)) {
			t.Errorf("after the recovery: %s (%v)", text, err)
		}
		now, err := ctl("endpoint", "status", "--write-out=json")
		if err != nil || clusterID(now) == clusterID(id) || clusterID(id) == "" {
			t.Errorf("cluster %s before, %s now (%v)", clusterID(id), clusterID(now), err)
		}
		if _, err := ctl("watch", "key-1", "--rev=100"); err == nil || !strings.Contains(err.Error(), "compacted") {
			t.Errorf("who watches from before does not notice: %v", err)
		}
	})
}

// TestRevisionsAbove protects those who watch while a cluster is recovered, again and again and from
// backups of any age: the revisions that they have seen are never yet to come.
func TestRevisionsAbove(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const written = 100_000 // since the last recovery, in a minute
	old := int64(2000)
	seen := old
	for _, snapshot := range []int64{old, 0, old, old} {
		if snapshot == 0 {
			snapshot = seen // of the disk
		}
		restored := snapshot + revisionsAbove(snapshot, now)
		if restored <= seen {
			t.Errorf("a snapshot of revision %d goes on at %d, and %d were seen", snapshot, restored, seen)
		}
		seen, now = restored+written, now.Add(time.Minute)
	}
	if by := revisionsAbove(seen, time.Unix(0, 0)); by < 1_000_000_000 {
		t.Errorf("with a wrong clock, revisions go on %d above", by)
	}
}

// TestRestoreScriptFails protects from half a recovery: without data, or with a snapshot that is
// none, it fails with a sentence and what is there stays.
func TestRestoreScriptFails(t *testing.T) {
	m := newMaster(t)
	if err := os.Mkdir(filepath.Join(m.dir, "data.before-recovery-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := m.do("extract", "1", "2"); err == nil || !strings.Contains(err.Error(), "beside it are: data.before-recovery-1") {
		t.Errorf("extract without data: %v", err)
	}
	kept := filepath.Join(m.dir, "data", "member", "wal", "0000000000000000-0000000000000000.wal")
	for _, path := range []string{kept, filepath.Join(m.work(), "snapshot.db")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, 8192+32), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.do("build", "m1", "http://127.0.0.1:1", "token", "1000000000"); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("build of what is no snapshot: %v", err)
	}
	if _, err := m.do("extract", "1", "2"); err == nil || !strings.Contains(err.Error(), "no record") {
		t.Errorf("extract of what are no data: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if out := m.must("aside"); !strings.Contains(out, "data.before-recovery-"+m.stamp) {
		t.Errorf("aside says %q", out)
	}
	if out := m.must("aside"); out != "" {
		t.Errorf("aside of nothing says %q", out)
	}
}

// digest is about all files of a folder.
func digest(t *testing.T, dir string) string {
	t.Helper()
	out, err := command.Cmd{Name: "sh", Args: []string{"-c", `cd "$0" && find . -type f | sort | xargs sha256sum | sha256sum`, dir}}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func clusterID(status string) string {
	_, rest, _ := strings.Cut(status, `"cluster_id":`)
	id, _, _ := strings.Cut(rest, ",")
	return id
}
