package console_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/console"
	"craton.dev/craton/console/internal/stage"
	"craton.dev/craton/console/kube"
	"craton.dev/craton/console/signin"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part/dex"
)

// TestDex protects that the Console, the cluster's own sign-in service and the API server
// understand each other: a real Dex, with the configuration that a cluster gives it, lets
// somebody in, the API server takes their token, and the next one comes before it ends.
func TestDex(t *testing.T) {
	program := stage.Program(t, "dex")
	dir := t.TempDir()
	const who, password = "anna@example.org", "correct horse battery"
	hash, err := pki.HashPassword([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	file := cluster.Default("demo")
	file.Options.SignIn = true
	file.SignIn.FirstAdministrator = false
	file.SignIn.Users = []cluster.User{{Email: who, PasswordHash: hash, Groups: []string{"ops"}}}
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := pki.Ensure(filepath.Join(dir, "pki"), p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca := secrets.Authorities[pki.KubernetesCA]
	pair, err := pki.IssueServer(ca, nil, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{stage.SelfSigned(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)

	// Only addresses, and how long a token is good, are other than in a cluster.
	address := "127.0.0.1:" + stage.FreePort(t)
	local := func(text string) string {
		text = strings.ReplaceAll(text, "https://"+p.Network.Console+dex.ConsoleCallback, server.URL+signin.CallbackPath)
		return strings.ReplaceAll(text, "https://"+p.Network.Console, "https://"+address)
	}
	config, err := dex.Config(p, secrets, dex.Storage{Type: "memory"}, dex.Serve{Address: address, Cert: write("tls.crt", pair.Cert), Key: write("tls.key", pair.Key)})
	if err != nil {
		t.Fatal(err)
	}
	var bent map[string]any
	if err := json.Unmarshal([]byte(local(string(config))), &bent); err != nil {
		t.Fatal(err)
	}
	bent["expiry"].(map[string]any)["idTokens"] = "32s" // the Console renews half a minute before
	text, _ := json.Marshal(bent)
	stage.Run(t, dir, program, "serve", write("dex.json", text))
	trust, err := dex.Authenticator(p, ca.Cert)
	if err != nil {
		t.Fatal(err)
	}
	indented := "  " + strings.ReplaceAll(strings.TrimSpace(local(string(trust))), "\n", "\n  ")
	s := stage.StartTrusting(t, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n"+indented+"\n")
	s.Bind(t, dex.Group("local:ops"), "cluster-admin")
	s.Namespace(t, "only-for-anna")

	connection, err := kube.Connect(s.URL, s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	in, err := signin.New(signin.Options{
		Issuer: "https://" + address + dex.Path, ClientID: dex.ConsoleClient, ClientSecret: secrets.SignIn.ConsoleClient,
		URL: server.URL, Key: []byte(strings.Repeat("k", signin.KeyBytes)), Client: trusting(t, write("ca.crt", ca.Cert)),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := console.New(console.Options{Cluster: "demo", Kube: connection, SignIn: in, Log: slog.New(slog.NewTextHandler(&lockedBuffer{}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = c.Handler()

	jar, _ := cookiejar.New(nil)
	v := &visitor{&http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, server.URL}
	var form *http.Response
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if form, err = v.Get(v.url + "/workloads"); err == nil && form.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no form to sign in with: %v, %v", form, err)
		}
	}
	io.Copy(io.Discard, form.Body)
	form.Body.Close()
	if form.Request.URL.Host != address {
		t.Fatalf("the form is at %s, want Dex's at %s", form.Request.URL, address)
	}
	wrong, err := v.PostForm(form.Request.URL.String(), url.Values{"login": {who}, "password": {"wrong horse battery"}})
	if err != nil {
		t.Fatal(err)
	}
	wrong.Body.Close()
	if wrong.Request.URL.Host != address {
		t.Fatalf("a wrong password leads to %s", wrong.Request.URL)
	}
	answer, err := v.PostForm(form.Request.URL.String(), url.Values{"login": {who}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.Request.URL.String() != v.url+"/workloads" || answer.StatusCode != http.StatusOK || !strings.Contains(string(page), "only-for-anna") || !strings.Contains(string(page), who) {
		t.Fatalf("at %s, %s:\n%.3000s", answer.Request.URL, answer.Status, page)
	}
	before := v.cookie(t)
	time.Sleep(3 * time.Second)
	for range 3 { // the second and third with the session that the first has renewed
		if r, text := v.page(t, "/workloads"); r.StatusCode != http.StatusOK || !strings.Contains(text, "only-for-anna") {
			t.Errorf("after a renewal: %s, %.500s", r.Status, text)
		}
	}
	if v.cookie(t) == before {
		t.Error("the token was not renewed")
	}
}

// TestCallback protects that Dex sends people back to where the Console waits for them.
func TestCallback(t *testing.T) {
	if signin.CallbackPath != dex.ConsoleCallback {
		t.Errorf("the Console waits at %s, Dex sends to %s", signin.CallbackPath, dex.ConsoleCallback)
	}
}

func (v *visitor) cookie(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(v.url)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, c := range v.Jar.Cookies(u) {
		all.WriteString(c.Value)
	}
	return all.String()
}
