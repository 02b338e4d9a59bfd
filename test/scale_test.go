package test

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
)

// scaleCluster has from one to five masters.
const scaleCluster = "ciscale"

// TestScaleMasters protects the way from one master to three, to five and back to three, by the cluster
// file alone: each master has its member of etcd, with a vote, and what was written with one is there.
func TestScaleMasters(t *testing.T) {
	needHost(t)
	need := 5*local.ShareOf(contract.Master).Inotify + local.ShareOf(contract.Worker).Inotify
	if used, limit, err := local.Inotify(); err != nil || limit > 0 && limit < used+need {
		t.Skipf("five masters and a worker need %d inotify instances: %d of %d are in use (%v); sysctl -w fs.inotify.max_user_instances=1024", need, used, limit, err)
	}
	l := newLab(t, scaleCluster)
	t.Cleanup(func() { l.diagnose(t) })
	for i, masters := range []int{1, 3, 5, 3} {
		l.write(t, masters, 1)
		took := l.up(t)
		l.ready(t)
		if t.Failed() {
			t.FailNow()
		}
		l.voters(t, masters)
		nodes, err := l.client(t).CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
		if err != nil || len(nodes.Items) != masters+1 {
			t.Fatalf("%d masters and a worker: there are %d nodes (%v)", masters, len(nodes.Items), err)
		}
		l.noneOnMachinesGone(t)
		testSelfHosted(t, l)
		if i == 0 {
			l.keep(t, "with-one")
		}
		l.kept(t, "with-one", true)
		t.Logf("%d masters: %.1f s", masters, took.Seconds())
	}
	l.operates(t)
}

// noneOnMachinesGone waits till the controllers have removed the pods of machines that are no more, which takes
// them up to a minute.
func (l *lab) noneOnMachinesGone(t *testing.T) {
	t.Helper()
	there := map[string]bool{"": true} // not placed yet
	for _, m := range l.plan(t).Machines {
		there[m.Name] = true
	}
	eventually(t, 90*time.Second, func() error {
		pods, err := l.client(t).CoreV1().Pods(metav1.NamespaceAll).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			if !there[p.Spec.NodeName] {
				return fmt.Errorf("pod %s/%s is on %s, which is no more", p.Namespace, p.Name, p.Spec.NodeName)
			}
		}
		return nil
	})
}
