package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// outside is where the ingress's program listens that is run outside of the cluster, in the user
// network; behind is where a load balancer does that has this program behind it, at balanced, as the
// cluster's has the ingress.
var outside, balanced, behind = onLoopback(8443), onLoopback(8444), onLoopback(8445)

func onLoopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// balancer is a configuration of HAProxy for this pair, with the cluster's own waits.
var balancer = fmt.Sprintf(`defaults
	mode tcp
	timeout connect 2s
	timeout client 1h
	timeout server 1h
frontend outside
	bind %s
	default_backend outside
backend outside
	server outside %s send-proxy-v2
`, behind, balanced)

// withProxyOutside runs do while the ingress's own program runs as a bare process in the user
// network, with the same certificate and the same ways to speak as in the cluster, and leads
// the console's name to an application's address.
func (b *bench) withProxyOutside(ctx context.Context, p *plan.Plan, secrets *pki.Secrets, to netip.AddrPort, do func(context.Context) error) error {
	const program = "traefik"
	built, err := payload.Build(ctx, payload.Options{Want: []string{program}})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, "outside-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	pair := secrets.Pairs[plan.IdentityIngress]
	route, err := json.Marshal(map[string]any{
		"tls": map[string]any{"stores": map[string]any{"default": map[string]any{
			"defaultCertificate": map[string]any{"certFile": string(pair.Cert), "keyFile": string(pair.Key)},
		}}},
		"http": map[string]any{
			// The same Ingress objects are read, so that it is as busy; their pods cannot be reached from here.
			"routers":  map[string]any{"web": map[string]any{"rule": fmt.Sprintf("Host(`%s`)", p.Network.Console), "service": "web", "priority": 10_000}},
			"services": map[string]any{"web": map[string]any{"loadBalancer": map[string]any{"servers": []any{map[string]any{"url": "http://" + to.String()}}}}},
		},
	})
	if err != nil {
		return err
	}
	admin, err := pki.Kubeconfig(pki.Client{
		Server:        "https://" + net.JoinHostPort(p.Network.LoadBalancer.String(), strconv.Itoa(int(p.Network.APIPort))),
		TLSServerName: p.Network.APIServer, CA: secrets.Authorities[pki.KubernetesCA].Cert,
		Pair: secrets.Pairs[bootstrap.Admin], Context: p.Cluster, User: bootstrap.Admin,
	})
	if err != nil {
		return err
	}
	kubeconfig, routes := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "routes")
	if err := errors.Join(os.WriteFile(kubeconfig, admin, 0o600), os.Mkdir(routes, 0o700),
		os.WriteFile(filepath.Join(routes, "web.yaml"), route, 0o600), os.WriteFile(filepath.Join(dir, "balancer"), []byte(balancer), 0o600)); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	run := func(env []string, argv ...string) error {
		_, err := command.Cmd{
			Name: "nsenter", Args: append([]string{"--net=/run/netns/craton-" + p.Cluster + "-user"}, argv...), Env: env, Timeout: 5 * time.Minute,
		}.Run(ctx)
		stop()
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- run(nil, "haproxy", "-db", "-f", filepath.Join(dir, "balancer")) }()
	go func() {
		ended <- run([]string{"KUBECONFIG=" + kubeconfig, "GOGC=50"}, built.HostBin(program),
			"--providers.file.directory="+routes, "--providers.kubernetesingress=true", "--ping.manualrouting=true",
			"--entrypoints.health.address=127.0.0.1:8082", "--entrypoints.https.asdefault=true", "--entrypoints.https.http.tls=true",
			"--entrypoints.https.address="+outside.String(),
			"--entrypoints.balanced.address="+balanced.String(), "--entrypoints.balanced.asdefault=true",
			"--entrypoints.balanced.http.tls=true", "--entrypoints.balanced.proxyprotocol.trustedips="+balanced.Addr().String())
	}()
	err = do(ctx)
	early := ctx.Err() != nil
	stop()
	if said := errors.Join(<-ended, <-ended); early {
		return errors.Join(err, said)
	}
	return err
}
