package stage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Password is everybody's.
const Password = "correct horse"

// ClientSecret is the Console's with the provider.
const ClientSecret = "stage-client-secret"

// Provider is a small OpenID provider: it shows a form, gives one-time codes that are bound
// to a challenge (PKCE), and signs tokens. What it hands out can be bent by a test.
type Provider struct {
	// URL is the issuer, CAFile the authority of its certificate.
	URL, CAFile string
	// People are the groups of each.
	People map[string][]string

	mu sync.Mutex
	// Life is that of a token.
	Life time.Duration
	// Bend changes a token's claims before it is signed.
	Bend func(claims map[string]any)
	// Refused is how many times somebody came with a code or token that is not good.
	Refused int
	// Unsigned makes tokens with the algorithm "none".
	Unsigned bool

	key     *ecdsa.PrivateKey
	codes   map[string]grant
	refresh map[string]string
	n       int
}

type grant struct{ person, nonce, challenge, redirect string }

// NewProvider starts one that ends with the test; its certificate is in dir.
func NewProvider(t testing.TB, dir string) *Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{
		Life: time.Hour, key: key, codes: map[string]grant{}, refresh: map[string]string{},
		People: map[string][]string{"ada": {"admins"}, "vera": {"viewers"}, "nobody": {}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /auth", p.form)
	mux.HandleFunc("POST /auth", p.signIn)
	mux.HandleFunc("POST /token", p.token)
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{SelfSigned(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	p.URL = server.URL
	p.CAFile = filepath.Join(dir, "provider.pem")
	if err := os.WriteFile(p.CAFile, CertificatePEM(server.TLS.Certificates[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// Set changes what is handed out from now on.
func (p *Provider) Set(change func(*Provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// authentication is the API server's configuration that trusts the provider.
func (p *Provider) authentication() string {
	ca, _ := os.ReadFile(p.CAFile)
	text, _ := json.Marshal(string(ca))
	return fmt.Sprintf(`{"apiVersion":"apiserver.config.k8s.io/v1","kind":"AuthenticationConfiguration",
"jwt":[{"issuer":{"url":%q,"audiences":[%q],"certificateAuthority":%s},
"claimMappings":{"username":{"claim":"email","prefix":""},"groups":{"claim":"groups","prefix":""}}}]}`, p.URL, Audience, text)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"}, "code_challenge_methods_supported": []string{"S256"},
	})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	point, _ := p.key.PublicKey.Bytes() // 4, x, y: it is on its curve
	json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "stage",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
}

func (p *Provider) form(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Sign in</title><h1>Sign in</h1><form method="post" action="/auth?%s">
<label>Name <input name="name"></label> <label>Password <input name="password" type="password"></label><button>Sign in</button></form>`,
		html.EscapeString(r.URL.RawQuery))
}

func (p *Provider) signIn(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := r.FormValue("name")
	if _, known := p.People[name]; !known || r.FormValue("password") != Password {
		http.Error(w, "wrong name or password", http.StatusForbidden)
		return
	}
	q := r.URL.Query()
	p.n++
	code := fmt.Sprintf("code-%d-%s", p.n, rand.Text())
	p.codes[code] = grant{name, q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusSeeOther)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	if id == "" {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	refused := func() {
		p.Refused++
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
	}
	if id != Audience || secret != ClientSecret {
		refused()
		return
	}
	var person, nonce string
	switch r.FormValue("grant_type") {
	case "authorization_code":
		g, ok := p.codes[r.FormValue("code")]
		delete(p.codes, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge || r.FormValue("redirect_uri") != g.redirect {
			refused()
			return
		}
		person, nonce = g.person, g.nonce
	case "refresh_token":
		var ok bool
		if person, ok = p.refresh[r.FormValue("refresh_token")]; !ok {
			refused()
			return
		}
		delete(p.refresh, r.FormValue("refresh_token"))
	}
	if _, still := p.People[person]; !still {
		refused()
		return
	}
	refresh := rand.Text()
	p.refresh[refresh] = person
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"access_token": rand.Text(), "token_type": "bearer", "expires_in": int(p.Life.Seconds()),
		"refresh_token": refresh, "id_token": p.sign(person, nonce),
	})
}

// Token is a person's, as sign-in would give it.
func (p *Provider) Token(person string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sign(person, "")
}

func (p *Provider) sign(person, nonce string) string {
	now := time.Now()
	claims := map[string]any{
		"iss": p.URL, "aud": Audience, "sub": person, "email": person + "@example.org", "email_verified": true,
		"name": person, "groups": p.People[person], "iat": now.Unix(), "exp": now.Add(p.Life).Unix(),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if p.Bend != nil {
		p.Bend(claims)
	}
	algorithm := "ES256"
	if p.Unsigned {
		algorithm = "none"
	}
	head, _ := json.Marshal(map[string]string{"alg": algorithm, "typ": "JWT", "kid": "stage"})
	body, _ := json.Marshal(claims)
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	if p.Unsigned {
		return text + "."
	}
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, sum[:])
	if err != nil {
		panic(err) // a sound key signs
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// SelfSigned is a certificate for 127.0.0.1 that is its own authority.
func SelfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "stage"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// CertificatePEM is a certificate as a file has it.
func CertificatePEM(c tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}

func serviceAccountKey(t testing.TB, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, "service-accounts.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
}

// KeyPEM is its key as a file has it.
func KeyPEM(t testing.TB, c tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
