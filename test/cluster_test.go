package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/contract"
)

// TestCluster goes through the life of clusters in its order: each part builds on what
// the parts before have made.
func TestCluster(t *testing.T) {
	needHost(t)
	l := newLab(t, mainCluster)
	before := lookAtHost(t)
	part := func(name string, f func(*testing.T, *lab)) bool {
		return t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { l.diagnose(t) })
			f(t, l)
		})
	}
	part("up", testUp)
	if _, err := l.kubectl("get", "nodes"); err != nil {
		t.Fatalf("nothing more to try without a cluster: %v", err)
	}
	part("host unchanged while it runs", func(t *testing.T, _ *lab) {
		before.compare(t, "while a cluster runs", lookAtHost(t), unchanged...)
	})
	part("workload", testWorkload)
	part("shut ports", testShutPorts)
	part("open and shut again", testOpenAndShut)
	part("workers come and go", testScale)
	part("every port", testEveryPort)
	part("sockets", testSockets)
	part("rules", testRules)
	part("proof", testProof)
	part("power off", testPowerOff)
	part("killed", testKilled)
	part("cloud-init", testCloudInit)
	part("refused", testRefused)
	part("console", testConsole)
	t.Run("down", func(t *testing.T) { testDown(t, l, before) })
}

// testUp protects the main promise: one command, and the cluster is ready, with the labels
// and taints that the document asks for; run again it does nothing, and quickly.
func testUp(t *testing.T, l *lab) {
	l.write(t, 1, 2)
	l.up(t)
	l.ready(t)
	l.labels(t)
	l.runsNoMore(t)
	if took := l.up(t); took > 3*time.Second {
		t.Errorf("up with nothing to do took %s: expected less than 3 s", took)
	}
}

// runsNoMore protects what the document says of a worker: the container runtime and the kubelet are
// all that runs on it, beside the system's own journal; the rest are pods.
func (l *lab) runsNoMore(t *testing.T) {
	t.Helper()
	worker := l.plan(t).OfRole(contract.Worker)[0].Name
	out, err := l.craton("ssh", "--cluster", l.name, worker, "--", "systemctl", "list-units", "--type=service", "--state=running", "--no-legend", "--plain")
	if err != nil {
		t.Fatal(err)
	}
	var running []string
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		running = append(running, name)
	}
	if want := []string{"containerd.service", "kubelet.service", "systemd-journald.service"}; !slices.Equal(running, want) {
		t.Errorf("%s runs the services %q, expected %q", worker, running, want)
	}
}

