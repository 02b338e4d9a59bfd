package plan

import (
	"fmt"
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
// balancer; where there is none, the API's leads to the masters and the console's to the
// infra machines, whose ingress controller serves it.
func namesOf(network Network, machines []Machine) ([]Name, error) {
	targets := func(role contract.Role) (out []string) {
		if network.LoadBalancer.IsValid() {
			return []string{network.LoadBalancer.String()}
		}
		for i := range machines {
			if machines[i].Role == role {
				out = append(out, machines[i].Address.String())
			}
		}
		return out
	}
	names := []Name{
		{Name: network.APIServer, Type: "A", Targets: targets(contract.Master)},
		{Name: network.Console, Type: "A", Targets: targets(contract.Infra)},
	}
	for _, n := range names {
		if len(n.Targets) == 0 {
			return nil, fmt.Errorf("infra: nothing answers for %s without a load balancer: set infra to 1 or more, or loadBalancer to true", n.Name)
		}
	}
	slices.SortFunc(names, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
	return names, nil
}
