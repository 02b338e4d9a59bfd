package test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

const (
	selfHostedCluster = "ciselfetcd"
	exampleSelfHosted = "../examples/self-hosted-etcd.yaml"
)

// example writes the cluster file of an example, with this cluster's name, so many machines,
// and further lines.
func (l *lab) example(t *testing.T, path string, masters, workers int, more ...string) {
	t.Helper()
	l.copyExample(t, path, map[string]any{"name": l.name, "masters": masters, "workers": workers}, more...)
}

// copyExample writes the cluster file of an example with other values in some of its lines, and further ones.
func (l *lab) copyExample(t *testing.T, path string, values map[string]any, more ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for field, value := range values {
		line := regexp.MustCompile(`(?m)^` + field + `: .*$`)
		if !line.Match(text) {
			t.Fatalf("%s has no line %s", path, field)
		}
		text = line.ReplaceAll(text, fmt.Appendf(nil, "%s: %v", field, value))
	}
	for _, line := range more {
		text = append(text, line+"\n"...)
	}
	if err := os.WriteFile(l.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSelfHostedEtcd protects an etcd of ordinary pods where it is weakest, with one member: it takes
// over from the seed, whose ports are shut then, and comes back by itself, with all that was written,
// when its only pod is deleted and when all power is lost.
func TestSelfHostedEtcd(t *testing.T) {
	needHost(t)
	l := newLab(t, selfHostedCluster)
	t.Cleanup(func() { l.diagnose(t) })
	l.example(t, exampleSelfHosted, 1, 1)
	l.up(t)
	l.ready(t)
	l.etcdPods(t)
	l.seedShut(t)
	if took := l.up(t); took > 3*time.Second {
		t.Errorf("up with nothing to do took %s: expected less than 3 s", took)
	}
	l.keep(t, "before")
	l.deleteEtcdPods(t)
	l.kept(t, "before", true)
	l.allOff(t)
	l.kept(t, "before", true)
	l.etcdPods(t)
}

// TestSelfHostedEtcdMasters goes through the life of such an etcd on three masters: members come and
// go by editing the file, lose their machine, their disk, their pods and their power. Its load
// balancer asks masters by the read-only port; that of TestMasters asks API servers.
func TestSelfHostedEtcdMasters(t *testing.T) {
	needHost(t)
	l := newLab(t, selfHostedCluster)
	t.Cleanup(func() { l.diagnose(t) })
	const readOnly = "options: {readOnlyPort: true}"
	l.example(t, exampleSelfHosted, 3, 1, readOnly)
	l.up(t)
	l.ready(t)
	l.etcdPods(t)
	l.seedShut(t)
	l.voters(t, 3)
	l.keep(t, "three")
	t.Run("read-only port", func(t *testing.T) { testReadOnlyPort(t, l) })
	t.Run("two ups at once", func(t *testing.T) { testTwoUps(t, l) })

	t.Log("one member's machine loses its power, that of the cluster's beginning")
	first, second := l.plan(t).OfRole(contract.Master)[0], l.plan(t).OfRole(contract.Master)[1]
	l.powerOff(t, first.Name)
	eventually(t, 15*time.Second, func() error { return l.write1(t) })
	l.example(t, exampleSelfHosted, 1, 1, readOnly)
	l.exits2(t, "a file that keeps only the master that is off", []string{"up", "--file", l.file}, first.Name, "quorum")
	l.example(t, exampleSelfHosted, 3, 1, readOnly)
	l.up(t)
	l.ready(t)
	l.voters(t, 3)

	t.Log("all pods are deleted at once")
	l.deleteEtcdPods(t)
	l.kept(t, "three", true)
	l.voters(t, 3)

	t.Log("all power is lost")
	l.allOff(t)
	l.kept(t, "three", true)
	l.etcdPods(t)

	t.Log("one member's disk is lost")
	l.mustCraton(t, "replace", second.Name, "--cluster", l.name)
	l.ready(t)
	l.etcdPods(t)
	l.voters(t, 3)

	t.Log("one master is left, and three are again")
	l.example(t, exampleSelfHosted, 1, 1, readOnly)
	l.up(t)
	l.ready(t)
	l.etcdPods(t)
	l.voters(t, 1)
	l.kept(t, "three", true)
	l.example(t, exampleSelfHosted, 3, 1, readOnly)
	l.up(t)
	l.ready(t)
	l.etcdPods(t)
	l.voters(t, 3)
	l.kept(t, "three", true)
}

// etcdPods looks whether etcd is one ordinary pod on each master, ready, and nothing else of it is there; and
// whether the custom resource says so too.
func (l *lab) etcdPods(t *testing.T) {
	t.Helper()
	list, err := l.client(t).CoreV1().Pods(metav1.NamespaceSystem).List(context.Background(), metav1.ListOptions{LabelSelector: "component in (etcd,etcd-seed)"})
	if err != nil {
		t.Fatal(err)
	}
	var on, want []string
	planned := l.plan(t).Machines
	for _, p := range list.Items {
		if !slices.ContainsFunc(planned, func(m plan.Machine) bool { return m.Name == p.Spec.NodeName }) {
			continue // its machine is gone, and it soon will be
		}
		on = append(on, p.Spec.NodeName)
		if _, static := p.Annotations[corev1.MirrorPodAnnotationKey]; static || p.Labels["component"] != "etcd" || len(p.OwnerReferences) != 1 || p.OwnerReferences[0].Name != p.Spec.NodeName {
			t.Errorf("pod %s: labels %v, from a file: %t, owners %v", p.Name, p.Labels, static, p.OwnerReferences)
		}
	}
	masters := l.plan(t).OfRole(contract.Master)
	for _, m := range masters {
		want = append(want, m.Name)
	}
	slices.Sort(on)
	if !slices.Equal(on, want) {
		t.Errorf("etcd runs on %v, want %v", on, want)
	}
	said := fmt.Sprintf("%d %d", len(masters), len(masters))
	eventually(t, 20*time.Second, func() error {
		out, err := l.kubectl("get", "--namespace", metav1.NamespaceSystem, "etcdcluster", "etcd", "-o", "jsonpath={.spec.size} {.status.ready} {.status.refusal}{.spec.seed}")
		if err == nil && strings.TrimSpace(out) != said {
			err = fmt.Errorf("the custom resource's size, ready members, refusal and seed are %q, want %q", out, said)
		}
		return err
	})
}

// seedShut looks whether the fabric has no rule about the seed any more, but has those about the pods.
func (l *lab) seedShut(t *testing.T) {
	t.Helper()
	out, err := command.Cmd{Name: "nsenter", Args: []string{"--net=/run/netns/craton-" + l.name + "-fabric", "nft", "list", "ruleset"}, Timeout: 10 * time.Second}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for clause, open := range map[string]bool{
		"master.ingress.etcd-seed": false, "master.egress.etcd-seed": false, "12379": false,
		"master.ingress.etcd-pods": true, "master.egress.etcd-pods": true, "worker.ingress.etcd-pods": true,
	} {
		if strings.Contains(string(out), clause) != open {
			t.Errorf("%s is in the fabric's rules: %t, want %t", clause, !open, open)
		}
	}
}

// write1 writes something new once.
func (l *lab) write1(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, err := l.client(t).CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "w-"}}, metav1.CreateOptions{})
	return err
}

