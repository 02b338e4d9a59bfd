// Package signin lets people into the Console: OpenID Connect's code flow with PKCE, and a
// session that the browser keeps, encrypted, in cookies. The Console stores nothing.
//
// It says who somebody is and which token is theirs. What they may do is the API server's
// decision, which gets that token.
package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Options are what sign-in is told.
type Options struct {
	// Issuer is the OpenID provider, as its tokens name it.
	Issuer string
	// ClientID and ClientSecret are the Console's with the provider.
	ClientID, ClientSecret string
	// URL is the Console's own, without a slash at its end.
	URL string
	// Key encrypts cookies; KeyBytes long.
	Key []byte
	// Client reaches the provider, and trusts its certificate.
	Client *http.Client
}

// SignIn lets people in.
type SignIn struct {
	opt             Options
	sessions, flows sealer

	mu       sync.Mutex
	provider *oidc.Provider // nil until it has answered
	renewing map[string]*renewal
}

// Session is somebody who is signed in.
type Session struct {
	// Name is for the page, Token for the API.
	Name  string    `json:"n"`
	Token string    `json:"t"`
	Ends  time.Time `json:"e"`
	// Refresh gets the next token; "" where the provider gives none.
	Refresh string `json:"r,omitempty"`
	// CSRF is the secret that forms of this session carry, masked.
	CSRF string `json:"c"`
}

// flow is what is remembered from the start of a sign-in to its end.
type flow struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Return   string    `json:"r"`
	Until    time.Time `json:"u"`
}

const (
	sessionCookie = "session"
	flowCookie    = "sign-in"
	// flowLife is how long somebody has to type a password.
	flowLife = 10 * time.Minute
	// sessionLife is how long a browser keeps a session: the provider may end it earlier, by
	// refusing the next token.
	sessionLife = 12 * time.Hour
	// CallbackPath is where the provider sends people back to.
	CallbackPath = "/callback"
	// scopePlace asks Dex to say in the token at which place somebody has signed in: the API
	// server wants to know. Other providers pass over it.
	scopePlace = "federated:id"
)

// New prepares sign-in. The provider is asked when somebody comes: it may start later than
// the Console, or be away for a while.
func New(o Options) (*SignIn, error) {
	sessions, err := newSealer(o.Key, sessionCookie)
	if err != nil {
		return nil, err
	}
	flows, err := newSealer(o.Key, flowCookie)
	return &SignIn{opt: o, sessions: sessions, flows: flows, renewing: map[string]*renewal{}}, err
}

// ErrUnreachable says that the provider does not answer.
var ErrUnreachable = errors.New("the sign-in service does not answer")

func (s *SignIn) oauth(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	s.mu.Lock()
	provider := s.provider
	s.mu.Unlock()
	if provider == nil {
		var err error
		// Its keys are fetched for as long as the provider is used, so not by this request's context.
		provider, err = oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), s.opt.Client), s.opt.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		s.mu.Lock()
		s.provider = provider
		s.mu.Unlock()
	}
	return &oauth2.Config{
		ClientID: s.opt.ClientID, ClientSecret: s.opt.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: s.opt.URL + CallbackPath,
		Scopes:      []string{oidc.ScopeOpenID, "profile", "email", "groups", scopePlace, oidc.ScopeOfflineAccess},
	}, provider, nil
}

// Begin sends a browser to the provider, to come back to a path of the Console.
func (s *SignIn) Begin(w http.ResponseWriter, r *http.Request, back string) error {
	config, _, err := s.oauth(r.Context())
	if err != nil {
		return err
	}
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Return: local(back), Until: time.Now().Add(flowLife)}
	sealed, err := s.flows.seal(f)
	if err != nil {
		return err
	}
	if err := setCookie(w, flowCookie, sealed, int(flowLife.Seconds())); err != nil {
		return err
	}
	http.Redirect(w, r, config.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusFound)
	return nil
}

