package checkpoint

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// storingStates are all that a decision about one that is storing depends on, at both sides
// of each bound.
func storingStates(each func(state)) {
	bools := []bool{false, true}
	for _, runtime := range bools {
		for _, real := range []processState{processAbsent, processRunning, processReady} {
			for _, api := range []reached{unknown, unreachable, answers} {
				for bits := range 1 << 6 {
					for _, node := range []membership{nodeUnknown, nodeNew, nodeMaster, nodeOther} {
						for _, a := range []ages{
							{},
							{Unreachable: noAPI - 1, Missing: missing - 1, Turn: settleStoring - 1, ReadyElsewhere: surelyReady - 1, Left: left - 1},
							{Unreachable: noAPI, Missing: missing, Turn: settleStoring, ReadyElsewhere: surelyReady, Left: left},
						} {
							each(state{
								Kind: storing, Runtime: runtime, Real: real, API: api, Node: node, Ages: a,
								Pod: bits&1 != 0, RealElsewhere: bits&2 != 0, Checkpoint: bits&4 != 0, Active: bits&8 != 0,
								SeenRunning: bits&16 != 0, Data: bits&32 != 0,
							})
						}
					}
				}
			}
		}
	}
}

// TestStoringInvariants protects the data's only holder, in every state: no stand-in is
// started beside a real pod that runs, without data unless the API answers, or without knowing that it is needed;
// none is ended but for a real pod that waits, or where the machine is no master; and where
// nothing else can bring the API back, one is started.
func TestStoringInvariants(t *testing.T) {
	count := 0
	storingStates(func(s state) {
		count++
		d := decide(s)
		fail := func(why string) { t.Errorf("%s: %+v\n%+v", why, d, s) }
		left := s.Node == nodeOther && !s.Pod && s.RealElsewhere && s.Real == processAbsent && s.API == answers
		switch d.Action {
		case activate:
			ends := s.API == answers && !s.Pod && s.Real != processAbsent && s.Node == nodeMaster
			unable := s.Real == processAbsent && s.API == answers && s.Pod && s.Ages.Missing >= missing
			alone := s.Real == processAbsent && s.API == unreachable
			if !s.Runtime || !s.Checkpoint || s.Active || !unable && (!s.Data || !ends && !alone) {
				fail("started")
			}
		case deactivate:
			if !s.Runtime || !s.Active || !s.Checkpoint || s.API != answers || s.Real != processAbsent && (!s.Pod || s.Ages.Turn < settleStoring) || s.Real == processAbsent && !left {
				fail("ended")
			}
		case remove:
			if !left || s.Active || !s.Runtime {
				fail("removed")
			}
		}
		if needed := s.Runtime && s.API == unreachable && s.Real == processAbsent && s.Data && s.Checkpoint && !s.Active &&
			(!s.SeenRunning || s.Ages.Unreachable >= noAPI); needed && d.Action != activate {
			fail("not started, and nobody else can")
		}
		if d.Reason == "" {
			fail("no reason")
		}
	})
	if count < 10000 {
		t.Errorf("only %d states", count)
	}
}

