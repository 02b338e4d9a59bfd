// Package haproxy writes the configuration of a load balancer in front of a plan's API
// servers and its ingress, for HAProxy. TLS passes through: the load balancer has no key.
//
// Both want the same port. The ingress has an address of its own for it, rather than that the
// load balancer looks into each client's greeting for a name: clients of the API often have
// none to show, and a name that is hidden one day would lead nowhere.
package haproxy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// Options are what a platform knows and a plan does not.
type Options struct {
	// CAFile is the path of the cluster's authority, by which health checks verify API
	// servers.
	CAFile string
}

// Config is the configuration. It is an error where the plan has no load balancer.
//
// An API server gets connections while its /readyz says so. Where the cluster file turns
// the kubelet's read-only port on, which the document opens for this purpose, the checks go
// there instead; a connection that an API server then refuses is tried on another one.
//
// Checks are so frequent that an API server that hangs is left out within three seconds.
// While no check passes, connections are tried on all of them: a check can be wrong, and
// somebody who is told no by an API server is no worse off than by the load balancer. Where
// there is another one to go to, connections to one that is left out are ended: a client
// would go on waiting on its old connection.
func Config(p *plan.Plan, opt Options) ([]byte, error) {
	if !p.Network.LoadBalancer.IsValid() {
		return nil, fmt.Errorf("haproxy: the plan of cluster %s has no load balancer: set loadBalancer to true in its file", p.Cluster)
	}
	api := strconv.Itoa(int(p.Network.APIPort))
	check := fmt.Sprintf("check check-ssl verify required ca-file %s check-sni %s verifyhost %s",
		opt.CAFile, p.Network.APIServer, p.Network.APIServer)
	uri := "/readyz"
	if p.File != nil && p.File.Options.ReadOnlyPort {
		c, ok := contract.ByID("master.ingress.kubelet-read-only")
		if !ok || len(c.Ports) != 1 {
			return nil, fmt.Errorf("haproxy: the contract has no clause master.ingress.kubelet-read-only with one port")
		}
		check, uri = fmt.Sprintf("check port %d", c.Ports[0].First), "/healthz"
	}
	var b strings.Builder
	fmt.Fprintf(&b, template, net.JoinHostPort(p.Network.LoadBalancer.String(), api), uri, p.Network.APIServer)
	var cut string
	masters := p.OfRole(contract.Master)
	if len(masters) > 1 {
		cut = " on-marked-down shutdown-sessions"
	}
	for _, m := range masters {
		at := net.JoinHostPort(m.Address.String(), api)
		fmt.Fprintf(&b, "\tserver %s %s %s inter 500ms fastinter 200ms downinter 200ms fall 2 rise 1%s\n", m.Name, at, check, cut)
		fmt.Fprintf(&b, "\tserver %s-unchecked %s backup\n", m.Name, at)
	}
	ingress(&b, p)
	return []byte(b.String()), nil
}

// ingress adds what leads to the ingress's node ports, where the plan has them. The ingress
// learns by the PROXY protocol where somebody comes from. It says itself, on a port of its own
// in plain HTTP, whether it takes requests.
func ingress(b *strings.Builder, p *plan.Plan) {
	to, ok := p.IngressController()
	if !ok || to.HostPorts || !p.Network.Ingress.IsValid() {
		return
	}
	for _, way := range []struct {
		name     string
		from, to uint16
	}{{"ingress-https", plan.HTTPSPort, to.HTTPS}, {"ingress-http", plan.HTTPPort, to.HTTP}} {
		fmt.Fprintf(b, "\nfrontend %s\n\tbind %s\n\tdefault_backend %[1]s\n\nbackend %[1]s\n", way.name, netip.AddrPortFrom(p.Network.Ingress, way.from))
		b.WriteString("\tbalance leastconn\n\toption allbackups\n\toption httpchk GET /ping\n\thttp-check expect status 200\n")
		for _, m := range p.Machines {
			if m.Role == to.Role {
				at := netip.AddrPortFrom(m.Address, way.to)
				fmt.Fprintf(b, "\tserver %s %s send-proxy-v2 check port %d inter 500ms fastinter 200ms downinter 200ms fall 2 rise 1\n", m.Name, at, to.Health)
				fmt.Fprintf(b, "\tserver %s-unchecked %s send-proxy-v2 backup\n", m.Name, at)
			}
		}
	}
}

// template: a watch or an exec may be silent for a long time, so that only an hour without
// a byte ends it. There are no names to resolve: servers are addresses.
const template = `global
	maxconn 8000
	log stderr format raw daemon notice

defaults
	mode tcp
	log global
	option dontlognull
	option redispatch 1
	retries 3
	timeout connect 2s
	timeout check 750ms
	timeout client 1h
	timeout server 1h
	timeout tunnel 1h
	timeout client-fin 30s
	timeout server-fin 30s

frontend api
	bind %s
	default_backend masters

backend masters
	balance leastconn
	option allbackups
	option httpchk
	http-check send meth GET uri %s ver HTTP/1.1 hdr Host %s
	http-check expect status 200
`
