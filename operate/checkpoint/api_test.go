package checkpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer makes certificates of one authority, in files as a machine has them.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// ca is the authority's file, dir the kubelet's folder.
	ca, dir string
	serial  int64
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, dir: t.TempDir()}
	i.ca = filepath.Join(i.dir, "ca.crt")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	i.serial = 1
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &i.key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	if i.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	i.write(i.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return i
}

func (i *issuer) write(file string, data []byte) {
	i.t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// issue is a certificate and its key in one PEM.
func (i *issuer) issue(name string) []byte {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.serial++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(i.serial), Subject: pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(aliased)}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, i.cert, &key.PublicKey, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
}

// kubelet puts a certificate where the kubelet has its current one: behind a link.
func (i *issuer) kubelet(name string) {
	i.t.Helper()
	file := filepath.Join(i.dir, fmt.Sprintf("kubelet-client-%d.pem", i.serial))
	i.write(file, i.issue(name))
	link := filepath.Join(i.dir, currentCertificate)
	os.Remove(link)
	if err := os.Symlink(file, link); err != nil {
		i.t.Fatal(err)
	}
}

// fakeAPI is an API server with these objects, as JSON by path. It notes who asks.
type fakeAPI struct {
	mu      sync.Mutex
	objects map[string]any
	status  int // for all, unless 0
	hang    bool
	unready bool     // its /readyz says so
	asked   []string // "who path"
	url     string
	server  *httptest.Server
}

func startAPI(t *testing.T, i *issuer) *fakeAPI {
	t.Helper()
	f := &fakeAPI{objects: map[string]any{}}
	f.server = httptest.NewUnstartedServer(f)
	both := i.issue("kube-apiserver")
	pair, err := tls.X509KeyPair(both, both)
	if err != nil {
		t.Fatal(err)
	}
	f.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	f.url = f.server.URL
	return f
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	who := ""
	if len(r.TLS.PeerCertificates) > 0 {
		who = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	f.asked = append(f.asked, who+" "+r.URL.Path)
	status, hang, unready := f.status, f.hang, f.unready
	object, ok := f.objects[r.URL.Path]
	data, err := json.Marshal(object)
	f.mu.Unlock()
	switch {
	case hang:
		<-r.Context().Done()
	case status != 0:
		http.Error(w, "refused", status)
	case r.URL.Path == "/readyz" && unready:
		http.Error(w, "not yet", http.StatusInternalServerError)
	case r.URL.Path == "/readyz":
		fmt.Fprint(w, "ok")
	case !ok || err != nil:
		http.Error(w, "no such object", http.StatusNotFound)
	default:
		w.Write(data)
	}
}

func (f *fakeAPI) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// newAPI gives an answer far more time than it needs, since the host of a test may be busy: where
// none comes, a test says how long that is.
func newAPI(i *issuer, own, name string) *api {
	return &api{own: own, real: own, name: name, ca: i.ca, certificates: i.dir, node: "m1", timeout: 20 * time.Second}
}

const nodePath = "/api/v1/nodes/m1"

// TestReach protects what an answer, or none, says about the API: only silence and broken
// servers are "unreachable", on which stand-ins are started.
func TestReach(t *testing.T) {
	i := newIssuer(t)
	i.kubelet("system:node:m1")
	own, other := startAPI(t, i), startAPI(t, i)
	stranger := startAPI(t, newIssuer(t))
	for _, test := range []struct {
		name       string
		own, other int // 0 answers, -1 is away, -2 hangs, -3 is a stranger's
		want       reached
	}{
		{"both answer", 0, 0, answers},
		{"own is away", -1, 0, answers},
		{"own hangs", -2, 0, answers},
		{"own is broken", 500, 0, answers},
		{"both are away", -1, -1, unreachable},
		{"both hang", -2, -2, unreachable},
		{"broken and away", 503, -1, unreachable},
		{"a stranger has the address", -3, -1, unreachable},
		{"who are you", 401, 401, unknown},
		{"not for you", 403, -1, unknown},
		{"away, and not for you", -1, 403, unknown},
		{"too many requests", 429, 429, unknown},
	} {
		urls := [2]string{}
		for j, how := range []int{test.own, test.other} {
			f := []*fakeAPI{own, other}[j]
			f.set(func() {
				f.objects[nodePath] = map[string]any{}
				f.status, f.hang = max(how, 0), how == -2
			})
			urls[j] = f.url
			switch how {
			case -1:
				urls[j] = "https://127.0.0.1:1"
			case -3:
				urls[j] = stranger.url
			}
		}
		a := newAPI(i, urls[0], urls[1])
		if test.own == -2 {
			a.timeout = askTimeout
		}
		began := time.Now()
		_, err := a.membership(t.Context(), "master")
		if test.want == answers && err != nil { // the other's answer may have taken too long
			_, err = a.membership(t.Context(), "master")
		}
		if got := reach(err); got != test.want {
			t.Errorf("%s: %d, want %d (%v)", test.name, got, test.want, err)
		}
		if took := time.Since(began); test.own == -2 && took > 20*askTimeout { // four questions at most; a busy host may be late
			t.Errorf("%s: it took %s", test.name, took)
		}
	}
}

// TestNoCredentials protects a machine that has not joined yet: that says nothing about the
// API, and once it has joined, it is asked.
func TestNoCredentials(t *testing.T) {
	i := newIssuer(t)
	f := startAPI(t, i)
	f.objects[nodePath] = map[string]any{}
	a := newAPI(i, f.url, f.url)
	_, err := a.membership(t.Context(), "master")
	if reach(err) != unknown || !strings.Contains(err.Error(), "no certificate yet") {
		t.Errorf("%d, %v", reach(err), err)
	}
	i.kubelet("system:node:m1")
	if _, err := a.membership(t.Context(), "master"); err != nil {
		t.Error(err)
	}
	if len(a.ways) != 1 {
		t.Errorf("%d ways to one URL", len(a.ways))
	}
}

// TestRotation protects from the day on which the kubelet's certificate has been replaced:
// the next request is made with the new one, and a half-written one is waited over.
func TestRotation(t *testing.T) {
	i := newIssuer(t)
	f := startAPI(t, i)
	f.objects[nodePath] = map[string]any{}
	a := newAPI(i, f.url, f.url)
	link := filepath.Join(i.dir, currentCertificate)
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() { i.kubelet("old") }, "old"},
		{func() { i.kubelet("new") }, "new"},
		{func() { os.Remove(link); i.write(link, []byte("-----BEGIN")) }, "new"},
		{func() { i.kubelet("newest") }, "newest"},
	} {
		step.change()
		if _, err := a.membership(t.Context(), "master"); err != nil {
			t.Fatal(err)
		}
		f.set(func() {
			if got := f.asked[len(f.asked)-1]; got != step.want+" "+nodePath {
				t.Errorf("%q asked, want %s", got, step.want)
			}
		})
	}
}

