package contract

// workerClauses are the document's clauses for worker nodes, in its order.
func workerClauses() []Clause {
	return []Clause{
		{
			ID: "worker.machine.kubelet-only", Role: Worker, Kind: Machine, Level: Must, Origin: Document, Line: 59,
			Purpose: "start nothing but the kubelet on boot",
		},
		{
			ID: "worker.count.machines", Role: Worker, Kind: Count, Level: Must, Origin: Document, Line: 61,
			Counts: []int{0, CountOrMore}, Purpose: "user applications", Inferred: []string{"level", "counts"},
		},

		// Ingress
		{
			// Nothing is known to need this line beside the narrower ones below it: no
			// component lists it, so the minimal profile leaves it out.
			ID: "worker.ingress.masters-all", Role: Worker, Kind: Ingress, Level: Must, Origin: Document, Line: 64,
			Protocols: []Protocol{TCP, UDP}, Ports: []PortRange{{1, 65535}}, Peers: []Peer{Masters},
			Purpose: "whatever masters need", Inferred: []string{"protocols", "purpose"},
		},
		{
			// Users reach services on these ports: nobody else needs the range.
			ID: "worker.ingress.node-ports", Role: Worker, Kind: Ingress, Level: Must, Origin: Document, Line: 65,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{UserNetwork},
			Purpose: "the host port range", Inferred: []string{"protocols", "peers"},
		},
		{
			ID: "worker.ingress.vxlan", Role: Worker, Kind: Ingress, Level: Must, Origin: Document, Line: 66,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{Masters, Workers},
			Purpose: "VXLAN (flannel)",
		},
		{
			ID: "worker.ingress.kubelet", Role: Worker, Kind: Ingress, Level: Should, Origin: Document, Line: 67,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{10250, 10250}}, Peers: []Peer{Masters},
			Purpose: "port-forward, exec and proxy", Inferred: []string{"protocols"},
		},
		{
			ID: "worker.ingress.node-exporter", Role: Worker, Kind: Ingress, Level: Should, Origin: Document, Line: 68,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{9100, 9100}}, Peers: []Peer{Masters, Workers},
			Purpose: "Prometheus Node Exporter metrics", Inferred: []string{"protocols"},
		},
		{
			ID: "worker.ingress.cadvisor", Role: Worker, Kind: Ingress, Level: Should, Origin: Document, Line: 69,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{4194, 4194}}, Peers: []Peer{Masters},
			Purpose: "Heapster's connections to cAdvisor", Inferred: []string{"protocols"},
		},
		{
			ID: "worker.ingress.etcd-pods", Role: Worker, Kind: Ingress, Level: May, Origin: Document, Line: 70,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2379, 2380}}, Peers: []Peer{Masters, Workers},
			Purpose: "self-hosted etcd pods", Condition: IfSelfHostedEtcd, Inferred: []string{"protocols", "peers"},
		},

		// Egress
		{
			ID: "worker.egress.images", Role: Worker, Kind: Egress, Level: Must, Origin: Document, Line: 72,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, Peers: []Peer{Registries},
			Purpose: "image downloads from gcr, quay and docker hub", Inferred: []string{"protocols"},
		},

		{
			ID: "worker.machine.kubelet", Role: Worker, Kind: Machine, Level: Must, Origin: Document, Line: 74,
			Labels: []string{"node-role.kubernetes.io/node=true"}, Purpose: "start the kubelet on boot",
		},
	}
}
