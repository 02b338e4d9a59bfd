package contract

// Component is a part of a cluster that uses clauses.
type Component struct {
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
	// Option is the field of the cluster file that decides whether the component is
	// there; "" for one that every cluster has.
	Option string `json:"option"`
	// Condition is when the component is there.
	Condition Condition `json:"condition"`
	// Clauses are the ids of the clauses that it uses, where they apply. The minimal
	// profile opens a clause only if an enabled component lists it.
	Clauses []string `json:"clauses"`
}

// Components returns every component, those of the control plane first. The caller owns
// what it gets.
func Components() []Component {
	return []Component{
		{
			Name: "kube-apiserver", Purpose: "serves the Kubernetes API and reaches into kubelets",
			Clauses: []string{
				"cluster.dns.api", "master.count.machines",
				"master.ingress.api", "master.ingress.api-load-balancer", "master.ingress.api-users",
				"master.egress.kubelet",
				"master.egress.external-etcd", "master.egress.etcd-client", "master.egress.etcd-pods", "master.egress.etcd-seed",
			},
		},
		{
			Name: "etcd", Purpose: "stores what the API serves", Option: "etcd", Condition: IfOwnEtcd,
			Clauses: []string{
				"master.count.machines",
				"master.ingress.etcd-client", "master.egress.etcd-client",
				"master.ingress.etcd-peer", "master.egress.etcd-peer",
				"master.ingress.etcd-pods", "master.egress.etcd-pods",
				"master.ingress.etcd-seed", "master.egress.etcd-seed",
			},
		},
		{
			Name: "kube-scheduler", Purpose: "places pods on machines",
			Clauses: []string{"master.egress.images", "master.egress.api"},
		},
		{
			Name: "kube-controller-manager", Purpose: "runs Kubernetes' own controllers",
			Clauses: []string{"master.egress.images", "master.egress.api", "master.access.cloud-plugin"},
		},
		{
			Name: "craton-operator", Purpose: "admits machines and keeps their labels and taints as planned",
			Clauses: []string{
				"master.egress.images", "master.egress.api",
				"master.machine.kubelet", "master.machine.node", "infra.machine.label", "infra.machine.taint", "worker.machine.kubelet",
			},
		},
		{
			Name: "kubelet", Purpose: "runs pods on its machine",
			Clauses: []string{
				"master.ingress.kubelet", "infra.ingress.kubelet", "worker.ingress.kubelet", "master.ingress.kubelet-read-only",
				"master.egress.images", "infra.egress.images", "worker.egress.images",
				"master.egress.api", "infra.egress.api", "worker.egress.api",
				"master.egress.dns", "infra.egress.dns", "worker.egress.dns",
				"master.machine.kubelet", "master.machine.node", "infra.machine.kubelet", "infra.machine.label",
				"worker.machine.kubelet-only", "worker.machine.kubelet",
			},
		},
		{
			Name: "containerd", Purpose: "pulls images and runs containers",
			Clauses: []string{
				"master.egress.images", "infra.egress.images", "worker.egress.images",
				"master.egress.dns", "infra.egress.dns", "worker.egress.dns",
			},
		},
		{
			Name: "kube-proxy", Purpose: "carries services and node ports to pods",
			Clauses: []string{
				"master.ingress.node-ports", "master.ingress.node-ports-as-node", "worker.ingress.node-ports",
				"worker.ingress.node-ports-workers", "worker.ingress.node-ports-as-node",
				"master.egress.node-ports-as-node", "worker.egress.node-ports", "worker.egress.node-ports-as-node",
				"master.egress.images", "infra.egress.images", "worker.egress.images",
				"master.egress.api", "infra.egress.api", "worker.egress.api",
			},
		},
		{
			Name: "flannel", Purpose: "carries pods' packets from machine to machine",
			Clauses: []string{
				"master.ingress.vxlan", "worker.ingress.vxlan", "infra.ingress.vxlan",
				"master.ingress.vxlan-infra", "worker.ingress.vxlan-infra",
				"master.egress.vxlan", "infra.egress.vxlan", "worker.egress.vxlan",
				"master.egress.images", "infra.egress.images", "worker.egress.images",
				"master.egress.api", "infra.egress.api", "worker.egress.api",
			},
		},
		{
			Name: "coredns", Purpose: "resolves services' names and asks the resolvers for the rest",
			Clauses: []string{"master.egress.dns", "infra.egress.dns", "worker.egress.dns"},
		},
		{
			Name: "sshd", Purpose: "lets administrators into masters",
			Clauses: []string{"master.ingress.ssh"},
		},
		{
			Name: "clock", Purpose: "keeps a machine's time", Option: "timeServers", Condition: IfOwnClock,
			Clauses: []string{"master.egress.ntp", "infra.egress.ntp", "worker.egress.ntp"},
		},
		{
			Name: "load-balancer", Purpose: "passes API connections on to masters that are ready",
			Option: "loadBalancer", Condition: IfLoadBalancer,
			Clauses: []string{"cluster.dns.api", "master.ingress.api-load-balancer"},
		},
		{
			Name: "ingress", Purpose: "lets users in to the console, Dex and their own applications, by the host and path that they ask for",
			Option: "options.ingress", Condition: IfIngress,
			Clauses: []string{
				"cluster.dns.console", "master.ingress.tectonic", "worker.ingress.host-ports", "infra.ingress.console",
				"infra.count.no-load-balancer", "infra.count.machines", "infra.machine.label",
				"master.egress.images", "infra.egress.images", "worker.egress.images",
				"master.egress.api", "infra.egress.api", "worker.egress.api",
				"master.egress.dns", "infra.egress.dns", "worker.egress.dns",
			},
		},
		{
			Name: "console", Purpose: "shows the cluster to people who have signed in, each with their own rights",
			Option: "options.console", Condition: IfConsole,
			Clauses: []string{
				"cluster.dns.console", "master.ingress.tectonic", "worker.ingress.host-ports", "infra.ingress.console",
				"master.egress.images", "master.egress.api", "master.egress.dns",
			},
		},
		{
			Name: "dex", Purpose: "lets people sign in with a name and a password, here or where their company has them",
			Option: "options.signIn", Condition: IfSignIn,
			Clauses: []string{
				"cluster.dns.console", "master.ingress.tectonic", "worker.ingress.host-ports", "infra.ingress.console",
				"master.egress.images", "master.egress.api", "master.egress.dns",
				"master.egress.directory", "master.egress.identity-provider",
			},
		},
		{
			Name: "node-exporter", Purpose: "serves machines' metrics", Option: "options.nodeExporter", Condition: IfNodeExporter,
			Clauses: []string{
				"master.ingress.node-exporter", "worker.ingress.node-exporter",
				"master.egress.node-exporter", "worker.egress.node-exporter",
			},
		},
		{
			Name: "cadvisor", Purpose: "serves containers' metrics", Option: "options.cAdvisor", Condition: IfCAdvisor,
			Clauses: []string{"worker.ingress.cadvisor", "master.egress.cadvisor"},
		},
		{
			Name: "prometheus", Purpose: "keeps a day of metrics and says what an operator must know",
			Option: "options.prometheus", Condition: IfPrometheus,
			Clauses: []string{
				"master.egress.node-exporter", "master.ingress.node-exporter", "worker.ingress.node-exporter",
				"master.egress.cadvisor", "worker.ingress.cadvisor",
				"master.egress.kubelet", "master.ingress.kubelet", "infra.ingress.kubelet", "worker.ingress.kubelet",
				"master.ingress.api", "master.egress.images", "master.egress.api",
			},
		},
		{
			Name: "metrics-server", Purpose: "says what pods and machines use, for kubectl top and for scaling",
			Option: "options.metricsServer", Condition: IfMetricsServer,
			Clauses: []string{
				"master.egress.kubelet", "master.ingress.kubelet", "infra.ingress.kubelet", "worker.ingress.kubelet",
				"master.egress.images", "master.egress.api", "master.egress.dns",
			},
		},
	}
}
