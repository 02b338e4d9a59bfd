//go:build ignore

// dex lets people sign in: Dex's own server, storages and connectors, with Dex's own format of
// configuration, as far as craton writes it, in JSON. Upstream's main has no limit to how often
// somebody may try, and one in front of it would be another process that sees every password;
// and it brings what craton has no use for: SQL and etcd storages, an administration API, the
// expansion of $VARIABLES in secrets. With them it is 15 MB larger.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	gosundheit "github.com/AppsFlyer/go-sundheit"
	"github.com/AppsFlyer/go-sundheit/checks"
	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/kubernetes"
	"github.com/dexidp/dex/storage/memory"
)

// config is the part of Dex's configuration that craton writes. Dex's documentation says what
// each field means. A field that is not here is an error, not ignored.
type config struct {
	Issuer  string `json:"issuer"`
	Storage struct {
		Type   string          `json:"type"` // kubernetes, or memory in tests
		Config json.RawMessage `json:"config"`
	} `json:"storage"`
	Web struct {
		HTTPS          string `json:"https"`
		TLSCert        string `json:"tlsCert"`
		TLSKey         string `json:"tlsKey"`
		ClientRemoteIP struct {
			Header         string         `json:"header"`
			TrustedProxies []netip.Prefix `json:"trustedProxies"`
		} `json:"clientRemoteIP"`
		Headers map[string]string `json:"headers"`
	} `json:"web"`
	Frontend struct {
		Issuer string `json:"issuer"`
		Theme  string `json:"theme"`
	} `json:"frontend"`
	OAuth2 struct {
		GrantTypes         []string `json:"grantTypes"`
		SkipApprovalScreen bool     `json:"skipApprovalScreen"`
	} `json:"oauth2"`
	Expiry struct {
		IDTokens       string `json:"idTokens"`
		AuthRequests   string `json:"authRequests"`
		DeviceRequests string `json:"deviceRequests"`
		SigningKeys    string `json:"signingKeys"`
		RefreshTokens  struct {
			ValidIfNotUsedFor string `json:"validIfNotUsedFor"`
			AbsoluteLifetime  string `json:"absoluteLifetime"`
			ReuseInterval     string `json:"reuseInterval"`
		} `json:"refreshTokens"`
	} `json:"expiry"`
	Connectors []struct {
		Type   string          `json:"type"`
		ID     string          `json:"id"`
		Name   string          `json:"name"`
		Config json.RawMessage `json:"config"`
	} `json:"connectors"`
	StaticClients    []storage.Client `json:"staticClients"`
	EnablePasswordDB bool             `json:"enablePasswordDB"`
	StaticPasswords  []password       `json:"staticPasswords"`
}

// password has its hash as text, where Dex's own type would want it in base64.
type password struct {
	Email             string   `json:"email"`
	Username          string   `json:"username"`
	PreferredUsername string   `json:"preferredUsername"`
	UserID            string   `json:"userID"`
	Hash              string   `json:"hash"`
	Groups            []string `json:"groups"`
}

