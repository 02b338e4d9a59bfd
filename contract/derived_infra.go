package contract

// derivedInfraClauses are what infra nodes need beyond the document.
func derivedInfraClauses() []Clause {
	return []Clause{
		{
			ID: "infra.ingress.vxlan", Role: Infra, Kind: Ingress, Level: Must, Origin: Derived,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{Masters, InfraNodes, Workers},
			Purpose: "VXLAN (flannel)",
			Reason:  "infra nodes are part of the pod network; without it the ingress controller reaches no pod that it serves",
		},
		{
			ID: "infra.ingress.kubelet", Role: Infra, Kind: Ingress, Level: Should, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{10250, 10250}}, Peers: []Peer{Masters},
			Purpose: "logs, port-forward, exec and proxy",
			Reason:  "infra nodes run a kubelet like any other; without it the ingress controller's logs can't be read",
		},
		{
			ID: "infra.egress.api", Role: Infra, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, PortFrom: "apiPort",
			Peers: []Peer{Masters, LoadBalancers}, Purpose: "the Kubernetes API", Condition: IfRegistriesApart,
			Reason: "the egress to registries then leaves out the API; without it no infra node joins",
		},
		{
			ID: "infra.egress.vxlan", Role: Infra, Kind: Egress, Level: Must, Origin: Derived,
			Protocols: []Protocol{UDP}, Ports: []PortRange{{4789, 4789}}, Peers: []Peer{Masters, InfraNodes, Workers},
			Purpose: "VXLAN (flannel)",
			Reason:  "infra nodes are part of the pod network; without it the ingress controller reaches no pod that it serves",
		},
		dnsEgress(Infra),
		ntpEgress(Infra),
		{
			ID: "infra.machine.label", Role: Infra, Kind: Machine, Level: Must, Origin: Derived,
			Labels: []string{"node-role.kubernetes.io/infra"}, Purpose: "start the kubelet on boot",
			Reason: "the ingress controller is placed by this label; without it nothing tells an infra node from a worker",
		},
	}
}
