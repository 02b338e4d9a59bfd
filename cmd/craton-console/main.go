// Command craton-console serves the Console of a cluster (see package console). It has no
// rights of its own in the cluster: who is signed in, acts with their own token.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"craton.dev/craton/console"
	"craton.dev/craton/console/kube"
	"craton.dev/craton/console/signin"
	"craton.dev/craton/operate/footprint"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "craton-console:", err)
		os.Exit(1)
	}
}

// endWithin is how long requests may take that run when the Console is to end. Streams are
// ended at once: browsers begin them anew, with the next Console.
const endWithin = 5 * time.Second

func run() error {
	handler := slog.NewTextHandler(os.Stderr, nil)
	log := slog.New(handler)
	klog.SetLogger(logr.FromSlogHandler(handler))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	flags := flag.NewFlagSet("craton-console", flag.ExitOnError)
	listen := flags.String("listen", ":8080", "the `address` to listen on")
	cert := flags.String("tls-cert", "", "the `file` of the certificate to serve with; none where something in front ends TLS")
	key := flags.String("tls-key", "", "the `file` of its key")
	cluster := flags.String("cluster", "", "the cluster's `name`")
	url := flags.String("url", "", "the Console's own `address`, as in https://demo.cluster.test")
	api := flags.String("api", "", "the `address` of the API, as in https://10.96.0.1")
	apiCA := flags.String("api-ca", "", "the `file` of the authority of the API's certificate")
	issuer := flags.String("issuer", "", "the `address` of the OpenID provider, as its tokens name it")
	issuerCA := flags.String("issuer-ca", "", "the `file` of the authority of its certificate; the system's where it is left out")
	client := flags.String("client-id", "craton-console", "the Console's `name` with the provider")
	secretFile := flags.String("client-secret-file", "", "the `file` of its secret with the provider")
	keyFile := flags.String("key-file", "", fmt.Sprintf("the `file` of the %d bytes that encrypt cookies, the same for all Consoles of a cluster", signin.KeyBytes))
	flags.Parse(os.Args[1:]) // ends the program where it fails
	if flags.NArg() > 0 || *cluster == "" || *url == "" || *api == "" || *issuer == "" || *keyFile == "" {
		flags.Usage()
		os.Exit(2)
	}
	cookieKey, err := os.ReadFile(*keyFile)
	if err != nil {
		return fmt.Errorf("--key-file: %w", err)
	}
	var secret []byte
	if *secretFile != "" {
		if secret, err = os.ReadFile(*secretFile); err != nil {
			return fmt.Errorf("--client-secret-file: %w", err)
		}
	}
	provider, err := clientFor(*issuerCA)
	if err != nil {
		return fmt.Errorf("--issuer-ca: %w", err)
	}
	in, err := signin.New(signin.Options{
		Issuer: *issuer, ClientID: *client, ClientSecret: strings.TrimSpace(string(secret)),
		URL: strings.TrimSuffix(*url, "/"), Key: cookieKey, Client: provider,
	})
	if err != nil {
		return fmt.Errorf("--key-file: %w", err)
	}
	connection, err := kube.Connect(*api, *apiCA)
	if err != nil {
		return err
	}
	c, err := console.New(console.Options{Cluster: *cluster, Kube: connection, SignIn: in, Log: log})
	if err != nil {
		return err
	}
	go footprint.Keep(ctx, footprint.Cache)
	return serve(ctx, log, c, *listen, *cert, *key)
}

func serve(ctx context.Context, log *slog.Logger, c *console.Console, listen, cert, key string) error {
	server := &http.Server{
		Addr: listen, Handler: c.Handler(),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		TLSConfig:      &tls.Config{MinVersion: tls.VersionTLS12},
	}
	ended := make(chan error, 1)
	go func() {
		if cert != "" {
			ended <- server.ListenAndServeTLS(cert, key)
			return
		}
		ended <- server.ListenAndServe()
	}()
	log.Info("the Console listens", "address", listen)
	select {
	case err := <-ended:
		return fmt.Errorf("--listen %s: %w", listen, err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if err := server.Shutdown(end); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}

// clientFor trusts an authority's certificates, or the system's where there is no file.
func clientFor(file string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", file)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, nil
}
