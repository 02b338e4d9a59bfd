package console_test

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/console/internal/stage"
	"craton.dev/craton/console/kube"
	"craton.dev/craton/console/signin"
)

// TestFigures measures a Console, as a process of its own, with 5,000 pods in view and twenty
// people who have a page of them open and look at others: its memory, and how long pages take
// beside what the API itself takes. It is run by hand, with CRATON_FIGURES=1, on a host that
// does nothing else.
func TestFigures(t *testing.T) {
	if os.Getenv("CRATON_FIGURES") == "" {
		t.Skip("CRATON_FIGURES is not set")
	}
	const pods, people = 5000, 20
	s := stage.Start(t)
	s.Bind(t, "admins", "cluster-admin")
	s.Cluster(t)
	s.ManyPods(t, pods)
	p := &played{Stage: s}
	pid := p.process(t)
	var all []*visitor
	for range people {
		all = append(all, p.visitor(t, "ada"))
	}
	t.Logf("%d people signed in: %s", people, memory(t, pid))

	// Everybody has a page of pods open, which some change all the time.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for _, v := range all {
		go v.follow(ctx, "/live?of=pods")
	}
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			_ = s.Pod(ctx, "team-0", fmt.Sprintf("new-%d", i), "demo-worker-1", nil) // ends with the test
			time.Sleep(200 * time.Millisecond)
		}
	}()
	pages := []string{"/workloads", "/workloads?page=40", "/workloads?ns=team-1", "/workloads?ns=team-1&q=0499", "/workloads?q=04999", "/", "/machines", "/contract"}
	server := find(t, os.Getenv("CRATON_APISERVER"))
	began, ours, theirs := time.Now(), cpu(t, pid), cpu(t, server)
	times := map[string][]time.Duration{}
	var mu sync.Mutex
	var work sync.WaitGroup
	for i, v := range all {
		work.Go(func() {
			for n := range 40 {
				time.Sleep(rand.N(2 * reading)) // nobody waits for the others, and they do not come at the same moment
				path := pages[(i+n)%len(pages)]
				began := time.Now()
				r, _ := v.page(t, path)
				took := time.Since(began)
				if r.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", path, r.Status)
				}
				mu.Lock()
				times[path] = append(times[path], took)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	stop()
	t.Logf("after that: %s", memory(t, pid))
	figure(t, "console memory", kibibytes(t, pid, "VmHWM")*1024)
	spent := time.Since(began).Seconds()
	t.Logf("meanwhile %.0f%% of a processor by the Console, %.0f%% by the API server", (cpu(t, pid)-ours)/spent/10, (cpu(t, server)-theirs)/spent/10)
	var every []time.Duration
	for _, path := range pages {
		every = append(every, times[path]...)
		t.Logf("%-32s %s", path, spread(times[path]))
	}
	t.Logf("%-32s %s", "all pages", spread(every))
	figure(t, "console p99", share(every, 0.99).Seconds())

	// What the API itself takes for the same question, and the page beside it, in turns.
	c, err := kube.Connect(s.URL, s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	ada := c.As(s.Provider.Token("ada"))
	var api, page []time.Duration
	for range 100 {
		began := time.Now()
		if _, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Namespace: "team-1", Take: 50}); err != nil {
			t.Fatal(err)
		}
		api = append(api, time.Since(began))
		began = time.Now()
		all[0].page(t, "/workloads?ns=team-1")
		page = append(page, time.Since(began))
	}
	t.Logf("%-32s %s", "the API, 50 of a namespace", spread(api))
	t.Logf("%-32s %s", "that as a page", spread(page))
	figure(t, "console above the API", (share(page, 0.99) - share(api, 0.99)).Seconds())

	// Beside the clock, how much processor a page takes: of that, other work on the host takes nothing away.
	for _, path := range pages {
		ours, theirs := cpu(t, pid), cpu(t, server)
		const n = 20
		for range n {
			all[0].page(t, path)
		}
		t.Logf("%-32s %.1f ms of processor by the Console, %.1f ms by the API server", path, (cpu(t, pid)-ours)/n, (cpu(t, server)-theirs)/n)
	}
}

// reading is how long somebody looks at a page before the next one, in the mean.
const reading = 2 * time.Second

// figure logs a value for the table of figures, which reads it (make bench).
func figure(t *testing.T, name string, value float64) { t.Logf("figure: %s = %g", name, value) }

// cpu is how much processor a process has used, in milliseconds.
func cpu(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var user, system float64
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &system)
	return (user + system) * 10 // the kernel counts in hundredths of a second
}