func main() {
	if len(os.Args) != 3 || os.Args[1] != "serve" {
		fmt.Fprintln(os.Stderr, "usage: dex serve CONFIG.json")
		os.Exit(2)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Args[2], log); err != nil {
		log.Error("ends", "err", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, file string, log *slog.Logger) error {
	c, err := read(file)
	if err != nil {
		return err
	}
	store, err := c.store(log)
	if err != nil {
		return err
	}
	defer store.Close()
	dex, err := c.server(ctx, store, log)
	if err != nil {
		return err
	}
	certificates := &keyPair{cert: c.Web.TLSCert, key: c.Web.TLSKey}
	if _, err := certificates.get(nil); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Web.HTTPS)
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler:           newLimits(path.Clean("/"+issuerPath(c.Issuer)), c.source).handler(dex),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificates.get},
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug), // probes and port scans
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- web.Shutdown(last)
	}()
	log.Info("serving", "address", listener.Addr().String(), "issuer", c.Issuer)
	if err := web.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func read(file string) (*config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := &config{}
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// store is Dex's storage with what the configuration holds beside it.
func (c *config) store(log *slog.Logger) (storage.Storage, error) {
	var open interface {
		Open(*slog.Logger) (storage.Storage, error)
	}
	switch c.Storage.Type {
	case "kubernetes":
		open = &kubernetes.Config{}
	case "memory":
		open = &memory.Config{}
	default:
		return nil, fmt.Errorf("storage.type: %q: expected kubernetes or memory", c.Storage.Type)
	}
	if len(c.Storage.Config) > 0 {
		if err := json.Unmarshal(c.Storage.Config, open); err != nil {
			return nil, fmt.Errorf("storage.config: %w", err)
		}
	}
	s, err := open.Open(log)
	if err != nil {
		return nil, err
	}
	s = storage.WithStaticClients(patient{s}, c.StaticClients)
	var connectors []storage.Connector
	for _, one := range c.Connectors {
		connectors = append(connectors, storage.Connector{ID: one.ID, Type: one.Type, Name: one.Name, Config: one.Config})
	}
	if c.EnablePasswordDB {
		var passwords []storage.Password
		for _, p := range c.StaticPasswords {
			passwords = append(passwords, storage.Password{
				Email: p.Email, Username: p.Username, PreferredUsername: p.PreferredUsername,
				UserID: p.UserID, Hash: []byte(p.Hash), Groups: p.Groups,
			})
		}
		s = storage.WithStaticPasswords(s, passwords, log)
		connectors = append(connectors, storage.Connector{ID: server.LocalConnector, Type: server.LocalConnector, Name: "Password"})
	}
	return storage.WithStaticConnectors(s, connectors), nil
}

func (c *config) server(ctx context.Context, store storage.Storage, log *slog.Logger) (http.Handler, error) {
	now := func() time.Time { return time.Now().UTC() }
	var broken error
	life := func(field, text string) time.Duration {
		d, err := time.ParseDuration(text)
		if err != nil {
			broken = errors.Join(broken, fmt.Errorf("expiry.%s: %w", field, err))
		}
		return d
	}
	idTokens := life("idTokens", c.Expiry.IDTokens)
	authRequests := life("authRequests", c.Expiry.AuthRequests)
	deviceRequests := life("deviceRequests", c.Expiry.DeviceRequests)
	if broken != nil {
		return nil, broken
	}
	keys, err := (&signer.LocalConfig{KeysRotationPeriod: c.Expiry.SigningKeys}).Open(ctx, store, idTokens, now, log)
	if err != nil {
		return nil, err
	}
	refresh, err := server.NewRefreshTokenPolicy(log, false, c.Expiry.RefreshTokens.ValidIfNotUsedFor,
		c.Expiry.RefreshTokens.AbsoluteLifetime, c.Expiry.RefreshTokens.ReuseInterval)
	if err != nil {
		return nil, err
	}
	headers := http.Header{}
	for name, value := range c.Web.Headers {
		headers.Set(name, value)
	}
	health := gosundheit.New()
	if err := health.RegisterCheck(
		&checks.CustomCheck{CheckName: "storage", CheckFunc: storage.NewCustomHealthCheckFunc(store, now)},
		gosundheit.ExecutionPeriod(15*time.Second), gosundheit.InitiallyPassing(true),
	); err != nil {
		return nil, err
	}
	return server.NewServer(ctx, server.Config{
		Issuer: c.Issuer, Storage: store, Signer: keys, Logger: log, Now: now, HealthChecker: health,
		AllowedGrantTypes: c.OAuth2.GrantTypes, SkipApprovalScreen: c.OAuth2.SkipApprovalScreen,
		Headers: headers, Web: server.WebConfig{Issuer: c.Frontend.Issuer, Theme: c.Frontend.Theme},
		IDTokensValidFor: idTokens, AuthRequestsValidFor: authRequests, DeviceRequestsValidFor: deviceRequests,
		RefreshTokenPolicy: refresh,
		// A directory that is away must not keep the others out.
		ContinueOnConnectorFailure: true,
	})
}

// source is where a request comes from: what the ingress says, where it is the ingress that
// asks.
func (c *config) source(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	for _, trusted := range c.Web.ClientRemoteIP.TrustedProxies {
		if !trusted.Contains(peer.Addr().Unmap()) {
			continue
		}
		// The last one is the proxy's own word; those before it are whatever the client sent.
		hops := strings.Split(r.Header.Get(c.Web.ClientRemoteIP.Header), ",")
		if said, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1])); err == nil {
			return said.String()
		}
	}
	return peer.Addr().String()
}

func issuerPath(issuer string) string {
	_, rest, _ := strings.Cut(issuer, "://")
	_, p, _ := strings.Cut(rest, "/")
	return p
}

// keyPair is a certificate that is read again once its file has changed, so that a new one
// needs no restart.
type keyPair struct {
	cert, key string
	mu        sync.Mutex
	changed   time.Time
	last      *tls.Certificate
}

func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.cert)
	if err == nil && (k.last == nil || !info.ModTime().Equal(k.changed)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(k.cert, k.key); err == nil {
			k.last, k.changed = &pair, info.ModTime()
		}
	}
	if k.last == nil {
		return nil, err
	}
	return k.last, nil
}
