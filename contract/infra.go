package contract

// infraTaint names the taint that the document leaves nameless.
const infraTaint = "node-role.kubernetes.io/infra:NoSchedule"

// infraClauses are the document's clauses for infra nodes, in its order.
func infraClauses() []Clause {
	return []Clause{
		{
			ID: "infra.count.no-load-balancer", Role: Infra, Kind: Count, Level: Must, Origin: Document, Line: 45,
			Counts: []int{1, CountOrMore}, Purpose: "taking the load balancer's part",
			Condition: IfNoLoadBalancer, Inferred: []string{"counts"},
		},
		{
			ID: "infra.count.machines", Role: Infra, Kind: Count, Level: May, Origin: Document, Line: 47,
			Counts: []int{0, CountOrMore}, Purpose: "the ingress controller", Inferred: []string{"level"},
		},
		{
			// The console is for users; the narrowest peer that lets them in.
			ID: "infra.ingress.console", Role: Infra, Kind: Ingress, Level: Must, Origin: Document, Line: 50,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, Peers: []Peer{UserNetwork},
			Purpose: "the ingress controller of the console and Dex", Inferred: []string{"peers"},
		},
		{
			ID: "infra.egress.images", Role: Infra, Kind: Egress, Level: Must, Origin: Document, Line: 52,
			Protocols: []Protocol{TCP}, Ports: []PortRange{{443, 443}}, Peers: []Peer{Registries},
			Purpose: "image downloads from gcr, quay and docker hub", Inferred: []string{"protocols"},
		},
		{
			ID: "infra.machine.kubelet", Role: Infra, Kind: Machine, Level: Must, Origin: Document, Line: 54,
			Purpose: "start the kubelet on boot",
		},
		{
			ID: "infra.machine.taint", Role: Infra, Kind: Machine, Level: May, Origin: Document, Line: 55,
			Taints: []string{infraTaint}, Purpose: "keep user workloads away",
			Condition: IfInfraTaint, Inferred: []string{"taints", "condition"},
		},
	}
}