// TestTurn protects the quorum in a hand-over on several machines: one after another.
func TestTurn(t *testing.T) {
	pod := func(node string, standIn, ready bool) podNote {
		var p podNote
		p.Spec.NodeName = node
		p.Metadata.Labels = map[string]string{standInLabel: fmt.Sprint(standIn)}
		p.Status.Conditions = append(p.Status.Conditions, struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		}{string(corev1.PodReady), map[bool]string{true: "True", false: "False"}[ready]})
		return p
	}
	for name, test := range map[string]struct {
		pods []podNote
		want bool
	}{
		"alone":                            {[]podNote{pod("m2", true, true), pod("m2", false, false)}, true},
		"nothing is known":                 {nil, true},
		"the first of three":               {[]podNote{pod("m2", true, true), pod("m3", true, true), pod("m3", false, true)}, true},
		"one before it is not through":     {[]podNote{pod("m1", true, true), pod("m1", false, true), pod("m3", true, true)}, false},
		"one before it is through":         {[]podNote{pod("m1", false, true), pod("m3", true, true)}, true},
		"one before it starts":             {[]podNote{pod("m1", false, false), pod("m3", true, true)}, false},
		"one after it does not work":       {[]podNote{pod("m1", false, true), pod("m3", true, false)}, false},
		"one that is nowhere is no reason": {[]podNote{pod("", false, false)}, true},
	} {
		if got := turn("m2", test.pods); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

// TestLifeOfData protects the way of a self-hosted etcd through a loss of power: what first
// boot brought is not started without data, but is with them; it makes way when the real
// pod waits; and what is on disk then is that of the real pod.
func TestLifeOfData(t *testing.T) {
	m := newMachine(t)
	data := t.TempDir() + "/member"
	m.observer.components = append(m.observer.components, etcdComponent(data))
	m.trackers["etcd"] = &tracker{Kind: storing}
	expect := func(what string, want stored) {
		t.Helper()
		checkpoint, active, err := m.disk.Has("etcd")
		if got := (stored{checkpoint, active}); err != nil || got != want {
			t.Fatalf("%s: on disk is %+v, %v, want %+v\n%s", what, got, err, want, m.log)
		}
	}
	if _, err := m.disk.Write("etcd", checkpoint{Manifest: []byte("first boot's\n")}); err != nil {
		t.Fatal(err)
	}
	m.api.set(func() { m.api.status = 503 })
	m.after(10 * time.Second)
	expect("no data", stored{checkpoint: true})
	if err := m.disk.folder(data); err != nil {
		t.Fatal(err)
	}
	m.after(every)
	expect("data, and no API", stored{checkpoint: true, active: true})

	running := cri.ContainerState_CONTAINER_RUNNING
	m.runtime.add(namespace, "etcd", "static", "file", running)
	m.api.set(func() { m.api.status = 0 })
	pod := m.server(true)
	pod.Name, pod.Labels, pod.Spec.Containers[0].Name = "etcd-m1", map[string]string{componentLabel: "etcd"}, "etcd"
	other := pod.DeepCopy()
	other.Name, other.Spec.NodeName, other.UID = "etcd-m0", "m0", "other"
	other.Status.Conditions[0].Status = corev1.ConditionFalse
	m.pods(pod, other)
	m.after(10 * time.Second)
	expect("the kubelet has not started the real pod", stored{checkpoint: true, active: true})
	m.runtime.add(namespace, "etcd", string(pod.UID), "api", running)
	m.after(10 * time.Second)
	expect("the real pod waits, but another machine's does not work", stored{checkpoint: true, active: true})
	if kept, err := m.disk.Read("etcd"); err != nil || string(kept) == "first boot's\n" {
		t.Errorf("the checkpoint is still %q, %v", kept, err)
	}
	other.Status.Conditions[0].Status = corev1.ConditionTrue
	m.pods(pod, other)
	m.after(6 * time.Second)
	expect("all others work", stored{checkpoint: true})
	m.runtime.remove("static")
	m.after(10 * time.Second)
	expect("the real pod has them", stored{checkpoint: true})

	pod.DeletionTimestamp = &metav1.Time{Time: m.now}
	m.pods(pod, other)
	m.after(3 * time.Second)
	expect("somebody has deleted the real pod", stored{checkpoint: true, active: true})
	m.runtime.add(namespace, "etcd", "static", "file", running)
	m.after(20 * time.Second)
	expect("the real pod takes long to end", stored{checkpoint: true, active: true})
}

// TestEndsOnlyWhatIsRenewed protects from a loss of power after a hand-over: what is on disk
// then has to be the real pod, since what the last one needed may be gone.
func TestEndsOnlyWhatIsRenewed(t *testing.T) {
	m := newMachine(t)
	mustWrite(t, m.disk, "kube-apiserver", made(t, m.disk, "v"))
	if err := m.disk.Activate("kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	pod := m.server(true)
	m.pods(pod)
	m.runtime.add(namespace, "kube-apiserver", string(pod.UID), "api", cri.ContainerState_CONTAINER_RUNNING)
	full := fmt.Errorf("the disk is full")
	m.disk.step = func(what string) error {
		if full != nil && what[:5] == "write" {
			return full
		}
		return nil
	}
	m.after(20 * time.Second)
	m.expect("the checkpoint cannot be written", stored{checkpoint: true, active: true})
	full = nil
	m.after(10 * time.Second)
	m.expect("it can", stored{checkpoint: true})
}
