// Package signin is a person's side of signing in to a cluster: in a browser, or by a code that
// is typed into a browser elsewhere; the tokens that come of it, kept in a file of that person's
// own and renewed while the session lasts; and the kubeconfig by which kubectl gets them.
//
// It knows any OpenID Connect provider, and nothing of clusters, plans or machines. Who may sign
// in, and what they may do then, is decided by the provider and the API server.
package signin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// scopes ask for a name, the groups, where both come from, and to stay signed in.
var scopes = []string{oidc.ScopeOpenID, oidc.ScopeOfflineAccess, "profile", "email", "groups", "federated:id"}

// Place is where somebody signs in.
type Place struct {
	// Issuer is the provider's URL, https.
	Issuer string
	// Client is the id that craton has there; it has no secret.
	Client string
	// CA are certificates of authorities, PEM, that are trusted beside the system's.
	CA []byte
	// Connect is the HOST:PORT at which the issuer's host is reached, where that is not its name
	// and port.
	Connect string
}

// askTime is how long one answer of the provider may take.
const askTime = 20 * time.Second

// transport reaches the provider, and whomever else a redirect names, over verified TLS.
func (p Place) transport() (http.RoundTripper, error) {
	u, err := url.Parse(p.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("issuer %q: expected an https URL", p.Issuer)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine that has none
	}
	if len(p.CA) > 0 && !roots.AppendCertsFromPEM(p.CA) {
		return nil, errors.New("the certificate authority of the cluster is not in PEM: get the kubeconfig anew")
	}
	issuer := u.Host
	if u.Port() == "" {
		issuer = net.JoinHostPort(u.Hostname(), "443")
	}
	dialer := &net.Dialer{Timeout: askTime}
	return &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if p.Connect != "" && addr == issuer {
				addr = p.Connect
			}
			return dialer.DialContext(ctx, network, addr)
		},
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: askTime,
	}, nil
}

// session is a provider that has been found.
type session struct {
	place    Place
	client   *http.Client
	provider *oidc.Provider
	config   oauth2.Config
}

// find asks the provider what it offers. The error says what to look at.
func (p Place) find(ctx context.Context) (*session, context.Context, error) {
	transport, err := p.transport()
	if err != nil {
		return nil, nil, err
	}
	s := &session{place: p, client: &http.Client{Timeout: askTime, Transport: transport}}
	ctx = oidc.ClientContext(ctx, s.client)
	if s.provider, err = oidc.NewProvider(ctx, p.Issuer); err != nil {
		return nil, nil, fmt.Errorf("%s does not answer as the cluster's sign-in: %w: is the cluster up, and options.signIn on?", p.Issuer, err)
	}
	s.config = oauth2.Config{ClientID: p.Client, Scopes: scopes, Endpoint: s.provider.Endpoint()}
	// A client without a secret says who it is in the form; it has nothing for a header.
	s.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	return s, ctx, nil
}
