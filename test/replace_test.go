package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
)

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
	masters := l.plan(t).OfRole(contract.Master)
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
		l.operates(t)
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
		l.operates(t)
	})
}

// operates protects what a cluster is there for at the moments that matter: behind exactly the plan's rules every
// operation works again.
func (l *lab) operates(t *testing.T) {
	t.Helper()
	if out, err := l.craton("prove", "--sufficient", "--brief", "--cluster", l.name); err != nil {
		t.Errorf("not every operation works: %v\n%s", err, out)
	}
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
	worker := l.plan(t).OfRole(contract.Worker)[0].Name
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
