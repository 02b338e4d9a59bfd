package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
)

// recoverCluster is the cluster of these tests.
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
		master := machines(l.plan(t), contract.Master)[0]
		db := filepath.Join(dir, "etcd.db")
		l.etcdctl(t, master.Name, master.Address.String(), "snapshot", "save", "/var/lib/etcd/own.db")
		f, err := os.Create(db)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := l.open(t).Platform.Exec(context.Background(), master.Name, []string{"cat", "/var/lib/etcd/own.db"}, nil, f, nil); err != nil {
			t.Fatal(err)
		}
		l.keep(t, "after")
		out := l.mustCraton(t, "recover", "--cluster", l.name, "--from", db, "--force", l.name)
		l.ready(t)
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
	l.ready(t)
	l.kept(t, "before", true)
	l.kept(t, "after", true)
	if left, _ := filepath.Glob("/var/lib/craton/other*"); len(left) > 0 {
		t.Errorf("what was refused has left %v", left)
	}
}

// TestRecoverMasters replaces machines of a cluster with three masters, dead and alive, and
// takes its quorum away for good.
func TestRecoverMasters(t *testing.T) {
	needHost(t)
	l := newLab(t, recoverCluster)
	t.Cleanup(func() { l.diagnose(t) })
	l.write(t, 3, 1)
	l.up(t)
	dir := t.TempDir()
	backup, key := filepath.Join(dir, "backup"), filepath.Join(dir, "key")
	l.keep(t, "before")
	l.mustCraton(t, "backup", "--cluster", l.name, "--out", backup, "--identity-out", key)
	platform := l.open(t).Platform
	masters := machines(l.plan(t), contract.Master)
	t.Run("replace a master that is dead", func(t *testing.T) {
		if err := platform.PowerOff(context.Background(), masters[1].Name); err != nil {
			t.Fatal(err)
		}
		l.replaces(t, masters[1].Name)
		l.voters(t, 3)
	})
	t.Run("replace a master that is alive", func(t *testing.T) {
		l.replaces(t, masters[0].Name)
		l.voters(t, 3)
	})
	t.Run("replace a worker that a budget keeps", func(t *testing.T) { testReplaceKept(t, l) })
	t.Run("replace a master that the others need", func(t *testing.T) {
		if err := platform.PowerOff(context.Background(), masters[2].Name); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, func() error { // etcd may just be choosing a new leader
			code, text := l.exit("replace", masters[1].Name, "--cluster", l.name)
			if want := "start or repair " + masters[2].Name + " first"; code != 2 || !strings.Contains(text, want) {
				return fmt.Errorf("exit code %d: %s: expected 2 and %q", code, text, want)
			}
			return nil
		})
		l.up(t)
		l.ready(t)
		l.voters(t, 3)
	})
	l.keep(t, "after")
	t.Run("quorum lost, one disk left", func(t *testing.T) {
		l.keep(t, "last") // acknowledged, and so on the disks of two at least
		time.Sleep(time.Second)
		l.lose(t, 1, 2)
		began := time.Now()
		out := l.mustCraton(t, "recover", "--cluster", l.name, "--from-machine", masters[2].Name)
		t.Logf("recover from one disk of three took %.1f s:\n%s", time.Since(began).Seconds(), out)
		l.ready(t)
		l.voters(t, 3)
		for _, name := range []string{"before", "after", "last"} {
			l.kept(t, name, true)
		}
		l.aside(t, out)
	})
	t.Run("quorum lost, from a backup", func(t *testing.T) {
		l.lose(t, 2, 3)
		began := time.Now()
		out := l.mustCraton(t, "recover", "--cluster", l.name, "--from", backup, "--identity", key)
		t.Logf("recover from a backup took %.1f s:\n%s", time.Since(began).Seconds(), out)
		l.ready(t)
		l.voters(t, 3)
		l.kept(t, "before", true)
		l.kept(t, "after", false)
		l.aside(t, out)
	})
}

