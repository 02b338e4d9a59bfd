package signin_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"craton.dev/craton/render/part/dex"
	"craton.dev/craton/signin"
)

func decode(t *testing.T, part string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Somebody signs in by a browser, gets a token with their groups and where these come from, and
// it is renewed without them; the token before cannot be used to renew again.
func TestBrowser(t *testing.T) {
	const reuse = 300 * time.Millisecond
	l := newLab(t, func(config map[string]any) {
		config["expiry"].(map[string]any)["refreshTokens"].(map[string]any)["reuseInterval"] = reuse.String()
	})
	last := make(chan answer, 1)
	tokens, err := l.place.Browser(t.Context(), l.asPerson(anna, password, last))
	if err != nil {
		t.Fatal(err)
	}
	if got := <-last; got.status != http.StatusOK || !strings.Contains(got.body, "You can close this window") || strings.Contains(got.body, tokens.ID) {
		t.Errorf("the person sees %+v", got)
	}
	if tokens.Name != anna || !slices.Equal(tokens.Groups, []string{"ops", "night shift"}) || tokens.Refresh == "" {
		t.Errorf("tokens are %+v", tokens)
	}
	if left := time.Until(tokens.Expires); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("the token is good for %v, the cluster file says 10 minutes", left)
	}
	if from, _ := claims(t, tokens.ID)["federated_claims"].(map[string]any); from["connector_id"] != "local" {
		t.Errorf("the token does not say where its groups come from: %v", from)
	}
	time.Sleep(2 * reuse) // till then an old one is taken for one of a connection that broke
	next, err := l.place.Renew(t.Context(), tokens)
	if err != nil {
		t.Fatal(err)
	}
	if next.Refresh == tokens.Refresh || next.Name != anna || len(next.Groups) != 2 {
		t.Errorf("renewed: %+v", next)
	}
	time.Sleep(2 * reuse)
	if _, err := l.place.Renew(t.Context(), tokens); !errors.Is(err, signin.ErrSignInAgain) {
		t.Errorf("a refresh token that was used before: %v", err)
	}

	// A name for which nobody answers by DNS, reached at an address that is said.
	other := l.place
	other.Issuer = strings.Replace(other.Issuer, "127.0.0.1", "nowhere.invalid", 1)
	other.Connect = strings.TrimSuffix(strings.TrimPrefix(l.place.Issuer, "https://"), dex.Path)
	if _, err := other.Browser(t.Context(), l.asPerson(anna, password, nil)); err == nil || !strings.Contains(err.Error(), "wanted to match nowhere.invalid") {
		t.Errorf("a certificate of another name: %v", err)
	}
	// And with an authority that has not signed it.
	other = l.place
	other.CA = nil
	if _, err := other.Browser(t.Context(), l.asPerson(anna, password, nil)); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a certificate of nobody's: %v", err)
	}
}

