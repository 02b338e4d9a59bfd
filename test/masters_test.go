package test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/contract"
)

// TestMasters goes through the life of a control plane that runs on the cluster which it
// controls, on three masters.
func TestMasters(t *testing.T) {
	needHost(t)
	l := newLab(t, mastersCluster)
	part := func(name string, f func(*testing.T, *lab)) {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { l.diagnose(t) })
			f(t, l)
		})
	}
	l.write(t, 3, 1)
	l.up(t)
	l.ready(t)
	if t.Failed() {
		t.FailNow()
	}
	part("operations after the first join", func(t *testing.T, l *lab) { l.operates(t) })
	part("self-hosted", testSelfHosted)
	part("objects deleted", testObjectsDeleted)
	part("a master hangs", testMasterHangs)
	part("a worker called master", testPromoted)
	part("one master off", testMasterOff)
	part("all machines off", testAllOff)
	part("fewer masters", testFewerMasters)
}

// selfHosted are the components that run as pods of the API's, and the kind of their owner.
var selfHosted = map[string]string{"kube-apiserver": "DaemonSet", "kube-controller-manager": "ReplicaSet", "kube-scheduler": "ReplicaSet"}

// testSelfHosted protects the pivot: each component has a pod a master, made by the
// cluster's own controllers, each on a master of its own, and no stand-in is left.
func testSelfHosted(t *testing.T, l *lab) {
	pods, err := l.client(t).CoreV1().Pods(metav1.NamespaceSystem).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	on := map[string][]string{}
	for _, p := range pods.Items {
		if strings.Contains(p.Name, "stand-in") {
			t.Errorf("%s still runs", p.Name)
		}
		kind, ok := selfHosted[p.Labels["component"]]
		if !ok {
			continue
		}
		if len(p.OwnerReferences) != 1 || p.OwnerReferences[0].Kind != kind {
			t.Errorf("%s is owned by %v, want a %s", p.Name, p.OwnerReferences, kind)
		}
		on[p.Labels["component"]] = append(on[p.Labels["component"]], p.Spec.NodeName)
	}
	var want []string
	for _, m := range l.plan(t).OfRole(contract.Master) {
		want = append(want, m.Name)
	}
	for name := range selfHosted {
		slices.Sort(on[name])
		if !slices.Equal(on[name], want) {
			t.Errorf("%s runs on %v, want %v", name, on[name], want)
		}
	}
}

// deadlock is how long a control plane may take to come back that cannot start itself.
const deadlock = 30 * time.Second

// testObjectsDeleted protects from the deadlocks of self-hosting: with neither scheduler nor
// controller manager, nor what makes them, a pod is scheduled and run within the bound.
func testObjectsDeleted(t *testing.T, l *lab) {
	ctx := context.Background()
	client := l.client(t)
	background := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground), GracePeriodSeconds: new(int64(0))}
	for _, name := range []string{"kube-scheduler", "kube-controller-manager"} {
		if err := client.AppsV1().Deployments(metav1.NamespaceSystem).Delete(ctx, name, background); err != nil {
			t.Fatal(err)
		}
		if err := client.CoreV1().Pods(metav1.NamespaceSystem).DeleteCollection(ctx, background, metav1.ListOptions{LabelSelector: "component=" + name}); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	probe := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "after-deadlock", Namespace: metav1.NamespaceDefault}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "pause", Image: "registry.k8s.io/pause:3.10"}},
	}}
	if _, err := client.CoreV1().Pods(probe.Namespace).Create(ctx, probe, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, deadlock, func() error {
		p, err := client.CoreV1().Pods(probe.Namespace).Get(ctx, probe.Name, metav1.GetOptions{})
		if err == nil && p.Status.Phase != corev1.PodRunning {
			err = fmt.Errorf("the pod is %s", p.Status.Phase)
		}
		return err
	})
	t.Logf("a pod runs %.1f s after scheduler, controller manager and their deployments were deleted", time.Since(began).Seconds())
	eventually(t, time.Minute, func() error { return l.well() })
}

// well is nil where status finds nothing wrong.
func (l *lab) well() error {
	_, err := l.craton("status", "--cluster", l.name)
	return err
}