// deleteEtcdPods deletes all pods of etcd at once, through the API that stands on them, and waits till
// it is all well again.
func (l *lab) deleteEtcdPods(t *testing.T) {
	t.Helper()
	client := l.client(t)
	before, err := client.CoreV1().Pods(metav1.NamespaceSystem).List(context.Background(), metav1.ListOptions{LabelSelector: "component=etcd"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range before.Items {
		if err := client.CoreV1().Pods(p.Namespace).Delete(context.Background(), p.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	began, answered, worst := time.Now(), time.Now(), time.Duration(0)
	for ; time.Since(began) < 25*time.Second || time.Since(answered) > time.Second && time.Since(began) < 2*deadlock; time.Sleep(100 * time.Millisecond) {
		if l.write1(t) == nil {
			worst, answered = max(worst, time.Since(answered)), time.Now()
		}
	}
	t.Logf("the longest time without a write was %.1f s", worst.Seconds())
	if worst > deadlock || time.Since(answered) > deadlock {
		t.Errorf("no write for %s after all pods of etcd were deleted: expected at most %s", worst, deadlock)
	}
	eventually(t, 90*time.Second, func() error { return l.well() })
	for _, p := range before.Items {
		now, err := client.CoreV1().Pods(p.Namespace).Get(context.Background(), p.Name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
		if err != nil || now.UID == p.UID {
			t.Errorf("pod %s has not been made anew (%v)", p.Name, err)
		}
	}
}

// allOff switches all machines off, and brings them up again.
func (l *lab) allOff(t *testing.T) {
	t.Helper()
	for _, m := range l.plan(t).Machines {
		l.powerOff(t, m.Name)
	}
	if took := l.up(t); took > 90*time.Second {
		t.Errorf("all machines took %s to be back: expected less than 90 s", took)
	}
	l.ready(t)
}
