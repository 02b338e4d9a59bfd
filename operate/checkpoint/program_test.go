package checkpoint

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestBudget protects the machine from us: what the program keeps in memory beside a real
// API's answers and a runtime's, with the environment that its manifest gives it.
func TestBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	const budget = 15 << 10 // KiB resident
	program := filepath.Join(t.TempDir(), "craton-checkpointer")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "../../cmd/craton-checkpointer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := newMachine(t)
	pods := []*corev1.Pod{m.server(true)}
	m.runtime.add(namespace, "kube-apiserver", string(pods[0].UID), "api", cri.ContainerState_CONTAINER_RUNNING)
	for i := range 9 { // 100 KiB, as those of three masters
		p := m.server(true)
		p.Name, p.Spec.NodeName, p.Annotations = fmt.Sprintf("%s-%d", p.Name, i), "m2", map[string]string{"some": strings.Repeat("x", 10<<10)}
		pods = append(pods, p)
	}
	m.pods(pods...)
	run := exec.CommandContext(t.Context(), program, "--node=m1", "--api-own="+m.api.url, "--api="+m.api.url,
		"--ca="+m.observer.api.ca, "--certificates="+m.observer.api.certificates, "--runtime="+m.socket,
		"--manifests="+m.disk.Manifests, "--checkpoints="+m.disk.Checkpoints, "--healthz=127.0.0.1:0")
	run.Env = append(os.Environ(), "GOGC=50", "GOMEMLIMIT=12MiB")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { run.Process.Kill(); run.Wait() }()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if stored, _, err := m.disk.Has("kube-apiserver"); err == nil && stored {
			break
		}
	}
	m.expect("it has worked", stored{checkpoint: true})
	time.Sleep(5 * time.Second) // and goes on
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", run.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var resident int
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Sscan(value, &resident)
		}
	}
	t.Logf("%.1f MiB resident at most", float64(resident)/1024)
	if resident == 0 || resident > budget {
		t.Errorf("%d KiB resident at most, want %d", resident, budget)
	}
}

// TestRun protects the program's frame: bad flags are errors that name the flag, /healthz
// answers, and the end of the context is no error.
func TestRun(t *testing.T) {
	i := newIssuer(t)
	good := Options{
		APIOwn: "https://127.0.0.1:1", API: "https://localhost:1", CA: i.ca, Certificates: i.dir,
		Node: "m1", MasterLabel: "role/master", Manifests: t.TempDir(), Checkpoints: t.TempDir(),
		Runtime: "/nowhere.sock", Log: slog.New(slog.DiscardHandler),
	}
	for flag, change := range map[string]func(*Options){
		"--api-own": func(o *Options) { o.APIOwn = "https://master-1:443" },
		"--api":     func(o *Options) { o.API = "localhost:443" },
		"--runtime": func(o *Options) { o.Runtime = "run/x.sock" },
		"--healthz": func(o *Options) { o.Healthz = "nowhere" },
	} {
		o := good
		change(&o)
		if err := Run(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), flag+": ") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	good.Healthz = l.Addr().String()
	l.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- Run(ctx, good) }()
	healthy := func() error {
		r, err := http.Get("http://" + good.Healthz + "/healthz")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", r.StatusCode)
		}
		return nil
	}
	var last error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if last = healthy(); last == nil {
			break
		}
	}
	if last != nil {
		t.Errorf("/healthz: %v", last)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