// testMasterHangs protects users from an API server that takes connections and never
// answers: behind the load balancer none of several clients, each request on a connection of
// its own, is without an answer for longer than the bound.
func testMasterHangs(t *testing.T, l *lab) {
	const lasting, bound = 8 * time.Second, 3 * time.Second
	last := l.plan(t).OfRole(contract.Master)[2]
	gaps := make([]time.Duration, 4)
	var asking sync.WaitGroup
	var clients []*kubernetes.Clientset
	for range gaps {
		clients = append(clients, l.user(t, false))
	}
	l.signal(t, last.Name, "kube-apiserver", "STOP")
	for i := range gaps {
		asking.Go(func() { gaps[i] = longestGap(clients[i], lasting) })
	}
	asking.Wait()
	l.signal(t, last.Name, "kube-apiserver", "CONT")
	t.Logf("clients were without an answer for at most %s", gaps)
	if worst := slices.Max(gaps); worst > bound {
		t.Errorf("a client had no answer for %s while one of three API servers hung: expected at most %s", worst, bound)
	}
	eventually(t, time.Minute, func() error { return l.well() })
}

// testPromoted protects the roles of machines: that somebody, be it the administrator, calls
// a worker a master makes it none; the label is taken away again.
func testPromoted(t *testing.T, l *lab) {
	ctx := context.Background()
	p := l.plan(t)
	worker := p.OfRole(contract.Worker)[0].Name
	nodes := l.client(t).CoreV1().Nodes()
	for label := range p.OfRole(contract.Master)[0].Labels {
		patch := fmt.Sprintf(`{"metadata":{"labels":{%q:""}}}`, label)
		if _, err := nodes.Patch(ctx, worker, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, func() error {
			node, err := nodes.Get(ctx, worker, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if _, ok := node.Labels[label]; ok {
				return fmt.Errorf("%s still has the label %s", worker, label)
			}
			return nil
		})
	}
	eventually(t, time.Minute, func() error { return l.well() })
}

// testMasterOff protects from the loss of a master, the one with which the cluster began:
// the API goes on behind the load balancer, for a client that tries again, a file that would
// leave no quorum is refused, and the machine comes back as a member.
func testMasterOff(t *testing.T, l *lab) {
	client := l.client(t)
	begun := l.plan(t).OfRole(contract.Master)[0]
	if err := l.open(t).Platform.PowerOff(context.Background(), begun.Name); err != nil {
		t.Fatal(err)
	}
	began, worst := time.Now(), time.Duration(0)
	for answered := began; time.Since(began) < 15*time.Second; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{Limit: 1})
		cancel()
		if err == nil {
			worst, answered = max(worst, time.Since(answered)), time.Now()
		}
	}
	t.Logf("the longest time without an answer was %.2f s", worst.Seconds())
	if worst > 3*time.Second {
		t.Errorf("the API did not answer for %s after one of three masters was off: expected at most 3 s", worst)
	}
	l.write(t, 1, 1)
	_, err := l.craton("up", "--file", l.file)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(err.Error(), begun.Name) || !strings.Contains(err.Error(), "quorum") {
		t.Errorf("a file that keeps only the master that is off: %v; expected exit 2 with a sentence on %s and the quorum", err, begun.Name)
	}
	l.write(t, 3, 1)
	l.up(t)
	l.ready(t)
}

// testAllOff protects from a loss of all power at once: everything is back, with what was
// written before.
func testAllOff(t *testing.T, l *lab) {
	ctx := context.Background()
	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "before"}, Data: map[string]string{"written": "before the power went"}}
	if _, err := l.client(t).CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, note, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	platform := l.open(t).Platform
	for _, m := range l.plan(t).Machines {
		if err := platform.PowerOff(ctx, m.Name); err != nil {
			t.Fatal(err)
		}
	}
	if took := l.up(t); took > 90*time.Second {
		t.Errorf("all machines took %s to be back: expected less than 90 s", took)
	}
	l.ready(t)
	got, err := l.client(t).CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(ctx, note.Name, metav1.GetOptions{})
	if err != nil || got.Data["written"] != note.Data["written"] {
		t.Errorf("what was written before the power went is %v, %v", got.Data, err)
	}
	l.operates(t)
}

// testFewerMasters protects the way back to one master: the members leave one by one, and
// what they held is still there.
func testFewerMasters(t *testing.T, l *lab) {
	l.write(t, 1, 1)
	l.up(t)
	l.ready(t)
	if _, err := l.client(t).CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(context.Background(), "before", metav1.GetOptions{}); err != nil {
		t.Errorf("with one master of three left: %v", err)
	}
}
