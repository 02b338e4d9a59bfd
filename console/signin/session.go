package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// renewBefore is how long before a token's end the next one is got.
const renewBefore = 30 * time.Second

// renewal is one that several requests of a browser wait for: a refresh token is good once.
type renewal struct {
	done    chan struct{}
	session *Session
	err     error
}

// keptFor is how long a renewed session is held for requests that the browser has sent with
// the last one.
const keptFor = 10 * time.Second

// Session is who sends a request; nil where nobody is signed in, or their time has come. It
// renews a token that is about to end, before anything is written to w.
func (s *SignIn) Session(w http.ResponseWriter, r *http.Request) *Session {
	sealed := cookie(r, sessionCookie)
	if sealed == "" {
		return nil
	}
	var session Session
	if err := s.sessions.open(sealed, &session); err != nil {
		_ = s.Out(w) // an empty value is not too long
		return nil
	}
	left := time.Until(session.Ends)
	if left > renewBefore {
		return &session
	}
	renewed, err := s.renew(r.Context(), &session)
	if err == nil {
		err = s.keep(w, renewed)
	}
	switch {
	case err == nil:
		return renewed
	case left > 0:
		return &session // it is still good, and the provider may be back soon
	case !errors.Is(err, ErrUnreachable):
		_ = s.Out(w)
	}
	return nil
}

func (s *SignIn) renew(ctx context.Context, old *Session) (*Session, error) {
	if old.Refresh == "" {
		return nil, errors.New("there is nothing to renew it with")
	}
	s.mu.Lock()
	if r, ok := s.renewing[old.Refresh]; ok {
		s.mu.Unlock()
		select {
		case <-r.done:
			return r.session, r.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r := &renewal{done: make(chan struct{})}
	s.renewing[old.Refresh] = r
	s.mu.Unlock()
	// Others wait for it: it goes on where the first one's browser goes away.
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	r.session, r.err = s.fetch(detached, old)
	close(r.done)
	time.AfterFunc(keptFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.renewing, old.Refresh)
	})
	return r.session, r.err
}

func (s *SignIn) fetch(ctx context.Context, old *Session) (*Session, error) {
	config, provider, err := s.oauth(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, s.opt.Client)
	token, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh, Expiry: time.Unix(1, 0)}).Token()
	if err != nil {
		var refused *oauth2.RetrieveError
		if !errors.As(err, &refused) {
			return nil, errors.Join(ErrUnreachable, err)
		}
		return nil, plain(err)
	}
	session, _, err := s.session(ctx, provider, token)
	if err != nil {
		return nil, err
	}
	session.CSRF = old.CSRF
	if session.Refresh == "" {
		session.Refresh = old.Refresh
	}
	return session, nil
}

// FormToken is what a form of this session carries: its secret, masked anew each time, so
// that nothing of it can be learned from the sizes of compressed pages.
func (s *Session) FormToken() string {
	mask := make([]byte, len(s.CSRF))
	rand.Read(mask)
	out := append(mask, s.CSRF...)
	for i := range mask {
		out[len(mask)+i] ^= mask[i]
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

// IsForm tells whether a form's token is one of this session.
func (s *Session) IsForm(token string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	n := len(s.CSRF)
	if err != nil || n == 0 || len(raw) != 2*n {
		return false
	}
	for i := range n {
		raw[n+i] ^= raw[i]
	}
	return subtle.ConstantTimeCompare(raw[n:], []byte(s.CSRF)) == 1
}
