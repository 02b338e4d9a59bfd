package contract

// clusterClauses are the document's clauses for the cluster as a whole. Its DNS lines
// carry no level of their own ("generally"), hence SHOULD.
func clusterClauses() []Clause {
	return []Clause{
		{
			ID: "cluster.dns.api", Role: Cluster, Kind: DNS, Level: Should, Origin: Document, Line: 13,
			Names: []string{"<cluster-name>-k8s.<subdomain>"}, Purpose: "the API server",
			Inferred: []string{"level"},
		},
		{
			ID: "cluster.dns.console", Role: Cluster, Kind: DNS, Level: Should, Origin: Document, Line: 14,
			Names: []string{"<cluster-name>.<subdomain>"}, Purpose: "the console, Dex and the like",
			Inferred: []string{"level"},
		},
	}
}
