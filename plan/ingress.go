package plan

import (
	"net/netip"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// Ingress is where a cluster's ingress controller runs and listens.
type Ingress struct {
	// Role is the role whose machines run it.
	Role contract.Role
	// HTTPS, HTTP and Health are the ports of these machines on which others reach it; 0 for
	// one that there is not.
	HTTPS, HTTP, Health uint16
	// HostPorts says that the ports are the machines' own, rather than node ports.
	HostPorts bool
}

// The ingress controller's clauses.
const (
	nodePortClause   = "master.ingress.tectonic"
	infraPortClause  = "infra.ingress.console"
	workerPortClause = "worker.ingress.host-ports"
)

// Ports that browsers know for the two schemes. By these numbers a load balancer listens, and
// the ports of the contract's clauses about host ports are told apart.
const (
	HTTPSPort = 443
	HTTPPort  = 80
)

// IngressController says where the plan's ingress controller is; ok is false where it has none.
// The document gives node ports to masters. It names three of them and does not say which is
// which: the first is for HTTPS, then HTTP and health, as Tectonic's installer had them.
func (p *Plan) IngressController() (in Ingress, ok bool) {
	if p.File == nil || !Holds(contract.IfIngress, p.File) {
		return in, false
	}
	if Holds(contract.IfNodePortIngress, p.File) {
		clause, found := contract.ByID(nodePortClause)
		if !found || len(clause.Ports) != 1 || clause.Ports[0].Last != clause.Ports[0].First+2 {
			return in, false
		}
		first := clause.Ports[0].First
		return Ingress{Role: clause.Role, HTTPS: first, HTTP: first + 1, Health: first + 2}, true
	}
	id := workerPortClause
	if hostPortRole(p.File) == contract.Infra {
		id = infraPortClause
	}
	clause, found := contract.ByID(id)
	if !found {
		return in, false
	}
	in = Ingress{Role: clause.Role, HostPorts: true}
	if opens(clause.Ports, HTTPSPort) {
		in.HTTPS = HTTPSPort
	}
	if opens(clause.Ports, HTTPPort) {
		in.HTTP = HTTPPort
	}
	return in, in.HTTPS != 0
}

// hostPortRole is whose host ports the ingress controller has: infra machines are for nothing
// else.
func hostPortRole(c *cluster.Cluster) contract.Role {
	if c.Infra > 0 {
		return contract.Infra
	}
	return contract.Worker
}

// IngressAddresses are where the user network finds the ingress controller's HTTPS.
func (p *Plan) IngressAddresses() []netip.AddrPort {
	in, ok := p.IngressController()
	if !ok {
		return nil
	}
	if p.Network.Ingress.IsValid() {
		return []netip.AddrPort{netip.AddrPortFrom(p.Network.Ingress, HTTPSPort)}
	}
	var all []netip.AddrPort
	for _, m := range p.Machines {
		if m.Role == in.Role {
			all = append(all, netip.AddrPortFrom(m.Address, in.HTTPS))
		}
	}
	return all
}
