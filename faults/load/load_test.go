package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"craton.dev/craton/faults/history"
)

// server is as much of an API server as the load uses. What it does wrong is set.
type server struct {
	mu      sync.Mutex
	objects map[string]object
	old     map[string]object // what was there before the last write
	version int
	random  *rand.Rand
	// breaks is how often, of a hundred, an answer does not arrive.
	breaks int
	// loses and stale are how often a write is acknowledged and not done, and an old value
	// is read.
	loses, stale int
	asked        int
}

func (s *server) chance(of int) bool { return s.random.IntN(100) < of }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.chance(s.breaks) {
		panic(http.ErrAbortHandler) // nothing was done
	}
	status, body := s.handle(r)
	if s.chance(s.breaks) {
		if s.chance(50) {
			panic(http.ErrAbortHandler) // and it was done
		}
		status, body = http.StatusInternalServerError, map[string]string{"message": "etcdserver: request timed out"}
	}
	w.Header().Set("Content-Type", asJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *server) handle(r *http.Request) (int, any) {
	at := r.URL.Path
	var sent object
	if r.Method != http.MethodGet && r.Method != http.MethodDelete {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			return http.StatusBadRequest, nil
		}
	}
	if r.Method == http.MethodPost {
		at += "/" + sent.Metadata.Name
	}
	name, isList := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	if isList {
		at += "/" + name
	}
	is, found := s.objects[at]
	switch r.Method {
	case http.MethodGet:
		if before, ok := s.old[at]; ok && s.chance(s.stale) {
			is = before
		}
		if isList {
			items := []object{}
			if found {
				items = append(items, is)
			}
			return http.StatusOK, map[string]any{"items": items}
		}
		if !found {
			return http.StatusNotFound, nil
		}
		return http.StatusOK, is
	case http.MethodDelete:
		delete(s.objects, at)
		return http.StatusOK, nil
	case http.MethodPost:
		if found {
			return http.StatusConflict, nil
		}
	case http.MethodPut:
		if !found {
			return http.StatusNotFound, nil
		}
		if sent.Metadata.ResourceVersion != is.Metadata.ResourceVersion {
			return http.StatusConflict, nil
		}
	case http.MethodPatch:
		if !found {
			return http.StatusNotFound, nil
		}
		sent.Metadata.Name = path.Base(at)
	}
	s.version++
	sent.Metadata.ResourceVersion = strconv.Itoa(s.version)
	if found && s.chance(s.loses) {
		return http.StatusOK, sent
	}
	s.old[at] = is
	if !found {
		delete(s.old, at)
	}
	s.objects[at] = sent
	return http.StatusOK, sent
}

// verdict runs the load on a server for a while.
func verdict(t *testing.T, s *server) (history.Verdict, Result) {
	t.Helper()
	s.objects, s.old, s.random = map[string]object{}, map[string]object{}, rand.New(rand.NewPCG(1, 1))
	web := httptest.NewUnstartedServer(s)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	l, err := Start(context.Background(), Options{Seed: 1, Run: "test", API: Target{
		URL: web.URL, Dial: (&net.Dialer{}).DialContext,
		TLS: &tls.Config{RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// For some seconds, and on a busy host till there is enough to decide about.
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		time.Sleep(3 * time.Second)
		s.mu.Lock()
		enough := s.asked > 200
		s.mu.Unlock()
		if enough {
			break
		}
	}
	s.mu.Lock()
	s.breaks, s.loses, s.stale = 0, 0, 0 // what was noted till now has to be enough
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := l.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.objects) > 0 {
		t.Errorf("the load leaves %d objects", len(s.objects))
	}
	return history.Check(r.Ops, time.Minute), r
}

// TestHistoriesOfAServer protects both ways: a right server that breaks connections and
// says "timed out" to what it has done passes; one that loses an acknowledged write, or
// reads what is no longer so, fails.
func TestHistoriesOfAServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		server *server
		passes bool
		loses  bool
	}{
		{"right", &server{}, true, false},
		{"right, with broken connections", &server{breaks: 15}, true, false},
		{"loses writes", &server{loses: 30}, false, true},
		{"reads old values", &server{stale: 40}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, r := verdict(t, c.server)
			if v.Passed() != c.passes {
				t.Errorf("passed: %v: %+v", v.Passed(), v)
			}
			if v.Acked < 20 || v.Reads < 20 {
				t.Errorf("the load has hardly asked anything: %+v", v)
			}
			ways := map[string]int{}
			for _, op := range r.Ops {
				ways[op.Via]++
			}
			for _, via := range []string{"get", "list", "create", "update"} {
				if ways[via] == 0 {
					t.Errorf("nobody asked by %s: %v", via, ways)
				}
			}
			if (v.Lost > 0) != c.loses {
				t.Errorf("%d lost", v.Lost)
			}
		})
	}
}

// TestOutcome protects from calling a write failed that may have been done, by which a
// checker would find lost writes where there are none, and overlook those that are.
func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		answer answer
		want   history.Outcome
	}{
		{answer{status: 200}, history.OK},
		{answer{status: 201}, history.OK},
		{answer{status: 409}, history.Refused},
		{answer{status: 404}, history.Refused},
		{answer{status: 403}, history.Failed},
		{answer{status: 429}, history.Failed},
		{answer{status: 500}, history.Unknown},
		{answer{status: 503}, history.Unknown},
		{answer{status: 504}, history.Unknown},
		{answer{err: context.DeadlineExceeded, sent: true}, history.Unknown},
		{answer{err: context.DeadlineExceeded}, history.Failed},
		{answer{status: 200, err: context.DeadlineExceeded, sent: true}, history.Unknown},
	} {
		if got := outcome(c.answer); got != c.want {
			t.Errorf("%+v: %s, expected %s", c.answer, got, c.want)
		}
	}
}

// TestGap protects the first column: the longest wait within the time that counts, also
// one that begins before or ends after.
func TestGap(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0) }
	waits := []Wait{
		{Began: at(-20), Took: 15 * time.Second},
		{Began: at(-1), Took: 4 * time.Second, Error: "this"},
		{Began: at(5), Took: 3 * time.Second},
		{Began: at(30), Took: 10 * time.Second},
	}
	if got := Gap(waits, at(0), at(20)); got.Error != "this" {
		t.Errorf("%+v", got)
	}
	if got := Gap(nil, at(0), at(20)); got.Took != 0 {
		t.Errorf("%+v", got)
	}
}

// TestProbeWaits protects from a gap that nobody sees: a server that is silent for a second
// and a half.
func TestProbeWaits(t *testing.T) {
	s := &server{objects: map[string]object{}, old: map[string]object{}, random: rand.New(rand.NewPCG(1, 1))}
	web := httptest.NewTLSServer(s)
	defer web.Close()
	target := Target{URL: web.URL, Dial: (&net.Dialer{}).DialContext,
		TLS: &tls.Config{RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}}
	for _, fresh := range []bool{true, false} {
		p := &probe{http: newHTTP(target, fresh), url: target.URL, path: probePath("x"), fresh: fresh}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { p.run(ctx); close(done) }()
		time.Sleep(time.Second)
		s.mu.Lock()
		silent := time.Now()
		time.Sleep(1500 * time.Millisecond)
		s.mu.Unlock()
		time.Sleep(500 * time.Millisecond)
		stop()
		<-done
		gap := Gap(p.waits, silent, time.Now())
		if gap.Took < 1300*time.Millisecond || gap.Took > 2500*time.Millisecond || gap.Fresh != fresh {
			t.Errorf("fresh %v: silent for 1.5 s, the probe saw %+v of %v", fresh, gap, p.waits)
		}
	}
}