// What somebody else sends a browser to while craton login waits changes nothing: neither is it
// taken, nor does it end the attempt.
func TestForgedState(t *testing.T) {
	l := newLab(t, nil)
	tokens, err := l.place.Browser(limited(t, time.Minute), func(address string) error {
		go func() {
			u, _ := url.Parse(address)
			back := u.Query().Get("redirect_uri")
			for _, forged := range []string{"?code=x", "?code=x&state=", "?code=x&state=forged", "?state=" + u.Query().Get("state"), "/more?code=x&state=" + u.Query().Get("state")} {
				got, err := read(http.Get(back + forged))
				if err != nil || got.status/100 != 4 {
					t.Errorf("%s: %v %+v", forged, err, got)
				}
			}
			if got, err := read(http.Post(back+"?code=x&state="+u.Query().Get("state"), "text/plain", nil)); err != nil || got.status/100 != 4 {
				t.Errorf("by POST: %v %+v", err, got)
			}
			l.signIn(l.client(), address, anna, password)
		}()
		return nil
	})
	if err != nil || tokens.Name != anna {
		t.Fatalf("%v %+v", err, tokens)
	}
	// A code that is not for this attempt: with the right state, but another's verifier.
	code, _ := l.code(t, dex.Client, url.Values{"code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())}, "code_challenge_method": {"S256"}})
	_, err = l.place.Browser(limited(t, time.Minute), func(address string) error {
		u, _ := url.Parse(address)
		go http.Get(u.Query().Get("redirect_uri") + "?code=" + code + "&state=" + u.Query().Get("state"))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "is refused") {
		t.Errorf("another's code: %v", err)
	}
}

// A code is good once, with its verifier, for its client and redirect; a password that is wrong
// gets none.
func TestCodes(t *testing.T) {
	l := newLab(t, nil)
	verifier := oauth2.GenerateVerifier()
	pkce := url.Values{"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}}
	form := func(code, redirect, verifier, client string) url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "client_id": {client}, "code_verifier": {verifier}}
	}
	code, redirect := l.code(t, dex.Client, pkce)
	for what, bad := range map[string]url.Values{
		"no verifier":      form(code, redirect, "", dex.Client),
		"another verifier": form(code, redirect, oauth2.GenerateVerifier(), dex.Client),
		"another redirect": form(code, "http://127.0.0.1:2/callback", verifier, dex.Client),
		"another client":   form(code, redirect, verifier, dex.ConsoleClient),
		"no such code":     form("x", redirect, verifier, dex.Client),
	} {
		if status, body := l.redeem(t, bad); status/100 != 4 || body["id_token"] != nil {
			t.Errorf("%s: %d %v", what, status, body)
		}
	}
	if status, body := l.redeem(t, form(code, redirect, verifier, dex.Client)); status != http.StatusOK || body["id_token"] == nil {
		t.Fatalf("a good code: %d %v", status, body)
	}
	if status, body := l.redeem(t, form(code, redirect, verifier, dex.Client)); status/100 != 4 || body["id_token"] != nil {
		t.Errorf("a code for the second time: %d %v", status, body)
	}
	for what, change := range map[string]url.Values{
		"a redirect elsewhere":             {"redirect_uri": {"https://evil.example/"}},
		"a redirect that begins like ours": {"redirect_uri": {"http://127.0.0.1.evil.example/callback"}},
		"a client that there is not":       {"client_id": {"other"}},
		"a token in the address":           {"response_type": {"token"}},
	} {
		q := url.Values{"client_id": {dex.Client}, "response_type": {"code"}, "redirect_uri": {redirect}, "state": {"s"}, "scope": {"openid"}}
		for k, v := range change {
			q[k] = v
		}
		if got, err := read(l.client().Get(l.place.Issuer + "/auth?" + q.Encode())); err == nil && got.status == http.StatusOK && strings.Contains(got.body, "password") {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for _, grant := range []url.Values{
		{"grant_type": {"password"}, "username": {anna}, "password": {password}, "scope": {"openid"}, "client_id": {dex.Client}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {dex.Client}},
	} {
		if status, body := l.redeem(t, grant); status/100 != 4 || body["error"] != "unsupported_grant_type" {
			t.Errorf("%s: %d %v", grant.Get("grant_type"), status, body)
		}
	}
}

// A page that was left open too long takes no password any more.
func TestExpiredPage(t *testing.T) {
	l := newLab(t, func(config map[string]any) {
		config["expiry"].(map[string]any)["authRequests"] = "3s" // long enough for the page to come
	})
	client := l.client()
	q := url.Values{"client_id": {dex.Client}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "state": {"s"}, "scope": {"openid"}}
	page, err := read(client.Get(l.place.Issuer + "/auth?" + q.Encode()))
	if err != nil || !strings.Contains(page.body, "<form") {
		t.Fatalf("%v %+v", err, page)
	}
	time.Sleep(3200 * time.Millisecond)
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Port() == "1" {
			return errors.New("sent on with " + r.URL.RawQuery)
		}
		return nil
	}
	got, err := submit(client, page, url.Values{"login": {anna}, "password": {password}})
	if err != nil || got.status/100 != 4 {
		t.Errorf("a page that has expired: %v %+v", err, got)
	}
}

// Many kubectls at once renew once: each refresh token works once.
func TestCredentialsAtOnce(t *testing.T) {
	l := newLab(t, nil)
	tokens := l.tokensOf(t, anna)
	store := signin.Store{Dir: t.TempDir()}
	old := *tokens
	old.Expires = time.Now().Add(5 * time.Second)
	if err := store.Save(l.place, &old); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	got := make([]*signin.Tokens, 8)
	for i := range got {
		group.Go(func() {
			var err error
			if got[i], err = store.Current(t.Context(), l.place); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, one := range got[1:] {
		if one == nil || one.ID != got[0].ID || one.ID == tokens.ID {
			t.Error("several tokens were fetched, or none")
		}
	}
}