// testReplaceKept protects workloads: a machine that a disruption budget keeps is not replaced,
// and goes on as before; once the budget allows, it is.
func testReplaceKept(t *testing.T, l *lab) {
	ctx := context.Background()
	client := l.client(t)
	const name = "kept"
	labels := map[string]string{"app": name}
	_, err := client.AppsV1().Deployments("default").Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: name, Image: payload.Image("agnhost"), Args: []string{"pause"}}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	budgets := client.PolicyV1().PodDisruptionBudgets("default")
	_, err = budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: new(intstr.FromInt32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready := func() error {
		d, err := client.AppsV1().Deployments("default").Get(ctx, name, metav1.GetOptions{})
		if err == nil && d.Status.ReadyReplicas != 1 {
			err = fmt.Errorf("%d pods ready", d.Status.ReadyReplicas)
		}
		return err
	}
	eventually(t, time.Minute, ready)
	worker := machines(l.plan(t), contract.Worker)[0].Name
	before := l.bootID(t, worker)
	code, text := l.exit("replace", worker, "--cluster", l.name, "--drain-time", "5s")
	if code != 1 || !strings.Contains(text, "disruption budget keeps pod default/"+name) || !strings.Contains(text, "still there") {
		t.Errorf("exit code %d: %s", code, text)
	}
	node, err := client.CoreV1().Nodes().Get(ctx, worker, metav1.GetOptions{})
	if err != nil || node.Spec.Unschedulable || l.bootID(t, worker) != before {
		t.Errorf("%s is not as it was: unschedulable %t (%v)", worker, node.Spec.Unschedulable, err)
	}
	if err := ready(); err != nil {
		t.Error(err)
	}
	if err := budgets.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	l.replaces(t, worker)
	l.labels(t)
	eventually(t, time.Minute, ready)
}

