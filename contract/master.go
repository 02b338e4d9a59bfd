package contract

// masterClauses are the document's clauses for master nodes, in its order.
func masterClauses() []Clause {
	return []Clause{
		{
			ID: "master.count.machines", Role: Master, Kind: Count, Level: Must, Origin: Document, Line: 22,
			Counts: []int{1, 3, 5}, Purpose: "etcd and the Kubernetes components", Inferred: []string{"level"},
		},

		// Ingress
		{
			ID: "master.ingress.ssh", Role: Master, Kind: Ingress, Level: Must, Origin: Document, Line: 25,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{22, 22}}, Peers: []Peer{UserNetwork},
			Purpose: "ssh",
		},
		{
			ID: "master.ingress.vxlan", Role: Master, Kind: Ingress, Level: Must, Origin: Document, Line: 26,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{Masters, Workers},
			Purpose: "flannel",
		},
		{
			ID: "master.ingress.tectonic", Role: Master, Kind: Ingress, Level: Must, Origin: Document, Line: 27,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{32000, 32002}}, Peers: []Peer{All},
			Purpose: "Tectonic ingress", Condition: IfNodePortIngress, Inferred: []string{"protocols"},
		},
		{
			ID: "master.ingress.node-exporter", Role: Master, Kind: Ingress, Level: Should, Origin: Document, Line: 28,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{9100, 9100}}, Peers: []Peer{Masters, Workers},
			Purpose: "Prometheus Node Exporter metrics", Inferred: []string{"protocols"},
		},
		{
			// Users reach services on node ports: nobody else needs the range.
			ID: "master.ingress.node-ports", Role: Master, Kind: Ingress, Level: May, Origin: Document, Line: 29,
			Protocols: []Protocol{TCP, UDP}, Ports: []PortRange{{30000, 32767}}, Peers: []Peer{UserNetwork},
			Purpose: "the node port range", Condition: IfNodePortRange, Inferred: []string{"peers", "condition"},
		},
		{
			// The clients of etcd are the API servers, and those are on masters.
			ID: "master.ingress.etcd-client", Role: Master, Kind: Ingress, Level: May, Origin: Document, Line: 30,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2379, 2379}}, Peers: []Peer{Masters},
			Purpose: "the etcd client API", Condition: IfEtcdClientPort, Inferred: []string{"peers"},
		},
		{
			ID: "master.ingress.kubelet-read-only", Role: Master, Kind: Ingress, Level: May, Origin: Document, Line: 31,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{10255, 10255}}, Peers: []Peer{All},
			Purpose:   "read-only kubelet status and load balancers' health checks",
			Condition: IfReadOnlyPort, Inferred: []string{"protocols", "condition"},
		},

		// Egress
		{
			ID: "master.egress.images", Role: Master, Kind: Egress, Level: Must, Origin: Document, Line: 33,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, Peers: []Peer{Registries},
			Purpose: "image downloads from gcr, quay and docker hub", Inferred: []string{"protocols"},
		},
		{
			ID: "master.egress.external-etcd", Role: Master, Kind: Egress, Level: May, Origin: Document, Line: 34,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2379, 2379}}, Peers: []Peer{ExternalEtcd},
			Purpose: "the external etcd cluster", Condition: IfExternalEtcd, Inferred: []string{"protocols", "condition"},
		},
		{
			ID: "master.egress.etcd-pods", Role: Master, Kind: Egress, Level: May, Origin: Document, Line: 35,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{2379, 2380}}, Peers: []Peer{Masters, Workers},
			Purpose: "self-hosted etcd pods", Condition: IfSelfHostedEtcd, Inferred: []string{"protocols", "peers"},
		},
		{
			// The seed runs where the bootstrap does, on a master.
			ID: "master.egress.etcd-seed", Role: Master, Kind: Egress, Level: May, Origin: Document, Line: 36,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{12379, 12380}}, Peers: []Peer{Masters},
			Purpose: "the temporary etcd pod", Condition: IfEtcdSeed, Inferred: []string{"protocols", "peers"},
		},

		{
			ID: "master.access.cloud-plugin", Role: Master, Kind: Access, Level: Must, Origin: Document, Line: 38,
			Purpose: "the Kubernetes cloud plugin", Condition: IfCloudPlugin, Inferred: []string{"condition"},
		},

		// First boot
		{
			ID: "master.machine.kubelet", Role: Master, Kind: Machine, Level: Must, Origin: Document, Line: 40,
			Labels: []string{"node-role.kubernetes.io/master"}, Purpose: "start the kubelet on boot",
		},
		{
			ID: "master.machine.node", Role: Master, Kind: Machine, Level: May, Origin: Document, Line: 41,
			Labels: []string{"node-role.kubernetes.io/node"}, Purpose: "start the kubelet on boot",
			Condition: IfMasterIsNode, Inferred: []string{"condition"},
		},
	}
}
