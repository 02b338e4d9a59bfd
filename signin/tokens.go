package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Tokens are what signing in gives.
type Tokens struct {
	// ID is the token that the API server takes.
	ID string `json:"id"`
	// Refresh gets the next ones, once.
	Refresh string    `json:"refresh"`
	Expires time.Time `json:"expires"`
	// Name is who signed in, for people to read.
	Name   string   `json:"name"`
	Groups []string `json:"groups,omitempty"`
}

// ErrSignInAgain says that there is nothing to renew, or that the provider does not renew it.
var ErrSignInAgain = errors.New("not signed in, or not any more: run craton login")

// early is how long before its end a token is renewed, so that it lasts for what it is asked for.
const early = 30 * time.Second

// fresh says whether the token can still be used.
func (t *Tokens) fresh(now time.Time) bool { return t != nil && now.Add(early).Before(t.Expires) }

// accept checks what a provider gave: that it is signed by it, for us, now, and, where a nonce
// was sent, for this attempt to sign in.
func (s *session) accept(ctx context.Context, got *oauth2.Token, nonce string) (*Tokens, error) {
	raw, ok := got.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, fmt.Errorf("%s gave no identity token: is it the cluster's sign-in?", s.place.Issuer)
	}
	// Only algorithms with a key pair: "none", and a client's secret as a key, are no signature.
	verifier := s.provider.VerifierContext(ctx, &oidc.Config{
		ClientID:             s.place.Client,
		SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256, oidc.PS256, oidc.EdDSA},
	})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		hint := ""
		if _, late := errors.AsType[*oidc.TokenExpiredError](err); late {
			hint = fmt.Sprintf(": this machine's clock says %s, is that right?", time.Now().UTC().Format(time.RFC3339))
		}
		return nil, fmt.Errorf("the token of %s is refused: %w%s", s.place.Issuer, err, hint)
	}
	if nonce != "" && token.Nonce != nonce {
		return nil, fmt.Errorf("the token of %s is for another attempt to sign in: run craton login again", s.place.Issuer)
	}
	var claims struct {
		Email  string   `json:"email"`
		Name   string   `json:"name"`
		Groups []string `json:"groups"`
	}
	if err := token.Claims(&claims); err != nil {
		return nil, fmt.Errorf("the token of %s: %w", s.place.Issuer, err)
	}
	name := claims.Email
	for _, other := range []string{claims.Name, token.Subject} {
		if name == "" {
			name = other
		}
	}
	return &Tokens{ID: raw, Refresh: got.RefreshToken, Expires: token.Expiry, Name: name, Groups: claims.Groups}, nil
}

// Renew gets the next tokens. It is ErrSignInAgain where the session is over.
func (p Place) Renew(ctx context.Context, old *Tokens) (*Tokens, error) {
	if old == nil || old.Refresh == "" {
		return nil, ErrSignInAgain
	}
	s, ctx, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	got, err := s.config.TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh}).Token()
	// Dex answers with status 500 about somebody who is not there any more, but says what it is.
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && (refused.ErrorCode == "invalid_grant" || refused.ErrorCode == "invalid_request") {
		return nil, fmt.Errorf("%w (%s said %s)", ErrSignInAgain, p.Issuer, refused.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("renew the token at %s: %w", p.Issuer, err)
	}
	return s.accept(ctx, got, "")
}
