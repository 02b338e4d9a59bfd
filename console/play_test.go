package console_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"craton.dev/craton/console"
	"craton.dev/craton/console/internal/stage"
	"craton.dev/craton/console/kube"
	"craton.dev/craton/console/signin"
)

// played is a Console before a stage.
type played struct {
	*stage.Stage
	URL string
	log *lockedBuffer
}

// play starts one, over TLS as browsers' cookies need it.
func play(t testing.TB) *played {
	t.Helper()
	p := &played{Stage: stage.Start(t), log: &lockedBuffer{}}
	p.Bind(t, "admins", "cluster-admin")
	p.View(t, "viewers")
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{stage.SelfSigned(t)}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers say that they do not know the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	p.URL = server.URL
	connection, err := kube.Connect(p.Stage.URL, p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, signin.KeyBytes)
	rand.Read(key)
	in, err := signin.New(signin.Options{
		Issuer: p.Provider.URL, ClientID: stage.Audience, ClientSecret: stage.ClientSecret, URL: p.URL, Key: key,
		Client: trusting(t, p.Provider.CAFile),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := console.New(console.Options{Cluster: stage.Name, Kube: connection, SignIn: in, Log: slog.New(slog.NewTextHandler(p.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = c.Handler()
	return p
}

// trusting is a client that trusts one authority.
func trusting(t testing.TB, file string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// lockedBuffer is a log that several write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
