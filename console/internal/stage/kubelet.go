package stage

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// LogEvery is how often the stage's containers write a line.
const LogEvery = 200 * time.Millisecond

// startKubelet starts what the API server asks for logs: of whichever container, they are
// some lines at once, and then one now and then. A line holds what would be markup.
func (s *Stage) startKubelet(t testing.TB) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		line := func(n int) {
			fmt.Fprintf(w, "2026-01-02T03:04:%02dZ %s: request %d of <b>somebody</b> served in %d ms\n", n%60, r.PathValue("pod"), n, n%7+1)
		}
		n := 0
		for ; n < 40; n++ {
			line(n)
		}
		if r.URL.Query().Get("follow") != "true" {
			return
		}
		for flush := http.NewResponseController(w).Flush; flush() == nil; n++ {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(LogEvery):
				line(n)
			}
		}
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.CloseClientConnections)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	s.kubelet = int32(port)
}
