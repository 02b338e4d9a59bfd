package signin

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/console/internal/stage"
)

// visit is a browser before a page that only says who is signed in.
type visit struct {
	*http.Client
	provider *stage.Provider
	url      string
}

func begin(t *testing.T) *visit {
	t.Helper()
	p := stage.NewProvider(t, t.TempDir())
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{stage.SelfSigned(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	text, err := os.ReadFile(p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	s, err := New(Options{
		Issuer: p.URL, ClientID: stage.Audience, ClientSecret: stage.ClientSecret, URL: server.URL,
		Key: []byte(strings.Repeat("k", KeyBytes)), Client: trusting,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		session := s.Session(w, r)
		if session == nil {
			http.Error(w, "nobody", http.StatusUnauthorized)
			return
		}
		io.WriteString(w, session.Name)
	})
	fail := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	}
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) { fail(w, s.Begin(w, r, r.URL.Query().Get("back"))) })
	mux.HandleFunc("GET "+CallbackPath, func(w http.ResponseWriter, r *http.Request) { fail(w, s.End(w, r)) })
	server.Config.Handler = mux
	jar, _ := cookiejar.New(nil)
	return &visit{&http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, p, server.URL}
}

// signIn goes the way of a browser, and stops before the callback where stop is set.
func (v *visit) signIn(t *testing.T, name, password, back string, stop bool) *http.Response {
	t.Helper()
	v.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if stop && r.URL.Path == CallbackPath {
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { v.CheckRedirect = nil }()
	form, err := v.Get(v.url + "/sign-in?back=" + url.QueryEscape(back))
	if err != nil {
		t.Fatal(err)
	}
	form.Body.Close()
	answer, err := v.PostForm(form.Request.URL.String(), url.Values{"name": {name}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func body(t *testing.T, r *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (v *visit) who(t *testing.T) string {
	r, err := v.Get(v.url + "/")
	return strings.TrimSpace(body(t, r, err))
}

// TestSignIn protects that a right password lets somebody in, as themselves.
func TestSignIn(t *testing.T) {
	v := begin(t)
	if who := v.who(t); who != "nobody" {
		t.Fatalf("before: %s", who)
	}
	r := v.signIn(t, "ada", stage.Password, "/?x=1", false)
	r.Body.Close()
	if r.Request.URL.String() != v.url+"/?x=1" || v.who(t) != "ada@example.org" {
		t.Errorf("at %s as %s", r.Request.URL, v.who(t))
	}
}

// TestRefused protects from everybody who did not sign in here and now.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		bend func(*stage.Provider)
		// callback changes what the browser comes back with.
		callback func(url.Values)
		// elsewhere lets another browser come back.
		elsewhere, twice bool
		says             string
	}{
		"a forged state":         {callback: func(q url.Values) { q.Set("state", "guessed") }, says: "not the one that this browser began"},
		"no state":               {callback: func(q url.Values) { q.Del("state") }, says: "not the one that this browser began"},
		"no code":                {callback: func(q url.Values) { q.Del("code") }, says: "sent no code"},
		"a guessed code":         {callback: func(q url.Values) { q.Set("code", "guessed") }, says: "did not take its own code"},
		"an error":               {callback: func(q url.Values) { q.Set("error", "access_denied") }, says: "did not let you in"},
		"another browser":        {elsewhere: true, says: "was not begun in this browser"},
		"a replayed answer":      {twice: true, says: "was not begun in this browser"},
		"another issuer":         {bend: claim("iss", "https://elsewhere.example"), says: "not one for this Console"},
		"another audience":       {bend: claim("aud", "somebody-else"), says: "not one for this Console"},
		"a token that has ended": {bend: claim("exp", time.Now().Add(-time.Minute).Unix()), says: "not one for this Console"},
		"another nonce":          {bend: claim("nonce", "of-another-sign-in"), says: "one to another question"},
		"algorithm none":         {bend: func(p *stage.Provider) { p.Unsigned = true }, says: "not one for this Console"},
	} {
		t.Run(name, func(t *testing.T) {
			v := begin(t)
			if c.bend != nil {
				v.provider.Set(c.bend)
			}
			r := v.signIn(t, "ada", stage.Password, "/", true)
			r.Body.Close()
			back, err := r.Location()
			if err != nil {
				t.Fatal(err)
			}
			if c.callback != nil {
				q := back.Query()
				c.callback(q)
				back.RawQuery = q.Encode()
			}
			visitor := v
			if c.elsewhere {
				jar, _ := cookiejar.New(nil)
				visitor = &visit{&http.Client{Jar: jar, Transport: v.Transport}, v.provider, v.url}
			}
			if c.twice {
				r, err := visitor.Get(back.String())
				if body(t, r, err) != "ada@example.org" {
					t.Fatal("the first time did not work")
				}
			}
			r, err = visitor.Get(back.String())
			text := body(t, r, err)
			if r.StatusCode != http.StatusForbidden || !strings.Contains(text, c.says) {
				t.Errorf("%s, %q; want %q", r.Status, text, c.says)
			}
			if strings.Contains(text, "eyJ") || strings.Contains(text, stage.ClientSecret) {
				t.Errorf("the error holds a secret: %s", text)
			}
			if !c.twice && v.who(t) != "nobody" {
				t.Errorf("and yet this is %s", v.who(t))
			}
		})
	}
}

func claim(name string, value any) func(*stage.Provider) {
	return func(p *stage.Provider) { p.Bend = func(c map[string]any) { c[name] = value } }
}

// TestRenewal protects that a session goes on with new tokens while the provider gives them,
// for several requests at a time, and ends when it does not.
func TestRenewal(t *testing.T) {
	v := begin(t)
	v.provider.Set(func(p *stage.Provider) { p.Life = renewBefore / 2 }) // each is about to end
	v.signIn(t, "ada", stage.Password, "/", false).Body.Close()
	first := v.session(t)
	answers := make(chan string)
	for range 8 { // with the same cookie, whose refresh token is good once
		go func() {
			r, err := v.Get(v.url + "/")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer r.Body.Close()
			text, _ := io.ReadAll(r.Body)
			answers <- string(text)
		}()
	}
	for range 8 {
		if who := <-answers; who != "ada@example.org" {
			t.Errorf("one of several is %q", who)
		}
	}
	if v.session(t) == first {
		t.Error("there is no new token")
	}
	v.provider.Set(func(p *stage.Provider) {
		if p.Refused > 0 {
			t.Errorf("a refresh token that was used already came %d times: a provider may end the session for that", p.Refused)
		}
	})
	v.provider.Set(func(p *stage.Provider) { delete(p.People, "ada"); p.Life = time.Second })
	// Good till its end, and not longer.
	if who := v.who(t); who != "ada@example.org" {
		t.Errorf("while the last token is good: %s", who)
	}
}

// TestEnded protects that a token which has ended and cannot be renewed is nobody's.
func TestEnded(t *testing.T) {
	v := begin(t)
	v.provider.Set(func(p *stage.Provider) { p.Life = time.Second })
	v.signIn(t, "ada", stage.Password, "/", false).Body.Close()
	v.provider.Set(func(p *stage.Provider) { delete(p.People, "ada") })
	time.Sleep(1100 * time.Millisecond)
	if who := v.who(t); who != "nobody" {
		t.Errorf("it is still %s", who)
	}
}

func (v *visit) session(t *testing.T) string {
	t.Helper()
	u, _ := url.Parse(v.url)
	for _, c := range v.Jar.Cookies(u) {
		if strings.Contains(c.Name, sessionCookie) {
			return c.Value
		}
	}
	return ""
}

// TestCookies protects that a cookie is what this Console has sealed for this purpose, whole.
func TestCookies(t *testing.T) {
	key := []byte(strings.Repeat("k", KeyBytes))
	one, err := newSealer(key, sessionCookie)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := newSealer(key, flowCookie)
	strange, _ := newSealer([]byte(strings.Repeat("x", KeyBytes)), sessionCookie)
	sealed, err := one.seal(Session{Name: "ada", Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	var got Session
	if err := one.open(sealed, &got); err != nil || got.Token != "secret" {
		t.Errorf("%v, %+v", err, got)
	}
	for name, s := range map[string]sealer{"another purpose": other, "another key": strange} {
		if err := s.open(sealed, &got); err == nil {
			t.Errorf("%s opens it", name)
		}
	}
	for i := 0; i < len(sealed); i += 7 {
		bent := sealed[:i] + string(sealed[i]^1) + sealed[i+1:]
		if one.open(bent, &got) == nil && bent != sealed {
			t.Errorf("it opens with letter %d changed", i)
		}
	}
	if _, err := newSealer(key[1:], "x"); err == nil {
		t.Error("a short key is taken")
	}
}

// TestLongSession protects people in many groups: their token takes several cookies, of which
// none is left behind by a shorter one.
func TestLongSession(t *testing.T) {
	v := begin(t)
	var groups []string
	for range 300 {
		groups = append(groups, "a-group-with-a-long-name")
	}
	v.provider.Set(func(p *stage.Provider) { p.People["ada"] = groups })
	v.signIn(t, "ada", stage.Password, "/", false).Body.Close()
	if who := v.who(t); who != "ada@example.org" {
		t.Errorf("with many groups: %s", who)
	}
	v.signIn(t, "vera", stage.Password, "/", false).Body.Close()
	if who := v.who(t); who != "vera@example.org" {
		t.Errorf("after it: %s", who)
	}
}

// TestLocal protects people from links that lead from the Console's sign-in to elsewhere.
func TestLocal(t *testing.T) {
	for _, back := range []string{"", "https://evil.example/", "//evil.example/", `/\evil.example`, "javascript:alert(1)", "evil", "/a\nb"} {
		if got := local(back); got != "/" {
			t.Errorf("%q leads to %q", back, got)
		}
	}
	if got := local("/workloads?q=a%2Fb"); got != "/workloads?q=a%2Fb" {
		t.Errorf("a path of ours becomes %q", got)
	}
}

// TestFormToken protects that a form's token is of its session, and another each time.
func TestFormToken(t *testing.T) {
	one, other := &Session{CSRF: "AAAABBBBCCCC"}, &Session{CSRF: "AAAABBBBCCCD"}
	a, b := one.FormToken(), one.FormToken()
	if a == b || !one.IsForm(a) || !one.IsForm(b) {
		t.Errorf("%s and %s of one session", a, b)
	}
	for _, token := range []string{"", "AAAA", other.FormToken(), a[:len(a)-4]} {
		if one.IsForm(token) {
			t.Errorf("%q is taken", token)
		}
	}
	if (&Session{}).IsForm("") {
		t.Error("a session without a secret takes an empty form")
	}
}
