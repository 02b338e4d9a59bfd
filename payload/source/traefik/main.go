//go:build ignore

// Command traefik is Traefik as an ingress controller of a cluster, and nothing else: its own
// server, told by Kubernetes and by files. It takes Traefik's flags. It differs from upstream's program where
// that one would lose requests when it is replaced:
//
//   - It takes connections once it knows what is in Kubernetes; upstream's answers 404 until
//     then.
//   - Its health (the entry point called "health") is one of the process, and good only from
//     then on.
//   - Where another process listens on the same port (reusePort), it stops listening at once when
//     it is to end; upstream's would go on taking connections to the last, and drop some.
//
// What asks the world is not in it: certificates from ACME, plugins, the search for newer
// versions, statistics.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/log"
	"github.com/traefik/paerser/cli"
	"github.com/traefik/traefik/v3/cmd"
	tcli "github.com/traefik/traefik/v3/pkg/cli"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/runtime"
	"github.com/traefik/traefik/v3/pkg/config/static"
	"github.com/traefik/traefik/v3/pkg/observability/metrics"
	"github.com/traefik/traefik/v3/pkg/provider/aggregator"
	"github.com/traefik/traefik/v3/pkg/provider/traefik"
	"github.com/traefik/traefik/v3/pkg/proxy/httputil"
	"github.com/traefik/traefik/v3/pkg/safe"
	"github.com/traefik/traefik/v3/pkg/server"
	"github.com/traefik/traefik/v3/pkg/server/middleware"
	"github.com/traefik/traefik/v3/pkg/server/service"
	"github.com/traefik/traefik/v3/pkg/tcp"
	traefiktls "github.com/traefik/traefik/v3/pkg/tls"
)

// health is the entry point of the process's own health.
const health = "health"

func main() {
	config := cmd.NewTraefikConfiguration()
	err := cli.Execute(&cli.Command{
		Name: "traefik", Description: "Traefik as an ingress controller.",
		Configuration: config, Resources: []cli.ResourceLoader{&tcli.FlagLoader{}},
		Run: func([]string) error { return run(&config.Configuration) },
	})
	if err != nil {
		log.Error().Err(err).Send()
		os.Exit(1)
	}
}

func run(config *static.Configuration) error {
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	level := zerolog.WarnLevel
	if config.Log != nil {
		if l, err := zerolog.ParseLevel(config.Log.Level); err == nil && l != zerolog.NoLevel {
			level = l
		}
	}
	zerolog.SetGlobalLevel(level)
	config.SetEffectiveConfiguration()
	if err := config.ValidateConfiguration(); err != nil {
		return err
	}
	own := config.EntryPoints[health]
	if own == nil || config.Ping == nil || config.Providers.KubernetesIngress == nil {
		return fmt.Errorf("expected an entry point %s, ping and the provider kubernetesIngress", health)
	}
	delete(config.EntryPoints, health)

	var takes atomic.Bool
	config.Ping.WithContext(ending)
	own.ReusePort = own.ReusePort || shared(config.EntryPoints)
	listener, err := listen(own)
	if err != nil {
		return err
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !takes.Load() {
			http.Error(w, "Kubernetes has not been read yet", http.StatusServiceUnavailable)
			return
		}
		config.Ping.ServeHTTP(w, r)
	}))

	points, err := server.NewTCPEntryPoints(config.EntryPoints, config.HostResolver, metrics.NewVoidRegistry())
	if err != nil {
		return err
	}
	known := make(chan struct{})
	pool := safe.NewPool(context.Background())
	watcher, err := watch(config, points, pool, func() { close(known) })
	if err != nil {
		return err
	}
	watcher.Start()
	select {
	case <-known:
	case <-ending.Done():
		return errors.New("ended before Kubernetes was read")
	}
	points.Start() // those who have connected meanwhile have waited in the kernel's queue
	takes.Store(true)

	<-ending.Done()
	if shared(config.EntryPoints) {
		// Entry points that are about to end do not call it an error. The kernel gives who is in
		// the queue to the other process (net.ipv4.tcp_migrate_req).
		time.AfterFunc(100*time.Millisecond, stopListening)
	}
	points.Stop()
	return nil
}

// shared tells whether another process may listen on the same ports.
func shared(points static.EntryPoints) bool {
	for _, p := range points {
		if p.ReusePort {
			return true
		}
	}
	return false
}

func listen(p *static.EntryPoint) (net.Listener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if !p.ReusePort {
			return nil
		}
		const reusePort = 15 // SO_REUSEPORT
		return errors.Join(raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, reusePort, 1)
		}), err)
	}}
	return c.Listen(context.Background(), "tcp", p.GetAddress())
}

// stopListening ends listening on every socket of this process that does, and keeps its
// connections.
func stopListening() {
	const acceptsConnections = 30 // SO_ACCEPTCONN
	files, _ := filepath.Glob("/proc/self/fd/*")
	for _, f := range files {
		fd, err := strconv.Atoi(filepath.Base(f))
		if err != nil {
			continue
		}
		if yes, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, acceptsConnections); err == nil && yes == 1 {
			syscall.Shutdown(fd, syscall.SHUT_RD)
		}
	}
}

// watch takes over what the providers say. known is called once that includes Kubernetes.
func watch(config *static.Configuration, points server.TCPEntryPoints, pool *safe.Pool, known func()) (*server.ConfigurationWatcher, error) {
	providers := aggregator.NewProviderAggregator(*config.Providers)
	if err := providers.AddProvider(traefik.New(*config)); err != nil {
		return nil, err
	}
	certificates := traefiktls.NewManager(config.OCSP)
	pool.GoCtx(certificates.Run)
	observability := middleware.NewObservabilityMgr(*config, metrics.NewVoidRegistry(), nil, nil, nil, nil)
	transports := service.NewTransportManager(nil)
	proxies := httputil.NewProxyBuilder(transports, nil)
	dialers := tcp.NewDialerManager(nil)
	services := service.NewManagerFactory(*config, pool, observability, transports, proxies, nil)
	routers, err := server.NewRouterFactory(*config, services, certificates, observability, nil, dialers)
	if err != nil {
		return nil, err
	}
	// By default, routes are of the entry points that say so.
	var defaults []string
	for name, p := range config.EntryPoints {
		if p.AsDefault {
			defaults = append(defaults, name)
		}
	}
	// Nothing is taken over before the provider of this name has said something.
	watcher := server.NewConfigurationWatcher(pool, providers, defaults, "kubernetes")
	first := true
	watcher.AddListener(func(c dynamic.Configuration) {
		certificates.UpdateConfigs(context.Background(), c.TLS.Stores, c.TLS.Options, c.TLS.Certificates)
		transports.Update(c.HTTP.ServersTransports)
		proxies.Update(c.HTTP.ServersTransports)
		dialers.Update(c.TCP.ServersTransports)
		tcpRouters, _ := routers.CreateRouters(runtime.NewConfig(c))
		points.Switch(tcpRouters)
		if first {
			first = false
			known()
		}
	})
	return watcher, nil
}
