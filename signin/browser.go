package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// personTime is how long somebody has to sign in.
const personTime = 5 * time.Minute

// Browser signs in with a browser on this machine: open is given the address to show. What the
// browser brings back comes to a port of loopback, and counts only with the state that this
// attempt began with; without its verifier (PKCE) the code is worth nothing to anybody else.
func (p Place) Browser(ctx context.Context, open func(address string) error) (*Tokens, error) {
	s, ctx, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a port for the browser to come back to: %w: craton login --device needs none", err)
	}
	s.config.RedirectURL = "http://" + listener.Addr().String() + callbackPath
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	back := &callback{state: state, answers: make(chan url.Values, 1)}
	server := &http.Server{Handler: back, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener)
	defer func() {
		// The page that says so is still on its way to the browser.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		server.Shutdown(last)
	}()
	if err := open(s.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, personTime)
	defer cancel()
	var answer url.Values
	select {
	case answer = <-back.answers:
	case <-wait.Done():
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("nobody signed in within %.0f minutes: run craton login again", personTime.Minutes())
	}
	if fault := answer.Get("error"); fault != "" {
		return nil, fmt.Errorf("%s refused: %s %s", p.Issuer, fault, answer.Get("error_description"))
	}
	got, err := s.config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, fmt.Errorf("the code that the browser brought is refused: %w: run craton login again", err)
	}
	return s.accept(ctx, got, nonce)
}

const callbackPath = "/callback"

// callback is where the browser comes back to.
type callback struct {
	state   string
	answers chan url.Values
}

// ServeHTTP takes the first answer that has the right state. Whatever else comes in (any page can
// send a browser here) changes nothing: the person can still go on.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path != callbackPath || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	answer := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(c.state)) != 1 {
		page(w, http.StatusBadRequest, "This is not the sign-in that craton login waits for.")
		return
	}
	if answer.Get("code") == "" && answer.Get("error") == "" {
		page(w, http.StatusBadRequest, "There is no code in this address.")
		return
	}
	select {
	case c.answers <- answer:
	default:
		page(w, http.StatusBadRequest, "This sign-in is done already.")
		return
	}
	if answer.Get("error") != "" {
		page(w, http.StatusOK, "You are not signed in. craton login says why.")
		return
	}
	page(w, http.StatusOK, "You can close this window and go back to craton login.")
}

func page(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">`+
		`<title>craton login</title><body style="font-family: sans-serif; margin: 4em auto; max-width: 30em"><p>`+html.EscapeString(sentence)+"</p>\n")
}

// Code is what somebody types into a browser on another machine.
type Code struct {
	// Address is where, Whole the same with the code in it.
	Address, Whole, Code string
}

// Device signs in with a browser on another machine: show is given what to type there.
func (p Place) Device(ctx context.Context, show func(Code)) (*Tokens, error) {
	s, ctx, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	verifier := oauth2.GenerateVerifier()
	device, err := s.config.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
	if err != nil {
		return nil, fmt.Errorf("%s gives no code to type elsewhere: %w", p.Issuer, err)
	}
	show(Code{Address: device.VerificationURI, Whole: device.VerificationURIComplete, Code: device.UserCode})
	got, err := s.config.DeviceAccessToken(ctx, device, oauth2.VerifierOption(verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "expired_token" || errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.New("nobody typed the code while it was good: run craton login again")
	}
	if err != nil {
		return nil, fmt.Errorf("%s gives no token for the code: %w", p.Issuer, err)
	}
	return s.accept(ctx, got, "")
}
