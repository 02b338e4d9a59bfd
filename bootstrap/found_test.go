package bootstrap

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Up has to tell a cluster its plan although something has ended that Up itself starts again
// a step later: a machine that was killed, a member of an etcd that is played. However long the
// API takes for it.
func TestTellPlan(t *testing.T) {
	c := lone(t)
	if err := c.loadSecrets(); err != nil {
		t.Fatal(err)
	}
	pair := c.Secrets.Pairs["kube-apiserver-demo-master-1"]
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	var applied atomic.Int32
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodPatch {
			io.WriteString(w, `{"apiVersion":"v1","kind":"List","items":[]}`)
			return
		}
		if applied.Add(1) == 2 {
			time.Sleep(3 * watchPause)
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	api.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	api.StartTLS()
	defer api.Close()
	at, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(c.Dir, "local", "run")
	for path, text := range map[string]string{
		filepath.Join(run, "api.port"):    at.Port(),
		filepath.Join(run, "etcd-1.pid"):  "4194305 1\n", // beyond the kernel's largest
		filepath.Join(c.Dir, foundedFile): "",
		filepath.Join(run, "gateway.pid"): "4194305 1\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c.Platform.Ended() == nil {
		t.Fatal("nothing has ended: the test shows nothing")
	}
	if err := c.tellPlan(t.Context()); err != nil {
		t.Error(err)
	}
	if !c.told || applied.Load() < 10 {
		t.Errorf("told: %t, with %d objects", c.told, applied.Load())
	}
}