// TestMembership protects what a Node says: while it is new it has no labels of its own
// yet, which is not the same as none.
func TestMembership(t *testing.T) {
	i := newIssuer(t)
	i.kubelet("system:node:m1")
	f := startAPI(t, i)
	a := newAPI(i, f.url, f.url)
	labels := map[string]any{"role/master": ""}
	fresh := map[string]any{"taints": []any{map[string]any{"key": uninitialized, "effect": "NoSchedule"}}}
	other := map[string]any{"taints": []any{map[string]any{"key": "role/master", "effect": "NoSchedule"}}}
	for _, test := range []struct {
		name string
		node any
		want membership
	}{
		{"none", nil, nodeUnknown},
		{"new", map[string]any{"spec": fresh}, nodeNew},
		{"new with labels", map[string]any{"metadata": map[string]any{"labels": labels}, "spec": fresh}, nodeNew},
		{"master", map[string]any{"metadata": map[string]any{"labels": labels}, "spec": other}, nodeMaster},
		{"worker", map[string]any{"metadata": map[string]any{"labels": map[string]any{"role/node": "true"}}}, nodeOther},
	} {
		f.set(func() {
			delete(f.objects, nodePath)
			if test.node != nil {
				f.objects[nodePath] = test.node
			}
		})
		got, err := a.membership(t.Context(), "role/master")
		if err != nil || got != test.want {
			t.Errorf("%s: %d, %v, want %d", test.name, got, err, test.want)
		}
	}
}

// TestLease protects how a lease is read: a renewal is a change, one that was given up is
// as good as none, and the machine of its holder is what stands before the last "_".
func TestLease(t *testing.T) {
	i := newIssuer(t)
	i.kubelet("system:node:m1")
	f := startAPI(t, i)
	a := newAPI(i, f.url, f.url)
	const path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
	read := func(holder, renewed string) (string, string) {
		f.set(func() {
			f.objects[path] = map[string]any{"spec": map[string]any{"holderIdentity": holder, "renewTime": renewed}}
		})
		version, machine, err := a.lease(t.Context(), "kube-scheduler")
		if err != nil {
			t.Fatal(err)
		}
		return version, machine
	}
	if version, _, err := a.lease(t.Context(), "kube-scheduler"); version != "" || err != nil {
		t.Errorf("none: %q, %v", version, err)
	}
	one, machine := read("m_1_77ab", "t1")
	if machine != "m_1" {
		t.Errorf("held on %q", machine)
	}
	if again, _ := read("m_1_77ab", "t1"); again != one {
		t.Error("the same lease is another version")
	}
	if renewed, _ := read("m_1_77ab", "t2"); renewed == one {
		t.Error("a renewal is not seen")
	}
	if other, _ := read("m_2_77ab", "t1"); other == one {
		t.Error("another holder is not seen")
	}
	if version, machine := read("", "t3"); version != "" || machine != "" {
		t.Errorf("given up: %q on %q", version, machine)
	}
	if _, machine := read("odd", "t4"); machine != "" {
		t.Errorf("a name that tells no machine is on %q", machine)
	}
}
