package contract

// derivedMasterClauses are what masters need beyond the document. Each ingress from
// another machine has its egress on that machine's role, and the other way round: both
// ends drop what no clause opens.
func derivedMasterClauses() []Clause {
	return []Clause{
		{
			ID: "master.ingress.api", Role: Master, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, PortFrom: "apiPort",
			Peers: []Peer{Masters, InfraNodes, Workers}, Purpose: "the Kubernetes API",
			Reason: "every kubelet, and through the kubernetes service every pod, talks to the API servers' own addresses; " +
				"without it no machine joins and no controller, kube-proxy or flannel on another machine works",
		},
		{
			ID: "master.ingress.api-load-balancer", Role: Master, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, PortFrom: "apiPort",
			Peers: []Peer{LoadBalancers}, Purpose: "the Kubernetes API behind its load balancer", Condition: IfLoadBalancer,
			Reason: "the API's name resolves to the load balancer, which passes connections on and checks health on the same port; " +
				"without it users and kubelets get no answer under the API's name",
		},
		{
			ID: "master.ingress.api-users", Role: Master, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, PortFrom: "apiPort",
			Peers: []Peer{UserNetwork}, Purpose: "the Kubernetes API for users", Condition: IfNoLoadBalancer,
			Reason: "the API's name then resolves to the masters themselves; without it no user's kubectl reaches the cluster",
		},
		{
			ID: "master.ingress.node-ports-as-node", Role: Master, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{UserNetwork, Masters, Workers},
			Purpose: "the host port range of a master that is a worker as well", Condition: IfMasterIsNode,
			Reason: "the document (line 65) asks it of workers; without it no service of a cluster " +
				"that has no other machines is reachable, and no pod on another machine reaches a node port there",
		},
		{
			ID: "master.ingress.vxlan-infra", Role: Master, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{InfraNodes},
			Purpose: "VXLAN from infra nodes", Condition: IfInfraNodes,
			Reason: "the document lets VXLAN in from masters and workers only; without it pods on infra nodes " +
				"and pods on masters can't reach each other",
		},
		{
			ID: "master.ingress.kubelet", Role: Master, Kind: Ingress, Level: Should, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{10250, 10250}}, Peers: []Peer{Masters},
			Purpose: "logs, port-forward, exec and proxy", Condition: IfSeveralMasters,
			Reason: "an API server reaches the kubelets of the other masters too; without it logs and exec of pods on masters " +
				"work only when the request happens to land on the pod's own master",
		},
		{
			ID: "master.ingress.etcd-peer", Role: Master, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2380, 2380}}, Peers: []Peer{Masters},
			Purpose: "etcd's replication", Condition: IfInternalEtcd,
			Reason: "etcd members replicate and elect a leader over their peer port; without it there is no quorum and the API stops",
		},
		{
			ID: "master.ingress.etcd-pods", Role: Master, Kind: Ingress, Level: May, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2379, 2380}}, Peers: []Peer{Masters, Workers},
			Purpose: "self-hosted etcd pods", Condition: IfSelfHostedEtcd,
			Reason: "the document gives only the egress; without the ingress no etcd pod on a master has clients or peers " +
				"on other machines",
		},
		{
			ID: "master.ingress.etcd-seed", Role: Master, Kind: Ingress, Level: May, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{12379, 12380}}, Peers: []Peer{Masters},
			Purpose: "the temporary etcd pod", Condition: IfEtcdSeed,
			Reason: "the document gives only the egress; without the ingress the first self-hosted member " +
				"can't join the seed from another master",
		},

		{
			ID: "master.egress.api", Role: Master, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, PortFrom: "apiPort",
			Peers: []Peer{Masters, LoadBalancers}, Purpose: "the Kubernetes API", Condition: IfRegistriesApart,
			Reason: "the egress to registries then leaves out the API; without it the kubelet and the controllers of a master " +
				"can't use the API by its name or on another master",
		},
		{
			ID: "master.egress.directory", Role: Master, Kind: Egress, Level: May, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{389, 389}, {636, 636}}, Peers: []Peer{All},
			Purpose: "an LDAP directory", Condition: IfDirectory,
			Reason: "Dex, which runs on masters, asks the directory whether a password is right and which groups a person is in; " +
				"without it nobody signs in by the directory",
		},
		{
			ID: "master.egress.identity-provider", Role: Master, Kind: Egress, Level: May, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, Peers: []Peer{All},
			Purpose: "another identity provider", Condition: IfProviderApart,
			Reason: "Dex, which runs on masters, redeems the code that a browser brings from the provider; " +
				"without it nobody signs in there",
		},
		{
			ID: "master.egress.vxlan", Role: Master, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{Masters, InfraNodes, Workers},
			Purpose: "VXLAN (flannel)",
			Reason: "the document gives only the ingress; without the egress a master's pods, and its API server's calls " +
				"to webhooks and aggregated APIs, reach no pod on another machine",
		},
		{
			ID: "master.egress.kubelet", Role: Master, Kind: Egress, Level: Should, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{10250, 10250}}, Peers: []Peer{Masters, InfraNodes, Workers},
			Purpose: "logs, port-forward, exec and proxy",
			Reason:  "the document gives only the ingress; without the egress logs, exec, port-forward and proxy time out",
		},
		{
			ID: "master.egress.workers-all", Role: Master, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP, UDP}, Ports: []PortRange{{1, 65535}}, Peers: []Peer{Workers},
			Purpose: "whatever masters need of workers",
			Reason:  "the other side of worker.ingress.masters-all; without it that line of the document opens nothing",
		},
		{
			ID: "master.egress.node-ports-as-node", Role: Master, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{Masters, Workers},
			Purpose: "node ports of other machines, for users' pods on a master", Condition: IfMasterIsNode,
			Reason: "users' pods then run on masters as well; without it those get no answer at another machine's node port",
		},
		{
			ID: "master.egress.etcd-client", Role: Master, Kind: Egress, Level: May, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2379, 2379}}, Peers: []Peer{Masters},
			Purpose: "the etcd client API", Condition: IfEtcdClientPort,
			Reason: "the other side of master.ingress.etcd-client; without it an API server depends on its own master's member, " +
				"and a new member can't ask the others to let it in",
		},
		{
			ID: "master.egress.etcd-peer", Role: Master, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2380, 2380}}, Peers: []Peer{Masters},
			Purpose: "etcd's replication", Condition: IfInternalEtcd,
			Reason: "the other side of master.ingress.etcd-peer; without it there is no quorum and the API stops",
		},
		{
			ID: "master.egress.node-exporter", Role: Master, Kind: Egress, Level: Should, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{9100, 9100}}, Peers: []Peer{Masters, Workers},
			Purpose: "Prometheus Node Exporter metrics",
			Reason:  "the document gives only the ingress; without the egress a Prometheus on a master reads no other machine's metrics",
		},
		{
			ID: "master.egress.cadvisor", Role: Master, Kind: Egress, Level: Should, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{4194, 4194}}, Peers: []Peer{Workers},
			Purpose: "connections to cAdvisor",
			Reason:  "the document gives only the ingress; without the egress a collector on a master reads no cAdvisor",
		},
		dnsEgress(Master),
		ntpEgress(Master),
	}
}

// dnsEgress is the same for every role. Both protocols: answers that don't fit in a
// datagram are asked for again over tcp.
func dnsEgress(role Role) Clause {
	return Clause{
		ID: string(role) + ".egress.dns", Role: role, Kind: Egress, Level: Must, Origin: Derived,
		Protocols: []Protocol{TCP, UDP}, Ports: []PortRange{{53, 53}}, Peers: []Peer{Resolvers},
		Purpose: "name resolution",
		Reason:  "the cluster is known by names; without it neither the API's nor the registries' resolve, and cluster DNS answers for no name outside",
	}
}

// ntpEgress is the same for every role.
func ntpEgress(role Role) Clause {
	return Clause{
		ID: string(role) + ".egress.ntp", Role: role, Kind: Egress, Level: Must, Origin: Derived,
		Protocols: []Protocol{UDP}, Ports: []PortRange{{123, 123}}, Peers: []Peer{TimeServers},
		Purpose: "time", Condition: IfOwnClock,
		Reason: "certificates and leases are judged by the clock; without it clocks drift until certificates are refused",
	}
}
