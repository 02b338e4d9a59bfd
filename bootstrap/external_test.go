package bootstrap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// etcdIdentities are the certificates of an external etcd.
func etcdIdentities(t *testing.T) *pki.Secrets {
	t.Helper()
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	s, err := pki.Ensure(t.TempDir(), &plan.Plan{Identities: []plan.Identity{
		{Name: "member", CA: "theirs", CommonName: "member", Addresses: loopback, Usages: []string{"server"}, Days: 1},
		{Name: "elsewhere", CA: "theirs", CommonName: "member", DNSNames: []string{"elsewhere"}, Usages: []string{"server"}, Days: 1},
		{Name: "client", CA: "theirs", CommonName: "client", Usages: []string{"client"}, Days: 1},
	}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// etcdServer answers as a member of etcd does (what it does is tried with a real one in the
// tests of whole clusters), with the other certificates that a real one is not given there.
func etcdServer(t *testing.T, s *pki.Secrets, identity, health, id, keys string) (endpoint string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if health != "true" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintf(w, `{"health":%q,"reason":"RAFT NO LEADER"}`, health)
	})
	mux.HandleFunc("POST /v3/maintenance/status", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"header":{"cluster_id":%q}}`, id)
	})
	mux.HandleFunc("POST /v3/kv/range", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, keys) })
	pair, err := tls.X509KeyPair(s.Pairs[identity].Cert, s.Pairs[identity].Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Authorities["theirs"].Cert)
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// A cluster on an etcd that is not there, is another one than its certificates are for, or
// belongs to another cluster, would fail later and less clearly, or harm the other one.
func TestAskEtcd(t *testing.T) {
	s, other := etcdIdentities(t), etcdIdentities(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "https://" + l.Addr().String()
	l.Close()
	const none, some = `{"header":{}}`, `{"kvs":[{"key":"L3JlZ2lzdHJ5L3BvZHMvYQ=="}],"count":"1"}`
	good := etcdServer(t, s, "member", "true", "11", none)
	for _, c := range []struct {
		name      string
		endpoints []string
		secrets   *pki.Secrets // whose client certificate is shown, ours where nil
		authority *pki.Secrets // whose authority is believed, ours where nil
		empty     bool
		silent    int
		refuse    []string
	}{
		{name: "one that works", endpoints: []string{good}, empty: true},
		{name: "one of two is away", endpoints: []string{nobody, good}, silent: 1},
		{name: "nobody is there", endpoints: []string{nobody}, silent: 1, refuse: []string{"endpoints[0]", nobody, "connection refused"}},
		{name: "no quorum", endpoints: []string{etcdServer(t, s, "member", "false", "11", none)}, silent: 1, refuse: []string{"endpoints[0]", "RAFT NO LEADER"}},
		{name: "wrong authority", endpoints: []string{good}, authority: other, refuse: []string{"caFile", "ca.crt"}},
		{name: "wrong authority of the second", endpoints: []string{good, etcdServer(t, other, "member", "true", "11", none)}, refuse: []string{"caFile"}},
		{name: "wrong client", endpoints: []string{good}, secrets: other, refuse: []string{"certFile", "client.crt"}},
		{name: "certificate for another address", endpoints: []string{etcdServer(t, s, "elsewhere", "true", "11", none)}, refuse: []string{"endpoints", "127.0.0.1"}},
		{name: "two clusters", endpoints: []string{good, etcdServer(t, s, "member", "true", "12", none)}, refuse: []string{"endpoints[1]", "another etcd cluster"}},
		{name: "another cluster's data", endpoints: []string{etcdServer(t, s, "member", "true", "11", some)}, empty: true, refuse: []string{"/registry/pods/a", "etcdctl del"}},
		{name: "our own data", endpoints: []string{etcdServer(t, s, "member", "true", "11", some)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := etcdAsked{
				ExternalEtcd: cluster.ExternalEtcd{Endpoints: c.endpoints, CAFile: "ca.crt", CertFile: "client.crt"},
				ca:           s.Authorities["theirs"], client: s.Pairs["client"], mustBeEmpty: c.empty,
				dial: (&net.Dialer{Timeout: time.Second}).DialContext,
			}
			if c.secrets != nil {
				asked.client = c.secrets.Pairs["client"]
			}
			if c.authority != nil {
				asked.ca = c.authority.Authorities["theirs"]
			}
			silent, err := askEtcd(context.Background(), asked)
			if (err != nil) != (len(c.refuse) > 0) {
				t.Fatalf("error: %v", err)
			}
			if len(silent) != c.silent {
				t.Errorf("silent are %v, want %d", silent, c.silent)
			}
			if err == nil {
				return
			}
			for _, want := range append(c.refuse, "`craton up` again") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}
