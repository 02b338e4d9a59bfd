package checkpoint

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// machineUnderTest is a checkpointer with an API and a runtime that are not real, on real
// folders, at a time that the test says.
type machineUnderTest struct {
	*checkpointer
	t       *testing.T
	api     *fakeAPI
	runtime *fakeRuntime
	now     time.Time
	log     *bytes.Buffer
	socket  string
}

const podsPath = "/api/v1/namespaces/kube-system/pods"

func newMachine(t *testing.T) *machineUnderTest {
	t.Helper()
	i := newIssuer(t)
	i.kubelet("system:node:m1")
	m := &machineUnderTest{t: t, api: startAPI(t, i), now: time.Now(), log: &bytes.Buffer{}}
	f, socket := startRuntime(t)
	m.runtime, m.socket = f, socket
	r, err := newRuntime(socket)
	if err != nil {
		t.Fatal(err)
	}
	disk := newDisk(t)
	m.checkpointer = newCheckpointer(&observer{
		components: components(), node: "m1", label: "role/master",
		api: newAPI(i, m.api.url, m.api.url), runtime: r, disk: disk,
	}, slog.New(slog.NewTextHandler(m.log, nil)))
	m.api.objects[nodePath] = map[string]any{"metadata": map[string]any{"labels": map[string]any{"role/master": ""}}}
	m.pods()
	return m
}

// pods are what the API has.
func (m *machineUnderTest) pods(pods ...*corev1.Pod) {
	m.api.set(func() {
		items := []any{}
		for _, p := range pods {
			items = append(items, p)
			m.api.objects[podsPath+"/"+p.Name] = p
		}
		m.api.objects[podsPath] = map[string]any{"items": items}
		m.api.objects["/api/v1/namespaces/kube-system/configmaps/policy"] = map[string]any{"data": map[string]string{"a.yaml": "a", "b.yaml": "b"}}
		m.api.objects["/api/v1/namespaces/kube-system/configmaps/settings"] = map[string]any{"data": map[string]string{"MOTTO": "m"}}
		m.api.objects["/api/v1/namespaces/kube-system/secrets/keys"] = map[string]any{"data": map[string][]byte{"tls.key": []byte("K"), "tls.crt": []byte("of K")}}
	})
}

// server is this machine's real API server, ready or not.
func (m *machineUnderTest) server(ready bool) *corev1.Pod {
	pod := readPod(m.t, "testdata/pod-volumes.yaml")
	pod.Spec.NodeName = "m1"
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}
	if ready {
		pod.Status.Conditions[0].Status = corev1.ConditionTrue
	}
	return pod
}

// after turns the loop as often as it would in that time.
func (m *machineUnderTest) after(d time.Duration) {
	m.t.Helper()
	for end := m.now.Add(d); m.now.Before(end); {
		m.now = m.now.Add(every)
		m.turn(m.t.Context(), m.now)
	}
}

func (m *machineUnderTest) expect(what string, want stored) {
	m.t.Helper()
	checkpoint, active, err := m.disk.Has("kube-apiserver")
	if got := (stored{checkpoint, active}); err != nil || got != want {
		m.t.Fatalf("%s: on disk is %+v, %v, want %+v\n%s", what, got, err, want, m.log)
	}
}

// TestLifeOfAServer protects the whole way, from what the API and the runtime say to what
// is on disk: a checkpoint of the real pod, a stand-in when it is gone, and back.
func TestLifeOfAServer(t *testing.T) {
	m := newMachine(t)
	running := cri.ContainerState_CONTAINER_RUNNING
	pod := m.server(false)
	m.pods(pod)
	m.runtime.add(namespace, "kube-apiserver", string(pod.UID), "api", running)
	m.after(5 * time.Second)
	m.expect("while the real pod starts", stored{})
	m.pods(m.server(true))
	m.after(3 * time.Second)
	m.expect("the real pod is ready", stored{checkpoint: true})
	if value, err := holds(t, m.disk.checkpoint("kube-apiserver")); err != nil || value != "K" {
		t.Fatalf("%q, %v", value, err)
	}

	m.runtime.remove(string(pod.UID))
	m.api.set(func() { m.api.status = 503 })
	m.after(3 * time.Second)
	m.expect("no API for less than three seconds", stored{checkpoint: true})
	m.after(time.Second)
	m.expect("no API", stored{checkpoint: true, active: true})

	m.runtime.add(namespace, "kube-apiserver", "static", "file", running)
	m.api.set(func() { m.api.status = 0 })
	m.runtime.add(namespace, "kube-apiserver", string(pod.UID), "api", running)
	m.api.set(func() { m.api.unready = true })
	m.after(10 * time.Second)
	m.expect("the pod is ready by the API, but does not say so itself", stored{checkpoint: true, active: true})
	m.pods(m.server(false))
	m.api.set(func() { m.api.unready = false })
	m.after(3 * time.Second)
	m.expect("it says so, and the API will be told later", stored{checkpoint: true})

	for _, want := range []string{
		"the stand-in is started: the real pod does not run, and no API server answers",
		"the stand-in is ended: the real pod is ready",
		"the checkpoint is that of the real pod now",
	} {
		if n := strings.Count(m.log.String(), `msg="`+want); n != 1 {
			t.Errorf("%q is logged %d times:\n%s", want, n, m.log)
		}
	}
}

