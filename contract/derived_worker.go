package contract

// derivedWorkerClauses are what workers need beyond the document.
func derivedWorkerClauses() []Clause {
	return []Clause{
		{
			ID: "worker.ingress.host-ports", Role: Worker, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{80, 80}, {443, 443}}, Peers: []Peer{All},
			Purpose: "the ingress controller on host ports", Condition: IfHostPortIngress,
			Reason: "the document (line 27) puts ingress on workers' host ports where it isn't on node ports, and opens none; " +
				"without it nothing behind the ingress controller is reachable",
		},
		{
			// The document's clause for the range names no peer, and is read as for users: it stays so.
			ID: "worker.ingress.node-ports-workers", Role: Worker, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{Workers},
			Purpose: "pods on other workers that ask for a service at a node port", Condition: IfSeveralWorkers,
			Reason: "a pod's packet to another machine's address leaves under its own machine's, which is not in the user network; " +
				"without it a pod that is given a machine's address and a node port, as Kubernetes' own conformance tests do, gets no answer",
		},
		{
			ID: "worker.ingress.node-ports-as-node", Role: Worker, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{Masters},
			Purpose: "pods on masters that ask for a service at a node port", Condition: IfMasterIsNode,
			Reason: "users' pods then run on masters as well, and reach workers under the masters' addresses; " +
				"without it those pods get no answer at a worker's node port",
		},
		{
			ID: "worker.ingress.vxlan-infra", Role: Worker, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{InfraNodes},
			Purpose: "VXLAN from infra nodes", Condition: IfInfraNodes,
			Reason: "the document lets VXLAN in from masters and workers only; without it the ingress controller on infra nodes " +
				"reaches no pod on a worker",
		},
		{
			ID: "worker.egress.api", Role: Worker, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, PortFrom: "apiPort",
			Peers: []Peer{Masters, LoadBalancers}, Purpose: "the Kubernetes API", Condition: IfRegistriesApart,
			Reason: "the egress to registries then leaves out the API; without it no worker joins",
		},
		{
			ID: "worker.egress.vxlan", Role: Worker, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{Masters, InfraNodes, Workers},
			Purpose: "VXLAN (flannel)",
			Reason:  "the document gives only the ingress; without the egress pods on different machines can't reach each other",
		},
		{
			ID: "worker.egress.node-ports", Role: Worker, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{Workers},
			Purpose: "node ports of other workers", Condition: IfSeveralWorkers,
			Reason: "the other side of worker.ingress.node-ports-workers; without it no pod reaches a node port at another worker's address",
		},
		{
			ID: "worker.egress.node-ports-as-node", Role: Worker, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{Masters},
			Purpose: "node ports of masters that are workers as well", Condition: IfMasterIsNode,
			Reason: "the other side of master.ingress.node-ports-as-node; without it pods on workers get no answer at such a master's node port",
		},
		{
			ID: "worker.egress.node-exporter", Role: Worker, Kind: Egress, Level: Should, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{9100, 9100}}, Peers: []Peer{Masters, Workers},
			Purpose: "Prometheus Node Exporter metrics",
			Reason:  "the document gives only the ingress; without the egress a Prometheus on a worker reads no other machine's metrics",
		},
		{
			ID: "worker.egress.etcd-pods", Role: Worker, Kind: Egress, Level: May, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2379, 2380}}, Peers: []Peer{Masters, Workers},
			Purpose: "self-hosted etcd pods", Condition: IfSelfHostedEtcd,
			Reason: "the document gives workers only the ingress; without the egress an etcd pod on a worker reaches no other member",
		},
		dnsEgress(Worker),
		ntpEgress(Worker),
	}
}