// labels compares the nodes with the plan's machines.
func (l *lab) labels(t *testing.T) {
	t.Helper()
	nodes, err := l.client(t).CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := l.plan(t)
	if len(nodes.Items) != len(p.Machines) {
		t.Errorf("there are %d nodes, planned are %d", len(nodes.Items), len(p.Machines))
	}
	for _, m := range p.Machines {
		found := false
		for _, n := range nodes.Items {
			if n.Name != m.Name {
				continue
			}
			found = true
			if len(m.Labels) == 0 {
				t.Errorf("the plan has no label for %s", m.Name)
			}
			for key, want := range m.Labels {
				if got, ok := n.Labels[key]; !ok || got != want {
					t.Errorf("label %s of %s is %q (there: %t), planned is %q", key, m.Name, got, ok, want)
				}
			}
			for key := range n.Labels {
				if _, planned := m.Labels[key]; strings.HasPrefix(key, "node-role.kubernetes.io/") && !planned {
					t.Errorf("%s has the role label %s, which is not planned", m.Name, key)
				}
			}
		}
		if !found {
			t.Errorf("there is no node %s", m.Name)
		}
		// The taint of a node that was not ready goes some seconds after it is; every pod
		// tolerates it so long.
		eventually(t, 15*time.Second, func() error {
			n, err := l.client(t).CoreV1().Nodes().Get(context.Background(), m.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			var taints []string
			for _, taint := range n.Spec.Taints {
				taints = append(taints, taint.ToString())
			}
			if fmt.Sprint(taints) != fmt.Sprint(m.Taints) {
				return fmt.Errorf("taints of %s are %v, planned are %v", m.Name, taints, m.Taints)
			}
			return nil
		})
	}
}

// testScale protects changes of the file: a worker that is added joins, and of one that is
// removed nothing is left, while what ran on it goes on elsewhere.
func testScale(t *testing.T, l *lab) {
	l.write(t, 1, 3)
	l.up(t)
	l.ready(t)
	l.labels(t)
	gone := l.plan(t).OfRole(contract.Worker)[1:]
	l.write(t, 1, 1)
	l.up(t)
	l.ready(t)
	l.labels(t)
	now := lookAtHost(t)
	for _, m := range gone {
		for kind, things := range now {
			for thing := range things {
				// Programs of the surroundings that name a machine only know its address.
				if strings.Contains(thing, m.Name) && kind != "files" {
					t.Errorf("%s is removed, but there is still, of the host's %s, %s", m.Name, kind, thing)
				}
			}
		}
		if _, err := os.Stat(filepath.Join(bootstrap.StateRoot, l.name, "local", "machines", m.Name)); !os.IsNotExist(err) {
			t.Errorf("the disk of %s is still there (%v)", m.Name, err)
		}
	}
	eventually(t, 90*time.Second, func() error { return l.served(t, replicas) })
}

// testPowerOff protects from a machine that loses power: status says so, up brings it back,
// and what ran on it is served again. Ready has to mean the machine as it is now, not as
// it was before.
func testPowerOff(t *testing.T, l *lab) {
	worker := l.plan(t).OfRole(contract.Worker)[0]
	if err := l.open(t).Platform.PowerOff(context.Background(), worker.Name); err != nil {
		t.Fatal(err)
	}
	off := time.Now()
	out, err := l.craton("status", "--cluster", l.name)
	if err == nil || !strings.Contains(out, "off") {
		t.Errorf("%s is off, but status says (%v):\n%s", worker.Name, err, out)
	}
	// A machine that keeps what it loses with its power takes a minute to sort that out.
	if took := l.up(t); took > 30*time.Second {
		t.Errorf("up of one machine that was off took %s: expected less than 30 s", took)
	}
	l.ready(t)
	lease, err := l.client(t).CoordinationV1().Leases("kube-node-lease").Get(context.Background(), worker.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !renewed(lease, off) {
		t.Errorf("up calls %s ready, but its kubelet has not reported since the power was off", worker.Name)
	}
	eventually(t, 90*time.Second, func() error { return l.served(t, replicas) })
}

func renewed(l *coordinationv1.Lease, since time.Time) bool {
	return l.Spec.RenewTime != nil && l.Spec.RenewTime.After(since)
}

// testCloudInit protects the second first-boot format: the same cluster comes of it.
func testCloudInit(t *testing.T, _ *lab) {
	l := newReadyLab(t, cloudCluster, 1, 0, "firstBoot: cloud-init")
	l.labels(t)
}

// testRefused protects running clusters from files that cannot be applied: they are
// refused with the field's name, and nothing is touched.
func testRefused(t *testing.T, l *lab) {
	l.write(t, 1, 1, "podNetwork: 10.128.0.0/11")
	if _, err := l.craton("up", "--file", l.file); err == nil || !strings.Contains(err.Error(), "podNetwork") {
		t.Errorf("another pod network on a running cluster: %v", err)
	}
	l.write(t, 1, 1)
	l.ready(t)
	if took := l.up(t); took > 3*time.Second {
		t.Errorf("up after a refused file took %s", took)
	}
}

// testDown protects the host: of a cluster nothing is left but the cache.
func testDown(t *testing.T, l *lab, before host) {
	began := time.Now()
	l.down(t)
	t.Logf("down took %.1f s", time.Since(began).Seconds())
	before.compare(t, "after down", lookAtHost(t))
	if _, err := l.craton("status", "--cluster", l.name); err == nil {
		t.Error("status knows a cluster that is gone")
	}
}

// drops are the fabric's dropped packets so far, from its log.
func (l *lab) drops(t *testing.T) []drop {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(bootstrap.StateRoot, l.name, "local", "log", "drops.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []drop
	for line := range strings.Lines(string(b)) {
		var d drop
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			continue // the last line is just being written
		}
		all = append(all, d)
	}
	return all
}
