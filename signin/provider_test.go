package signin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/signin"
)

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// keyID is the name of every key here, so that no token is refused for naming another one.
const keyID = "key"

// jwt makes a token; sign gets what is to be signed.
func jwt(t *testing.T, algorithm string, claims map[string]any, sign func([]byte) []byte) string {
	t.Helper()
	head, err := json.Marshal(map[string]any{"alg": algorithm, "typ": "JWT", "kid": keyID})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := encode(head) + "." + encode(body)
	return text + "." + encode(sign([]byte(text)))
}

func rs256(t *testing.T, key *rsa.PrivateKey) func([]byte) []byte {
	return func(text []byte) []byte {
		sum := sha256.Sum256(text)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

func hs256(secret []byte) func([]byte) []byte {
	return func(text []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(text)
		return mac.Sum(nil)
	}
}

func unsigned([]byte) []byte { return nil }

// provider is an identity provider that gives whatever token the test wants. A real one does not
// sign what is wrong.
type provider struct {
	*httptest.Server
	key   *rsa.PrivateKey
	token func(nonce string) string
	nonce string
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "kid": keyID,
			"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		p.nonce = q.Get("nonce")
		if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("state") == "" || p.nonce == "" {
			t.Errorf("the browser is sent to %s", r.URL)
		}
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"c"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]any{"access_token": "a", "token_type": "bearer", "refresh_token": "r", "id_token": p.token(p.nonce)})
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) place() signin.Place {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	return signin.Place{Issuer: p.URL, Client: "craton", CA: ca}
}

// craton login keeps no token that is not signed by the provider, for it, now, and for this
// attempt. A clock that is wrong is named.
func TestTokensThatAreRefused(t *testing.T) {
	p := newProvider(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with := func(claims map[string]any, more ...any) map[string]any {
		for i := 0; i < len(more); i += 2 {
			claims[more[i].(string)] = more[i+1]
		}
		return claims
	}
	good := func(nonce string) map[string]any {
		now := time.Now()
		return map[string]any{"iss": p.URL, "aud": "craton", "sub": "s", "email": "a@b", "nonce": nonce,
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	}
	public, err := json.Marshal(p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, says string
		token      func(nonce string) string
	}{
		{"a good one", "", func(n string) string { return jwt(t, "RS256", good(n), rs256(t, p.key)) }},
		{"no signature", "none", func(n string) string { return jwt(t, "none", good(n), unsigned) }},
		{"signed with a text that all know", "HS256", func(n string) string { return jwt(t, "HS256", good(n), hs256([]byte("craton"))) }},
		{"signed with the public key", "HS256", func(n string) string { return jwt(t, "HS256", good(n), hs256(public)) }},
		{"signed by a stranger", "failed to verify signature", func(n string) string { return jwt(t, "RS256", good(n), rs256(t, stranger)) }},
		{"signed by a stranger's curve", "failed to verify signature", func(n string) string {
			return jwt(t, "ES256", good(n), func(text []byte) []byte {
				sum := sha256.Sum256(text)
				r, s, err := ecdsa.Sign(rand.Reader, curve, sum[:])
				if err != nil {
					t.Fatal(err)
				}
				return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
			})
		}},
		{"changed after it was signed", "failed to verify signature", func(n string) string {
			parts := strings.Split(jwt(t, "RS256", good(n), rs256(t, p.key)), ".")
			body, _ := json.Marshal(with(good(n), "email", "root@b"))
			return parts[0] + "." + encode(body) + "." + parts[2]
		}},
		{"of another issuer", "issued by a different provider", func(n string) string {
			return jwt(t, "RS256", with(good(n), "iss", "https://other.example"), rs256(t, p.key))
		}},
		{"for another client", "expected audience", func(n string) string {
			return jwt(t, "RS256", with(good(n), "aud", "other"), rs256(t, p.key))
		}},
		{"for nobody", "expected audience", func(n string) string {
			return jwt(t, "RS256", with(good(n), "aud", []string{}), rs256(t, p.key))
		}},
		{"for another attempt", "is for another attempt", func(n string) string { return jwt(t, "RS256", good("x"), rs256(t, p.key)) }},
		{"for no attempt", "is for another attempt", func(n string) string { return jwt(t, "RS256", good(""), rs256(t, p.key)) }},
		{"one that has ended", "clock says", func(n string) string {
			return jwt(t, "RS256", with(good(n), "exp", time.Now().Add(-time.Minute).Unix()), rs256(t, p.key))
		}},
		{"one that has not begun", "before the nbf", func(n string) string {
			return jwt(t, "RS256", with(good(n), "nbf", time.Now().Add(time.Hour).Unix()), rs256(t, p.key))
		}},
		{"no token at all", "gave no identity token", func(string) string { return "" }},
		{"something else", "malformed", func(string) string { return "a.b" }},
	} {
		p.token = c.token
		store := signin.Store{Dir: t.TempDir()}
		tokens, err := p.place().Browser(limited(t, 20*time.Second), func(address string) error {
			client := p.Client()
			go client.Get(address)
			return nil
		})
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.says != "" && (err == nil || tokens != nil):
			t.Errorf("%s is taken", c.what)
		case c.says != "" && !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v, want words about %q", c.what, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: the error shows the token: %v", c.what, err)
		}
		// The same token on renewal.
		if strings.Contains(c.says, "another attempt") {
			continue // there is no attempt then
		}
		old := &signin.Tokens{Refresh: "r", Expires: time.Now()}
		if err := store.Save(p.place(), old); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Current(t.Context(), p.place()); (err == nil) != (c.says == "") {
			t.Errorf("%s, on renewal: %v", c.what, err)
		}
		if kept, err := store.Load(p.place()); err != nil || (kept.ID != "") != (c.says == "") {
			t.Errorf("%s, on renewal: kept %+v %v", c.what, kept, err)
		}
	}
}

// A provider whose discovery names another issuer is not asked further, and one without TLS is
// not asked at all.
func TestProvidersThatAreRefused(t *testing.T) {
	p := newProvider(t)
	other := p.place()
	other.Issuer += "/"
	if _, err := other.Browser(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "did not match") {
		t.Errorf("another issuer: %v", err)
	}
	plain := p.place()
	plain.Issuer = strings.Replace(plain.Issuer, "https", "http", 1)
	if _, err := plain.Browser(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "expected an https URL") {
		t.Errorf("no TLS: %v", err)
	}
	broken := p.place()
	broken.CA = []byte("x")
	if _, err := broken.Device(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "not in PEM") {
		t.Errorf("no authority: %v", err)
	}
	if _, err := p.place().Device(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "gives no code") {
		t.Errorf("no device codes: %v", err)
	}
	p.Close()
	if _, err := p.place().Browser(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "is the cluster up") {
		t.Errorf("nobody there: %v", err)
	}
}
