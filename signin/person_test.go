package signin_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/signin"
)

// client is a browser without its pages: cookies and redirects.
func (l *lab) client() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.ca.Cert)
	jar, _ := cookiejar.New(nil) // never fails without options
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

// answer is what a person sees at last.
type answer struct {
	status int
	at     *url.URL
	body   string
}

func read(r *http.Response, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	return answer{r.StatusCode, r.Request.URL, string(body)}, err
}

var action = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)

// submit fills in the form of a page.
func submit(client *http.Client, page answer, fields url.Values) (answer, error) {
	found := action.FindStringSubmatch(page.body)
	if found == nil {
		return answer{}, fmt.Errorf("%s has no form:\n%s", page.at, page.body)
	}
	to, err := page.at.Parse(html.UnescapeString(found[1]))
	if err != nil {
		return answer{}, err
	}
	return read(client.PostForm(to.String(), fields))
}

// signIn is what a person does in a browser: open the address, type, be sent on.
func (l *lab) signIn(client *http.Client, address, name, word string) (answer, error) {
	page, err := read(client.Get(address))
	if err != nil {
		return page, err
	}
	return submit(client, page, url.Values{"login": {name}, "password": {word}})
}

// asPerson opens an address in a browser at which somebody signs in, as Browser wants it. last
// gets what that person sees.
func (l *lab) asPerson(name, word string, last chan<- answer) func(string) error {
	return func(address string) error {
		go func() {
			got, err := l.signIn(l.client(), address, name, word)
			if err != nil {
				got.body = err.Error()
			}
			if last != nil {
				last <- got
			}
		}()
		return nil
	}
}

// tokensOf signs somebody in.
func (l *lab) tokensOf(t *testing.T, name string) *signin.Tokens {
	t.Helper()
	tokens, err := l.place.Browser(limited(t, time.Minute), l.asPerson(name, password, nil))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// code gets a code as Browser would, without redeeming it: where it was sent, with all that
// belongs to it.
func (l *lab) code(t *testing.T, client string, extra url.Values) (code string, redirect string) {
	t.Helper()
	redirect = "http://127.0.0.1:1/callback"
	q := url.Values{"client_id": {client}, "response_type": {"code"}, "redirect_uri": {redirect}, "state": {"s"},
		"scope": {"openid email profile groups federated:id offline_access"}}
	for k, v := range extra {
		q[k] = v
	}
	browser := l.client()
	stop := errors.New("stop")
	var sent *url.URL
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "127.0.0.1:1" {
			sent = r.URL
			return stop
		}
		return nil
	}
	last, err := l.signIn(browser, l.place.Issuer+"/auth?"+q.Encode(), anna, password)
	if sent == nil {
		t.Fatalf("no code: %v %+v", err, last)
	}
	return sent.Query().Get("code"), redirect
}

// redeem asks for tokens.
func (l *lab) redeem(t *testing.T, form url.Values) (status int, body map[string]any) {
	t.Helper()
	got, err := read(l.client().PostForm(l.place.Issuer+"/token", form))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("%d: %s", got.status, got.body)
	}
	return got.status, body
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(decode(t, strings.Split(token, ".")[1]), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