// Refusal is why somebody is not let in, as a sentence for them.
type Refusal struct {
	Sentence string
	// Cause is for the log; it holds no token.
	Cause error
}

func (r *Refusal) Error() string {
	if r.Cause != nil {
		return r.Sentence + ": " + r.Cause.Error()
	}
	return r.Sentence
}

func (r *Refusal) Unwrap() error { return r.Cause }

// End takes somebody who comes back from the provider, and sends them to where they were.
// The error is a Refusal where they are not let in.
func (s *SignIn) End(w http.ResponseWriter, r *http.Request) error {
	var f flow
	err := s.flows.open(cookie(r, flowCookie), &f)
	// One answer a sign-in, right or wrong.
	if err := setCookie(w, flowCookie, "", -1); err != nil {
		return err
	}
	switch q := r.URL.Query(); {
	case err != nil || time.Now().After(f.Until):
		return &Refusal{"This sign-in was not begun in this browser, or took too long. Begin it again.", err}
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1:
		return &Refusal{"This sign-in is not the one that this browser began. Begin it again.", nil}
	case q.Get("error") != "":
		return &Refusal{"The sign-in service did not let you in.", fmt.Errorf("it says %q", q.Get("error"))}
	case q.Get("code") == "":
		return &Refusal{"The sign-in service sent no code. Begin again.", nil}
	}
	config, provider, err := s.oauth(r.Context())
	if err != nil {
		return err
	}
	token, err := config.Exchange(oidc.ClientContext(r.Context(), s.opt.Client), r.URL.Query().Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return &Refusal{"The sign-in service did not take its own code back: it was used already, or is too old. Begin again.", plain(err)}
	}
	session, nonce, err := s.session(r.Context(), provider, token)
	if err != nil {
		return &Refusal{"The sign-in service's answer is not one for this Console.", err}
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(f.Nonce)) != 1 {
		return &Refusal{"The sign-in service's answer is one to another question. Begin again.", nil}
	}
	session.CSRF = rand.Text()
	if err := s.keep(w, session); err != nil {
		return err
	}
	http.Redirect(w, r, f.Return, http.StatusSeeOther)
	return nil
}

// session checks what the provider says: signature, issuer, audience, times.
func (s *SignIn) session(ctx context.Context, provider *oidc.Provider, token *oauth2.Token) (*Session, string, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, "", errors.New("it holds no ID token")
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: s.opt.ClientID}).Verify(oidc.ClientContext(ctx, s.opt.Client), raw)
	if err != nil {
		return nil, "", err
	}
	var claims struct{ Name, Email string }
	if err := id.Claims(&claims); err != nil {
		return nil, "", err
	}
	name := claims.Email
	if name == "" {
		name = claims.Name
	}
	if name == "" {
		name = id.Subject
	}
	return &Session{Name: name, Token: raw, Ends: id.Expiry, Refresh: token.RefreshToken}, id.Nonce, nil
}

func (s *SignIn) keep(w http.ResponseWriter, session *Session) error {
	sealed, err := s.sessions.seal(session)
	if err != nil {
		return err
	}
	return setCookie(w, sessionCookie, sealed, int(sessionLife.Seconds()))
}

// Out ends a browser's session. The token itself is good until it ends.
func (s *SignIn) Out(w http.ResponseWriter) error { return setCookie(w, sessionCookie, "", -1) }

// plain is an error of a token request without what was sent and answered.
func plain(err error) error {
	var retrieve *oauth2.RetrieveError
	if errors.As(err, &retrieve) {
		return fmt.Errorf("it answered %s, %q", retrieve.Response.Status, retrieve.ErrorCode)
	}
	return err
}

// local is a path of the Console, "/" where it is none: nobody is sent elsewhere from here.
func local(back string) string {
	u, err := url.Parse(back)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(back, "/") ||
		strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return "/"
	}
	return back
}