// share is the time that this share of them takes at most.
func share(times []time.Duration, part float64) time.Duration {
	slices.Sort(times)
	return times[min(len(times)-1, int(float64(len(times))*part))]
}

func spread(times []time.Duration) string {
	at := func(part float64) time.Duration { return share(times, part).Round(100 * time.Microsecond) }
	return fmt.Sprintf("median %v, p99 %v, most %v, of %d", at(0.5), at(0.99), at(1), len(times))
}

// process starts craton-console as a cluster does, and returns its process.
func (p *played) process(t *testing.T) int {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "craton-console")
	if _, err := (command.Cmd{Name: "go", Args: []string{"build", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, "../cmd/craton-console"}, Env: []string{"CGO_ENABLED=0"}, Timeout: 10 * time.Minute}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := make([]byte, signin.KeyBytes)
	cryptorand.Read(key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	p.URL = "https://" + address
	cert := stage.SelfSigned(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		_, _ = command.Cmd{ // it is ended by the test
			Name: program, Timeout: time.Hour, Attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
			Env: []string{"GOGC=50", "GOMEMLIMIT=32MiB"},
			Args: []string{"--listen=" + address, "--tls-cert=" + file("cert", stage.CertificatePEM(cert)), "--tls-key=" + file("key", stage.KeyPEM(t, cert)),
				"--cluster=demo", "--url=" + p.URL, "--api=" + p.Stage.URL, "--api-ca=" + p.CAFile, "--issuer=" + p.Provider.URL, "--issuer-ca=" + p.Provider.CAFile,
				"--client-id=" + stage.Audience, "--client-secret-file=" + file("secret", []byte(stage.ClientSecret)), "--key-file=" + file("cookies", key)},
		}.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	for range 200 {
		time.Sleep(50 * time.Millisecond)
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return find(t, program)
		}
	}
	t.Fatal("the Console does not start")
	return 0
}

// find is the process of a program.
func find(t *testing.T, program string) int {
	t.Helper()
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == program {
			var pid int
			fmt.Sscanf(link, "/proc/%d/exe", &pid)
			return pid
		}
	}
	t.Fatalf("%s does not run", program)
	return 0
}

// memory is what a process has resident now, and had at most.
func memory(t *testing.T, pid int) string {
	t.Helper()
	var out []string
	for _, field := range []string{"VmHWM", "VmRSS", "RssAnon", "RssFile"} {
		out = append(out, fmt.Sprintf("%s %.1f MiB", field, kibibytes(t, pid, field)/1024))
	}
	return strings.Join(out, ", ")
}

// kibibytes is a field of what the kernel says of a process.
func kibibytes(t *testing.T, pid int, field string) (kib float64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			fmt.Sscan(value, &kib)
		}
	}
	return kib
}

// follow does what an open page does: asks again for its part when it is told.
func (v *visitor) follow(ctx context.Context, path string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+path, nil)
	if err != nil {
		return
	}
	r.Header.Set("Accept", "text/event-stream")
	stream := *v.Client
	stream.Timeout = 0
	answer, err := stream.Do(r)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := answer.Body.Read(buffer)
		if err != nil {
			return
		}
		if strings.Contains(string(buffer[:n]), "changed") {
			part, _ := http.NewRequestWithContext(ctx, http.MethodGet, v.url+"/workloads?"+url.Values{"ns": {"team-2"}}.Encode(), nil)
			part.Header.Set("HX-Request", "true")
			part.Header.Set("HX-Target", "live")
			if answer, err := v.Do(part); err == nil {
				answer.Body.Close()
			}
		}
	}
}
