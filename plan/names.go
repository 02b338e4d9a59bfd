package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// The contract's clauses for the cluster's two names.
const (
	apiNameClause     = "cluster.dns.api"
	consoleNameClause = "cluster.dns.console"
)

// nameFrom is the name that a dns clause gives a cluster.
func nameFrom(id string, c *cluster.Cluster) (string, error) {
	clause, ok := contract.ByID(id)
	if !ok || len(clause.Names) == 0 {
		return "", fmt.Errorf("the contract has no dns clause %s with a name", id)
	}
	return strings.NewReplacer("<cluster-name>", c.Name, "<subdomain>", c.Subdomain).Replace(clause.Names[0]), nil
}

// namesOf are the cluster's DNS records, sorted by name. Both names lead to the load
// balancer, each to an address of its own where an ingress is behind it. Where there is
// none, the API's leads to the masters. The console's leads to the machines that run the
// ingress on host ports, where it does so: to the infra machines, or else the workers.
func namesOf(c *cluster.Cluster, network Network, machines []Machine) ([]Name, error) {
	targets := func(balancer netip.Addr, role contract.Role) (out []string) {
		if balancer.IsValid() {
			return []string{balancer.String()}
		}
		for i := range machines {
			if machines[i].Role == role {
				out = append(out, machines[i].Address.String())
			}
		}
		return out
	}
	console, at := network.LoadBalancer, contract.Infra
	switch {
	case network.Ingress.IsValid():
		console = network.Ingress
	case Holds(contract.IfIngress, c) && !Holds(contract.IfNodePortIngress, c):
		console, at = netip.Addr{}, hostPortRole(c)
	}
	names := []Name{
		{Name: network.APIServer, Type: "A", Targets: targets(network.LoadBalancer, contract.Master)},
		{Name: network.Console, Type: "A", Targets: targets(console, at)},
	}
	for _, n := range names {
		if len(n.Targets) == 0 {
			return nil, fmt.Errorf("infra: nothing answers for %s without a load balancer: set infra to 1 or more, or loadBalancer to true", n.Name)
		}
	}
	slices.SortFunc(names, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
	return names, nil
}
