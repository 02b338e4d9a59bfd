package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

const externalCluster = "ciexternal"

// externalEtcd are the lines of a cluster file for an etcd that the embedded platform plays.
func externalEtcd(dir string, endpoints ...string) []string {
	return []string{
		"etcd: external", "externalEtcd:", "  endpoints: [" + strings.Join(endpoints, ", ") + "]",
		"  caFile: " + filepath.Join(dir, "ca.crt"),
		"  certFile: " + filepath.Join(dir, "client.crt"),
		"  keyFile: " + filepath.Join(dir, "client.key"),
	}
}

// TestExternalEtcd brings a cluster up on an etcd that is not its own: a real one, in the
// network outside. One that cannot be used is refused before there is anything else.
func TestExternalEtcd(t *testing.T) {
	needHost(t)
	l := newLab(t, externalCluster)
	t.Cleanup(func() { l.diagnose(t) })
	dir := filepath.Join(bootstrap.StateRoot, l.name, "local", "etcd")
	endpoints := []string{"https://192.0.2.21:2379", "https://192.0.2.22:2379", "https://192.0.2.23:2379"}

	before := lookAtHost(t)
	l.write(t, 1, 1, externalEtcd(theirFiles(t), "https://198.51.100.7:2379")...)
	began := time.Now()
	l.refused(t, "externalEtcd.endpoints[0]", "198.51.100.7:2379", "craton up` again")
	t.Logf("refused after %.1f s", time.Since(began).Seconds())
	now := lookAtHost(t)
	now.nothingOf(t, l.name)
	before.compare(t, "after a refused etcd", now, unchanged...)

	l.write(t, 1, 1, externalEtcd(dir, endpoints...)...)
	l.up(t)
	l.ready(t)
	l.labels(t)
	if took := l.up(t); took > 3*time.Second {
		t.Errorf("up with nothing to do took %s: expected less than 3 s", took)
	}
	l.inOutsideEtcd(t, dir, endpoints)

	// One that is away is passed over; when none answers, up does not begin.
	tell(l.etcdMembers(t, len(endpoints))[:1], syscall.SIGKILL)
	l.up(t)
	members := l.etcdMembers(t, len(endpoints))
	t.Cleanup(func() { tell(members, syscall.SIGCONT) })
	tell(members, syscall.SIGSTOP)
	l.refused(t, "externalEtcd.endpoints[0]", "no answer within", "craton up` again")
	tell(members, syscall.SIGCONT)
	eventually(t, 60*time.Second, func() error { _, err := l.kubectl("get", "namespace", "default"); return err })

	// The authority of another etcd.
	ca := filepath.Join(dir, "ca.crt")
	right, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := os.ReadFile(filepath.Join(theirFiles(t), "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(text []byte) {
		if err := os.WriteFile(ca, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(wrong)
	l.refused(t, "externalEtcd.caFile", ca, "has not signed", "craton up` again")
	put(right)

	// All power lost, the master's and the etcd's own.
	tell(members, syscall.SIGKILL)
	for _, m := range l.plan(t).Machines {
		l.powerOff(t, m.Name)
	}
	l.up(t)
	l.ready(t)
	if _, err := l.kubectl("get", "secret", "kept"); err != nil {
		t.Errorf("what was written before is lost: %v", err)
	}
	l.down(t)
	now = lookAtHost(t)
	now.nothingOf(t, l.name)
	before.compare(t, "after down", now, unchanged...)
}

// theirFiles is a folder with the files of an etcd that is nowhere.
func theirFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := pki.Ensure(filepath.Join(dir, "pki"), &plan.Plan{Identities: []plan.Identity{
		{Name: "client", CA: "theirs", CommonName: "client", Usages: []string{"client"}, Days: 1},
	}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"ca.crt": s.Authorities["theirs"].Cert, "client.crt": s.Pairs["client"].Cert, "client.key": s.Pairs["client"].Key,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// refused runs an up that has to end with one sentence that holds all this.
func (l *lab) refused(t *testing.T, want ...string) {
	t.Helper()
	_, err := l.craton("up", "--file", l.file)
	var failed *command.Error
	if !errors.As(err, &failed) || failed.ExitCode() != 1 {
		t.Fatalf("up was to be refused with exit code 1: %v", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

// inOutsideEtcd looks at the etcd itself: the cluster's objects have to be there, secrets
// encrypted, and to have come by the way that the document opens just then.
func (l *lab) inOutsideEtcd(t *testing.T, dir string, endpoints []string) {
	t.Helper()
	if _, err := l.kubectl("create", "secret", "generic", "kept", "--from-literal=word=abracadabra"); err != nil {
		t.Fatal(err)
	}
	built, err := payload.Build(context.Background(), payload.Options{Want: []string{"etcd"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.Cmd{Name: "nsenter", Args: []string{
		"--net=/run/netns/craton-" + l.name + "-outside", built.HostBin("etcdctl"), "--endpoints=" + strings.Join(endpoints, ","),
		"--cacert=" + filepath.Join(dir, "ca.crt"), "--cert=" + filepath.Join(dir, "client.crt"), "--key=" + filepath.Join(dir, "client.key"),
		"get", "/registry/secrets/default/kept",
	}}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if text := string(out); !strings.Contains(text, "k8s:enc:") || strings.Contains(text, "abracadabra") {
		t.Errorf("the secret in the external etcd is not there or not encrypted: %.200q", text)
	}
	clauses, _, err := l.open(t).Platform.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if clauses["master.egress.external-etcd"].Packets == 0 {
		t.Error("the fabric has counted nothing for the way to the external etcd")
	}
	for _, clause := range []string{"master.ingress.etcd-client", "master.ingress.etcd-peer", "master.egress.etcd-peer"} {
		if _, open := clauses[clause]; open {
			t.Errorf("%s is open, and there is no etcd on masters", clause)
		}
	}
}

// etcdMembers are the processes of the etcd outside.
func (l *lab) etcdMembers(t *testing.T, want int) (pids []int) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(bootstrap.StateRoot, l.name, "local", "run", "etcd-*.pid"))
	for _, f := range files {
		var pid int
		b, err := os.ReadFile(f)
		if err == nil {
			_, err = fmt.Sscan(string(b), &pid)
		}
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != want {
		t.Fatalf("%d members run, expected %d", len(pids), want)
	}
	return pids
}

func tell(pids []int, signal syscall.Signal) {
	for _, pid := range pids {
		syscall.Kill(pid, signal)
	}
}