// TestUnknownIsKept protects from acting on silence: of the runtime, of an API that refuses
// to tell, of a disk that cannot be read.
func TestUnknownIsKept(t *testing.T) {
	for name, silence := range map[string]func(m *machineUnderTest){
		"runtime": func(m *machineUnderTest) {
			m.runtime.set(func() { m.runtime.fail = io.ErrUnexpectedEOF })
			m.api.set(func() { m.api.status = 503 })
		},
		"refusal": func(m *machineUnderTest) { m.api.set(func() { m.api.status = 403 }) },
		"disk": func(m *machineUnderTest) {
			m.api.set(func() { m.api.status = 503 })
			m.disk.Manifests = filepath.Join(m.disk.checkpoint("kube-apiserver"), "not a folder")
		},
	} {
		m := newMachine(t)
		mustWrite(t, m.disk, "kube-apiserver", made(t, m.disk, "v"))
		manifests := m.disk.Manifests
		silence(m)
		m.after(30 * time.Second)
		m.disk.Manifests = manifests
		m.expect(name, stored{checkpoint: true})
	}
}

// TestOnlyThePodThatRuns protects a checkpoint from a pod of which the API says that it is
// ready while another one runs, and from being written where the disk cannot be read.
func TestOnlyThePodThatRuns(t *testing.T) {
	for name, test := range map[string]struct {
		uid    string
		broken bool
		want   stored
	}{
		"it runs":                {string(newMachine(t).server(true).UID), false, stored{checkpoint: true}},
		"another one runs":       {"other", false, stored{}},
		"the disk is unreadable": {string(newMachine(t).server(true).UID), true, stored{}},
	} {
		m := newMachine(t)
		m.pods(m.server(true))
		m.runtime.add(namespace, "kube-apiserver", test.uid, "api", cri.ContainerState_CONTAINER_RUNNING)
		manifests := m.disk.Manifests
		if test.broken {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			m.disk.Manifests = filepath.Join(file, "x")
		}
		m.after(5 * time.Second)
		m.disk.Manifests = manifests
		m.expect(name, test.want)
	}
}

// TestRefreshFollowsContents protects that a checkpoint does not grow old under a pod that
// stays: its config map's new contents are on disk within a minute or so.
func TestRefreshFollowsContents(t *testing.T) {
	m := newMachine(t)
	pod := m.server(true)
	m.pods(pod)
	m.runtime.add(namespace, "kube-apiserver", string(pod.UID), "api", cri.ContainerState_CONTAINER_RUNNING)
	m.after(2 * time.Second)
	m.api.set(func() {
		m.api.objects["/api/v1/namespaces/kube-system/secrets/keys"] = map[string]any{"data": map[string][]byte{"tls.key": []byte("L"), "tls.crt": []byte("of L")}}
	})
	m.after(refreshEvery + 2*time.Second)
	if value, err := holds(t, m.disk.checkpoint("kube-apiserver")); err != nil || value != "L" {
		t.Errorf("%q, %v", value, err)
	}
	entries, err := os.ReadDir(m.disk.Dir("kube-apiserver"))
	if err != nil || len(entries) != 1 {
		t.Errorf("the old contents are left: %v, %v", entries, err)
	}
}

// TestCalmAsksLess protects the API server from being asked twice a second by every master
// when there is nothing to find out, and that a container that ends is noticed at once.
func TestCalmAsksLess(t *testing.T) {
	m := newMachine(t)
	pod := m.server(true)
	m.pods(pod)
	m.runtime.add(namespace, "kube-apiserver", string(pod.UID), "api", cri.ContainerState_CONTAINER_RUNNING)
	leases := func() {
		for _, c := range []string{"kube-scheduler", "kube-controller-manager"} {
			m.api.set(func() {
				m.api.objects["/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/"+c] = map[string]any{"spec": map[string]any{"holderIdentity": "m2_x", "renewTime": m.now.String()}}
			})
		}
	}
	asked := func(d time.Duration) (n int) {
		m.api.set(func() { m.api.asked = nil })
		for end := m.now.Add(d); m.now.Before(end); {
			leases()
			m.after(every)
		}
		m.api.set(func() {
			for _, a := range m.api.asked {
				if strings.HasSuffix(a, podsPath) {
					n++
				}
			}
		})
		return n
	}
	asked(5 * time.Second)
	if n := asked(20 * time.Second); n > 11 {
		t.Errorf("asked %d times in 20 s while all was well", n)
	}
	m.runtime.remove(string(pod.UID))
	if n := asked(every); n != 1 {
		t.Errorf("asked %d times when the container had ended", n)
	}
}
