package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
)

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
	master := l.plan(t).OfRole(contract.Master)[0]
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