// replaces runs replace and looks whether the machine has a new disk.
func (l *lab) replaces(t *testing.T, name string) {
	t.Helper()
	platform := l.open(t).Platform
	upper := l.state("local", "machines", name, "upper")
	if err := os.WriteFile(filepath.Join(upper, "old-disk"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out := l.mustCraton(t, "replace", name, "--cluster", l.name)
	t.Logf("replace took %.1f s: %s", time.Since(began).Seconds(), out)
	if err := platform.Exec(context.Background(), name, []string{"test", "-e", "/old-disk"}, nil, nil, nil); err == nil {
		t.Errorf("%s has its old disk", name)
	}
	l.ready(t)
	for _, kept := range []string{"before"} {
		l.kept(t, kept, true)
	}
}

// bootID is another one each time that a machine's node registers after a boot.
func (l *lab) bootID(t *testing.T, node string) string {
	t.Helper()
	n, err := l.client(t).CoreV1().Nodes().Get(context.Background(), node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(n.UID)
}

// lose takes masters away with their disks, as a fire does.
func (l *lab) lose(t *testing.T, numbers ...int) {
	t.Helper()
	platform := l.open(t).Platform
	for _, n := range numbers {
		if err := platform.Remove(context.Background(), fmt.Sprintf("%s-master-%d", l.name, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// keep writes a config map and a secret, which kept looks for. A secret that cannot be
// decrypted is as good as lost.
func (l *lab) keep(t *testing.T, name string) {
	t.Helper()
	ctx := context.Background()
	client := l.client(t)
	data := map[string]string{"text": name}
	if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) kept(t *testing.T, name string, want bool) {
	t.Helper()
	ctx := context.Background()
	client := l.client(t)
	m, err1 := client.CoreV1().ConfigMaps("default").Get(ctx, name, metav1.GetOptions{})
	s, err2 := client.CoreV1().Secrets("default").Get(ctx, name, metav1.GetOptions{})
	is := err1 == nil && err2 == nil && m.Data["text"] == name && string(s.Data["text"]) == name
	if is != want {
		t.Errorf("what was kept under the name %s is there: %t, want %t (%v, %v)", name, is, want, err1, err2)
	}
}

// aside looks whether the data that recover names are where it says.
func (l *lab) aside(t *testing.T, out string) {
	t.Helper()
	platform := l.open(t).Platform
	found := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 2 || !strings.HasPrefix(f[1], "/var/lib/etcd/data.before-recovery-") {
			continue
		}
		found++
		if err := platform.Exec(context.Background(), f[0], []string{"test", "-d", f[1] + "/member/wal"}, nil, nil, nil); err != nil {
			t.Errorf("%s on %s: %v", f[1], f[0], err)
		}
	}
	if found == 0 {
		t.Errorf("no old data are named:\n%s", out)
	}
}

// voters looks whether etcd has as many members with a vote, and no others.
func (l *lab) voters(t *testing.T, want int) {
	t.Helper()
	master := machines(l.plan(t), contract.Master)[0]
	eventually(t, 30*time.Second, func() error {
		out := l.etcdctl(t, master.Name, master.Address.String(), "member", "list")
		if n := strings.Count(out, "started"); n != want || strings.Count(out, "\n") != want || strings.Contains(out, "true") {
			return fmt.Errorf("want %d members with a vote:\n%s", want, out)
		}
		return nil
	})
}

// etcdctl runs etcd's own tool on a master, in its etcd container.
func (l *lab) etcdctl(t *testing.T, machine, address string, args ...string) string {
	t.Helper()
	var out, stderr bytes.Buffer
	script := `set -eu
id=$(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.container.name"==etcd' | while read -r c; do ctr -n k8s.io tasks ls | grep -q "^$c .*RUNNING" && echo "$c"; done | head -n 1)
exec ctr -n k8s.io tasks exec --exec-id "test-$$" "$id" /usr/local/bin/etcdctl --endpoints="https://$0:2379" \
	--cacert=/etc/kubernetes/pki/etcd-ca.crt --cert=/etc/kubernetes/pki/etcd-server.crt --key=/etc/kubernetes/pki/etcd-server.key "$@"`
	err := l.open(t).Platform.Exec(context.Background(), machine, append([]string{"sh", "-c", script, address}, args...), nil, &out, &stderr)
	if err != nil {
		t.Fatalf("etcdctl %v on %s: %v", args, machine, err)
	}
	return out.String()
}

// mustCraton runs the program, which has to work.
func (l *lab) mustCraton(t *testing.T, args ...string) string {
	t.Helper()
	var out, stderr bytes.Buffer
	_, err := command.Cmd{Name: craton, Args: args, Stdout: &out, Stderr: &stderr, Timeout: 10 * time.Minute}.Run(context.Background())
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	t.Logf("craton %s said:\n%s", strings.Join(args, " "), stderr.String())
	return out.String()
}

// killAt runs the program and kills it when it has said something.
func killAt(t *testing.T, said string, args ...string) {
	t.Helper()
	cmd := exec.Command(craton, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if strings.Contains(lines.Text(), said) {
			cmd.Process.Kill()
			cmd.Wait()
			return
		}
	}
	t.Errorf("it ended (%v) without saying %q:\n%s", cmd.Wait(), said, text.String())
}

// exit runs the program and returns its exit code and what it says on stderr.
func (l *lab) exit(args ...string) (int, string) {
	var stderr bytes.Buffer
	_, err := command.Cmd{Name: craton, Args: args, Stderr: &stderr, Timeout: 8 * time.Minute}.Run(context.Background())
	code := 0
	if failed, ok := errors.AsType[*command.Error](err); ok {
		code = failed.ExitCode()
	}
	return code, stderr.String()
}

// exits2 fails the test unless the program refuses, with all the words in one line.
func (l *lab) exits2(t *testing.T, what string, args []string, words ...string) {
	t.Helper()
	code, text := l.exit(args...)
	last := text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]
	for _, w := range words {
		if code != 2 || !strings.Contains(last, w) {
			t.Errorf("%s: exit code %d, want 2, and %q in: %s", what, code, w, text)
			return
		}
	}
}
