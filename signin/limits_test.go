package signin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/render/part/dex"
	"craton.dev/craton/signin"
)

// Wrong passwords are refused, in words that do not say whether there is such a person, and
// after a few there is no more trying: for this person from here, and not for others.
func TestWrongPasswords(t *testing.T) {
	l := newLab(t, nil)
	try := func(name, word string) (answer, bool) {
		t.Helper()
		done := make(chan answer, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		result := make(chan error, 1)
		go func() {
			_, err := l.place.Browser(ctx, l.asPerson(name, word, done))
			result <- err
		}()
		got := <-done
		if strings.Contains(got.body, "You can close this window") {
			return got, <-result == nil
		}
		cancel()
		<-result
		return got, false
	}
	wrong, ok := try(anna, "wrong password")
	if ok || !strings.Contains(wrong.body, "Invalid") {
		t.Fatalf("a wrong password: %+v", wrong)
	}
	unknown, ok := try("nobody@example.org", "wrong password")
	if ok || strings.ReplaceAll(unknown.body, "nobody@example.org", anna) == "" || !strings.Contains(unknown.body, "Invalid") {
		t.Errorf("nobody: %+v", unknown)
	}
	if _, ok := try(anna, ""); ok {
		t.Error("no password is taken")
	}
	refused := 0
	for i := range 10 {
		got, ok := try(anna, fmt.Sprintf("guess %d", i))
		if ok {
			t.Fatal("a guess was right")
		}
		if got.status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("of 10 more guesses only %d were refused for their number", refused)
	}
	if got, ok := try(anna, password); ok || got.status != http.StatusTooManyRequests {
		t.Errorf("the right password after too many wrong ones: %+v", got)
	}
	// A name in capital letters is the same one.
	if got, ok := try(strings.ToUpper(anna), password); ok || got.status != http.StatusTooManyRequests {
		t.Errorf("the same name in capitals: %+v", got)
	}
	if got, ok := try(ben, password); !ok {
		t.Errorf("somebody else: %+v", got)
	}
}

// Somebody who sends a header of their own does not become somebody else to the limit.
func TestLimitBelievesNoStranger(t *testing.T) {
	l := newLab(t, nil) // only pods' addresses are trusted, and we are none
	client := l.client()
	q := url.Values{"client_id": {dex.Client}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "state": {"s"}, "scope": {"openid"}}
	page, err := read(client.Get(l.place.Issuer + "/auth?" + q.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for i := range 8 {
		to, _ := page.at.Parse(html.UnescapeString(action.FindStringSubmatch(page.body)[1]))
		r, _ := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(url.Values{"login": {anna}, "password": {"no"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
		got, err := read(client.Do(r))
		if err != nil {
			t.Fatal(err)
		}
		last = got.status
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the eighth wrong password in a row is answered with %d", last)
	}
}

// Somebody without a browser types a code into one elsewhere; a code of another's, or one that
// is too old, gives nothing.
func TestDevice(t *testing.T) {
	l := newLab(t, nil)
	browser := l.client()
	tokens, err := l.place.Device(limited(t, time.Minute), func(c signin.Code) {
		if c.Address != l.place.Issuer+"/device" || len(c.Code) < 8 || !strings.Contains(c.Whole, c.Code) {
			t.Errorf("shown: %+v", c)
		}
		go func() {
			page, err := read(browser.Get(c.Address))
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := submit(browser, page, url.Values{"user_code": {"WRNG-CODE"}}); err != nil || strings.Contains(got.body, `name="password"`) {
				t.Errorf("a wrong code: %v %+v", err, got)
			}
			login, err := submit(browser, page, url.Values{"user_code": {c.Code}})
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := submit(browser, login, url.Values{"login": {ben}, "password": {password}}); err != nil || !strings.Contains(got.body, "Login Successful") {
				t.Errorf("the right code: %v %+v", err, got)
			}
		}()
	})
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Name != ben || !slices.Equal(tokens.Groups, []string{"developers"}) || tokens.Refresh == "" {
		t.Errorf("tokens are %+v", tokens)
	}
}

func TestDeviceCodeExpires(t *testing.T) {
	l := newLab(t, func(config map[string]any) {
		config["expiry"].(map[string]any)["deviceRequests"] = "2s"
	})
	got, err := read(l.client().PostForm(l.place.Issuer+"/device/code", url.Values{"client_id": {dex.Client}, "scope": {"openid"}}))
	if err != nil {
		t.Fatal(err)
	}
	var code struct {
		Device string `json:"device_code"`
	}
	if err := json.Unmarshal([]byte(got.body), &code); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code.Device}, "client_id": {dex.Client}}
	if status, body := l.redeem(t, form); status/100 != 4 || body["error"] != "authorization_pending" {
		t.Errorf("a code that nobody typed yet: %d %v", status, body)
	}
	_, err = l.place.Device(limited(t, time.Minute), func(signin.Code) {})
	if status, body := l.redeem(t, form); status/100 != 4 || body["error"] != "expired_token" {
		t.Errorf("a code that is too old: %d %v", status, body)
	}
	if err == nil || !strings.Contains(err.Error(), "nobody typed the code while it was good") {
		t.Errorf("a code that nobody typed: %v", err)
	}
}

// Codes of devices cannot be guessed at speed.
func TestDeviceCodesAreLimited(t *testing.T) {
	l := newLab(t, nil)
	client := l.client()
	status := 0
	for i := range 15 {
		got, err := read(client.PostForm(l.place.Issuer+"/device/auth/verify_code", url.Values{"user_code": {fmt.Sprintf("BBBB-BB%02d", i)}}))
		if err != nil {
			t.Fatal(err)
		}
		status = got.status
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("the fifteenth guess is answered with %d", status)
	}
}
