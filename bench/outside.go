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
	"strings"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/haproxy"
)

// outsidePort is where the ingress's program listens that is run outside of the cluster, in the user
// network, and where a load balancer leads to it.
const outsidePort = 8443

// outside is that program's address.
func outside(p *plan.Plan) netip.AddrPort {
	return netip.AddrPortFrom(local.UserAddress(p.Network), outsidePort)
}

// balancedOutside is the address of the load balancer that leads to it: the cluster's own address for the
// ingress, at another port.
func balancedOutside(p *plan.Plan) netip.AddrPort {
	return netip.AddrPortFrom(p.Network.Ingress, outsidePort)
}

// withProxyOutside runs do while the ingress's own program runs as a bare process in the user
// network, with the same certificate and the same ways to speak as in the cluster, and leads
// the console's name to an application's address. A load balancer like the cluster's, at the same place
// in the network, leads to it too.
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
		os.WriteFile(filepath.Join(routes, "web.yaml"), route, 0o600)); err != nil {
		return err
	}
	balancer, err := balancerOutside(p, dir)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended, programs := make(chan error), []command.Cmd{
		{Name: "nsenter", Args: []string{"--net=/run/netns/craton-" + p.Cluster + "-user", built.HostBin(program),
			"--providers.file.directory=" + routes, "--providers.kubernetesingress=true", "--ping.manualrouting=true",
			"--entrypoints.health.address=127.0.0.1:8082", "--entrypoints.https.asdefault=true", "--entrypoints.https.http.tls=true",
			"--entrypoints.https.address=" + outside(p).String(), "--entrypoints.https.proxyprotocol.trustedips=" + p.Network.LoadBalancer.String(),
		}, Env: []string{"KUBECONFIG=" + kubeconfig, "GOGC=50"}, Timeout: 5 * time.Minute},
		{Name: "nsenter", Args: []string{"--net=/run/netns/craton-" + p.Cluster + "-balancer", "haproxy", "-db", "-f", balancer}, Timeout: 5 * time.Minute},
	}
	for _, c := range programs {
		go func() {
			_, err := c.Run(ctx)
			stop()
			ended <- err
		}()
	}
	err = do(ctx)
	early := ctx.Err() != nil
	stop()
	for range programs {
		if said := <-ended; early {
			err = errors.Join(err, said)
		}
	}
	return err
}

// balancerOutside writes the configuration of a load balancer that is as the cluster's is but for where it
// leads to.
func balancerOutside(p *plan.Plan, dir string) (file string, err error) {
	own, err := haproxy.Config(p, haproxy.Options{})
	if err != nil {
		return "", err
	}
	settings, _, ok := strings.Cut(string(own), "\nfrontend ")
	if !ok {
		return "", errors.New("the load balancer's configuration has no frontend")
	}
	file = filepath.Join(dir, "haproxy.cfg")
	return file, os.WriteFile(file, fmt.Appendf(nil, "%s\nfrontend outside\n\tbind %s\n\tdefault_backend outside\n\nbackend outside\n\tserver outside %s send-proxy-v2\n",
		settings, balancedOutside(p), outside(p)), 0o600)
}
