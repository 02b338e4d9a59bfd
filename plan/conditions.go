package plan

import (
	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// local is the embedded platform. It brings its own resolver and registry, and it is
// no cloud.
const local = "local"

// deciders says of each of the contract's conditions whether it holds of a cluster. It
// is the only place that knows which field of the file turns on which clause; a test
// fails where a condition has no decider.
var deciders = map[contract.Condition]func(*cluster.Cluster) bool{
	contract.Always: func(*cluster.Cluster) bool { return true },

	contract.IfNodePortIngress: func(c *cluster.Cluster) bool { return c.Ingress == "nodePort" },
	// Where there are infra machines it is on those, by a clause of the document, and workers have none.
	contract.IfHostPortIngress: func(c *cluster.Cluster) bool { return c.Ingress == "hostPort" && c.Infra == 0 },
	contract.IfIngressApart:    func(c *cluster.Cluster) bool { return c.Ingress == "hostPort" || c.Infra > 0 },
	contract.IfNodePortRange:   func(c *cluster.Cluster) bool { return c.Options.NodePortRange },
	// Several masters reach each other's etcd, so there the file need not ask for it.
	contract.IfEtcdClientPort: func(c *cluster.Cluster) bool {
		return c.Etcd != "external" && (c.Options.EtcdClientPort || c.Masters > 1)
	},
	contract.IfReadOnlyPort:   func(c *cluster.Cluster) bool { return c.Options.ReadOnlyPort },
	contract.IfExternalEtcd:   func(c *cluster.Cluster) bool { return c.Etcd == "external" },
	contract.IfSelfHostedEtcd: func(c *cluster.Cluster) bool { return c.Etcd == "selfHosted" },
	contract.IfEtcdSeed:       func(c *cluster.Cluster) bool { return c.Etcd == "selfHosted" },
	contract.IfCloudPlugin:    func(c *cluster.Cluster) bool { return c.Platform != local },
	contract.IfMasterIsNode:   func(c *cluster.Cluster) bool { return c.SchedulableMasters },
	contract.IfNoLoadBalancer: func(c *cluster.Cluster) bool { return !c.LoadBalancer },
	contract.IfInfraTaint:     func(c *cluster.Cluster) bool { return c.Options.InfraTaint },
	contract.IfNodeExporter:   func(c *cluster.Cluster) bool { return c.Options.NodeExporter },
	contract.IfCAdvisor:       func(c *cluster.Cluster) bool { return c.Options.CAdvisor },

	contract.IfLoadBalancer:   func(c *cluster.Cluster) bool { return c.LoadBalancer },
	contract.IfSeveralMasters: func(c *cluster.Cluster) bool { return c.Masters > 1 },
	contract.IfSeveralWorkers: func(c *cluster.Cluster) bool { return c.Workers > 1 },
	contract.IfInternalEtcd:   func(c *cluster.Cluster) bool { return c.Etcd == "internal" && c.Masters > 1 },
	contract.IfInfraNodes:     func(c *cluster.Cluster) bool { return c.Infra > 0 },
	// Machines of the embedded platform share the host's clock; elsewhere a file that
	// names time servers says that the machines keep their own.
	contract.IfOwnClock:           func(c *cluster.Cluster) bool { return len(c.TimeServers) > 0 },
	contract.IfRegistriesApart:    apart,
	contract.IfAPIAmongRegistries: func(c *cluster.Cluster) bool { return !apart(c) },

	contract.IfDirectory: func(c *cluster.Cluster) bool { return c.Options.SignIn && len(c.SignIn.LDAP) > 0 },
	// SAML is between the person's browser and the provider.
	contract.IfProviderApart: func(c *cluster.Cluster) bool {
		return c.Options.SignIn && len(c.SignIn.OIDC)+len(c.SignIn.GitHub) > 0 &&
			(len(c.Registries) > 0 || !egressOpens(contract.Registries, HTTPSPort)) // the file takes no other port for providers
	},

	contract.IfSignIn:        func(c *cluster.Cluster) bool { return c.Options.SignIn },
	contract.IfIngress:       func(c *cluster.Cluster) bool { return c.Options.Ingress },
	contract.IfMetricsServer: func(c *cluster.Cluster) bool { return c.Options.MetricsServer },
	contract.IfPrometheus:    func(c *cluster.Cluster) bool { return c.Options.Prometheus },

	contract.IfOwnEtcd: func(c *cluster.Cluster) bool { return c.Etcd != "external" },
	contract.IfConsole: func(c *cluster.Cluster) bool { return c.Options.Console },
}

// apart tells whether the way to the API is none that machines have to registries.
func apart(c *cluster.Cluster) bool {
	return len(c.Registries) > 0 || !egressOpens(contract.Registries, uint16(c.APIPort))
}

// egressOpens tells whether the contract has an egress to just this peer that opens a port.
func egressOpens(peer contract.Peer, port uint16) bool {
	for _, clause := range contract.Clauses() {
		if clause.Kind == contract.Egress && len(clause.Peers) == 1 && clause.Peers[0] == peer && opens(clause.Ports, port) {
			return true
		}
	}
	return false
}

// Holds tells whether a condition holds of a cluster. A condition that has no decider
// does not hold.
func Holds(condition contract.Condition, c *cluster.Cluster) bool {
	decide, ok := deciders[condition]
	return ok && decide(c)
}
