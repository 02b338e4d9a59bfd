package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// TLS are the files with which a client and etcd know each other. The key's certificate is
// read anew for each connection, so that a renewed one is used.
type TLS struct {
	CA, Cert, Key string
}

// Config fails where a file is missing or is not what it should be; the error names it.
func (t TLS) Config() (*tls.Config, error) {
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("etcd's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("etcd's authority: %s holds no certificate: expected PEM", t.CA)
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("etcd's client certificate %s with key %s: %w", t.Cert, t.Key, err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() },
	}, nil
}

// askFor is how long one question to one member may take. A member on the same network
// answers in a few milliseconds; one that is stopped never does.
const askFor = time.Second

// changeFor is how long a change of the membership may take: an election may come between.
const changeFor = 5 * time.Second

// Client makes a client of these endpoints that logs nothing and never waits for a
// connection by itself: each call needs a context with an end. The caller closes it.
func Client(t TLS, endpoints ...string) (*clientv3.Client, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("etcd: no endpoint to ask: expected https://ADDRESS:PORT")
	}
	secure, err := t.Config()
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints,
		TLS:       secure,
		Logger:    zap.NewNop(),
		// Who asks decides whether to ask again.
		MaxUnaryRetries:      1,
		DialTimeout:          askFor,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		DialOptions: []grpc.DialOption{
			// A member that was away for long is seen as soon as it is back. gRPC would by
			// then only look every two minutes.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: askFor,
			}),
		},
	})
}

// clients keeps one connection a member: a handshake for each question would cost more than
// all else that the keeper does.
type clients struct {
	tls TLS

	mu    sync.Mutex
	byURL map[string]*clientv3.Client
}

func newClients(t TLS) *clients { return &clients{tls: t, byURL: map[string]*clientv3.Client{}} }

func (c *clients) get(url string) (*clientv3.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.byURL[url]; known != nil {
		return known, nil
	}
	made, err := Client(c.tls, url)
	if err != nil {
		return nil, err
	}
	c.byURL[url] = made
	return made, nil
}

// only closes the connections to all but these.
func (c *clients) only(urls map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for url, client := range c.byURL {
		if !urls[url] {
			client.Close()
			delete(c.byURL, url)
		}
	}
}

func (c *clients) close() { c.only(nil) }

// ask calls with the client of one endpoint and a time limit.
func ask[T any](ctx context.Context, c *clients, url string, limit time.Duration, call func(context.Context, *clientv3.Client) (T, error)) (T, error) {
	var none T
	client, err := c.get(url)
	if err != nil {
		return none, err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := call(limited, client)
	if err != nil {
		return none, fmt.Errorf("%s: %w", url, err)
	}
	return answer, nil
}

// changed is what became of a change of the membership. It says what etcd's shortest
// sentence means.
func changed(err error) error {
	if errors.Is(err, rpctypes.ErrUnhealthy) {
		return fmt.Errorf("etcd changes its members only once the voters have been connected for five seconds (%w)", rpctypes.ErrUnhealthy)
	}
	return err
}
