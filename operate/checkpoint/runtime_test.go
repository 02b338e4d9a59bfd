package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fakeRuntime answers as a container runtime does, with the real messages over real gRPC:
// what we read by hand is compared with what they are.
type fakeRuntime struct {
	cri.UnimplementedRuntimeServiceServer

	mu         sync.Mutex
	sandboxes  []*cri.PodSandbox
	containers []*cri.Container
	fail       error
	hang       bool
}

func startRuntime(t *testing.T) (*fakeRuntime, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "cri.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeRuntime{}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, f)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return f, socket
}

func (f *fakeRuntime) answer(ctx context.Context) error {
	f.mu.Lock()
	hang, fail := f.hang, f.fail
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return fail
}

func fits(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}

func (f *fakeRuntime) ListPodSandbox(ctx context.Context, r *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	if err := f.answer(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &cri.ListPodSandboxResponse{}
	for _, s := range f.sandboxes {
		if fits(s.Labels, r.GetFilter().GetLabelSelector()) {
			out.Items = append(out.Items, s)
		}
	}
	return out, nil
}

func (f *fakeRuntime) ListContainers(ctx context.Context, r *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	if err := f.answer(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &cri.ListContainersResponse{}
	for _, c := range f.containers {
		state := r.GetFilter().GetState()
		if (state == nil || state.State == c.State) && fits(c.Labels, r.GetFilter().GetLabelSelector()) {
			out.Containers = append(out.Containers, c)
		}
	}
	return out, nil
}

// add makes a pod with a container as the kubelet has the runtime make them.
func (f *fakeRuntime) add(namespace, container, uid, source string, state cri.ContainerState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	labels := map[string]string{criNamespace: namespace, criPod: uid, "io.kubernetes.pod.name": container + "-pod"}
	f.sandboxes = append(f.sandboxes, &cri.PodSandbox{
		Id: "sandbox-" + uid, Labels: labels, CreatedAt: 1 << 60,
		Metadata:    &cri.PodSandboxMetadata{Name: container + "-pod", Uid: uid, Namespace: namespace, Attempt: 300},
		Annotations: map[string]string{criSource: source, "kubernetes.io/config.seen": "x"},
	})
	own := map[string]string{criContainer: container}
	for k, v := range labels {
		own[k] = v
	}
	f.containers = append(f.containers, &cri.Container{
		Id: "container-" + uid, PodSandboxId: "sandbox-" + uid, State: state, Labels: own,
		Metadata: &cri.ContainerMetadata{Name: container}, Image: &cri.ImageSpec{Image: "i"}, CreatedAt: 1 << 60,
	})
}

func (f *fakeRuntime) remove(uid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sandboxes = slices.DeleteFunc(f.sandboxes, func(s *cri.PodSandbox) bool { return s.Id == "sandbox-"+uid })
	f.containers = slices.DeleteFunc(f.containers, func(c *cri.Container) bool { return c.Id == "container-"+uid })
}

func (f *fakeRuntime) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// TestRuntime protects that we understand what a runtime says: which containers run, and
// whether a pod is from a file or from the API.
func TestRuntime(t *testing.T) {
	f, socket := startRuntime(t)
	r, err := newRuntime("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.list(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	const runs, ended = cri.ContainerState_CONTAINER_RUNNING, cri.ContainerState_CONTAINER_EXITED
	f.add(namespace, "kube-apiserver", "u1", "api", runs)
	f.add(namespace, "kube-apiserver", "u2", "file", runs)
	f.add(namespace, "kube-scheduler", "u3", "file", ended)
	f.add("default", "kube-scheduler", "u4", "api", runs)
	f.add(namespace, "etcd", "u5", "file", runs)
	f.set(func() { f.sandboxes = f.sandboxes[:4] }) // u5's was not there yet
	got, err := r.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b running) int { return cmp.Compare(a.pod, b.pod) })
	want := []running{{"kube-apiserver", "u1", false}, {"kube-apiserver", "u2", true}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestRuntimeLarge protects from answers that do not come in one piece.
func TestRuntimeLarge(t *testing.T) {
	f, socket := startRuntime(t)
	r, err := newRuntime(socket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		f.add(namespace, "kube-apiserver", strings.Repeat("u", 100)+string(rune('a'+i%26))+strings.Repeat("x", i), "api", cri.ContainerState_CONTAINER_RUNNING)
	}
	if got, err := r.list(t.Context()); err != nil || len(got) != 500 {
		t.Errorf("%d containers, %v", len(got), err)
	}
}

// TestRuntimeDoesNotAnswer protects that no answer is an error and never "nothing runs",
// that a runtime which hangs does not hold us for ever, and that the next one is found.
func TestRuntimeDoesNotAnswer(t *testing.T) {
	r, err := newRuntime(filepath.Join(t.TempDir(), "none.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.list(t.Context()); err == nil {
		t.Error("no error without a runtime")
	}
	f, socket := startRuntime(t)
	if r, err = newRuntime(socket); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.fail = errors.New("out of order") })
	if _, err := r.list(t.Context()); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("error %v", err)
	}
	f.set(func() { f.fail, f.hang = nil, true })
	began := time.Now()
	if _, err := r.list(t.Context()); err == nil || time.Since(began) > 10*runtimeTimeout {
		t.Errorf("error %v after %s", err, time.Since(began))
	}
	f.set(func() { f.hang = false })
	if _, err := r.list(t.Context()); err != nil {
		t.Errorf("after it hung: %v", err)
	}
	if _, err := newRuntime("run/x.sock"); err == nil {
		t.Error("a relative path is no socket")
	}
}

// FuzzMessage protects from a panic, whatever a runtime sends.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x08, 0x01})
	f.Add(filter(containerFilterLabels, containerRunning))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := message(data)
		if err != nil {
			return
		}
		m.first(1)
		m.strings(listItems)
	})
}
