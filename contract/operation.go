package contract

import (
	"maps"
	"slices"
)

// Operation is something that a cluster does and that stops where a clause it needs is
// shut.
type Operation struct {
	ID string `json:"id"`
	// Sentence tells a user what the cluster does.
	Sentence string `json:"sentence"`
	// Clauses are the ids of the clauses that the operation needs, where they apply.
	Clauses []string `json:"clauses"`
	// OnlyIf names, for some of these clauses, the condition under which the operation needs
	// them, where that is narrower than the clause's own.
	OnlyIf map[string]Condition `json:"onlyIf,omitempty"`
	// Components are the names of the components that take part.
	Components []string `json:"components"`
}

// Operations returns every operation. The caller owns what it gets.
func Operations() []Operation {
	return []Operation{
		{
			ID: "use-api", Sentence: "a user reaches the API",
			Clauses:    []string{"cluster.dns.api", "master.ingress.api-load-balancer", "master.ingress.api-users"},
			Components: []string{"kube-apiserver", "load-balancer"},
		},
		{
			ID: "check-health", Sentence: "the load balancer asks an API server whether it is ready",
			Clauses:    storing("master.ingress.api-load-balancer"),
			OnlyIf:     stores(nil),
			Components: []string{"kube-apiserver", "load-balancer", "etcd"},
		},
		{
			// The kubelet's way to the API is the egress to registries, unless the API is
			// apart from it. A master's kubelet uses its own machine's API server.
			ID: "join", Sentence: "a machine joins, gets its certificates and stays ready",
			Clauses: storing(append(kubeletFindsAPI(),
				"master.machine.kubelet", "master.machine.node", "infra.machine.kubelet", "infra.machine.label", "infra.machine.taint",
				"worker.machine.kubelet", "worker.machine.kubelet-only",
			)...),
			OnlyIf:     kubeletAsks(),
			Components: []string{"kubelet", "kube-apiserver", "craton-operator", "load-balancer", "etcd"},
		},
		{
			ID: "power-cycle", Sentence: "a machine that has lost its power comes back with nobody's help",
			Clauses:    storing(kubeletFindsAPI()...),
			OnlyIf:     kubeletAsks(),
			Components: []string{"kubelet", "kube-apiserver", "load-balancer", "etcd"},
		},
		{
			ID: "schedule", Sentence: "a pod is placed on a machine and runs there",
			Clauses:    storing(kubeletToAPI()...),
			OnlyIf:     kubeletAsks(),
			Components: []string{"kube-scheduler", "kubelet", "kube-apiserver", "load-balancer", "etcd"},
		},
		{
			ID: "update", Sentence: "a component gets another version, machine by machine",
			Clauses:    storing(kubeletToAPI()...),
			OnlyIf:     kubeletAsks(),
			Components: []string{"kube-controller-manager", "kubelet", "kube-apiserver", "load-balancer", "etcd"},
		},
		{
			ID: "drain", Sentence: "an administrator drains a machine, and its pods move",
			Clauses: storing(
				"cluster.dns.api", "master.ingress.api", "master.ingress.api-load-balancer", "master.ingress.api-users",
				"worker.egress.images", "worker.egress.api",
			),
			OnlyIf:     kubeletAsks(),
			Components: []string{"kube-scheduler", "kubelet", "kube-apiserver", "load-balancer", "etcd"},
		},
		{
			ID: "renew-certificate", Sentence: "a kubelet gets a new certificate for the one that it has",
			Clauses:    storing(kubeletFindsAPI()...),
			OnlyIf:     kubeletAsks(),
			Components: []string{"kubelet", "craton-operator", "kube-apiserver", "load-balancer", "etcd"},
		},
		{
			// The member of a master is asked on its own machine: no rule is between.
			ID: "back-up", Sentence: "an administrator takes a backup of the cluster",
			Components: []string{"etcd"},
		},
		{
			// A pod on the only master finds the API on its own machine.
			ID: "pod-uses-api", Sentence: "a pod reaches the API through the kubernetes service",
			Clauses: []string{
				"master.ingress.api",
				"master.egress.images", "infra.egress.images", "worker.egress.images",
				"master.egress.api", "infra.egress.api", "worker.egress.api",
			},
			OnlyIf:     stores(map[string]Condition{"master.egress.images": IfSeveralMasters, "master.egress.api": IfSeveralMasters}),
			Components: []string{"kube-apiserver", "kube-proxy"},
		},
		{
			ID: "pull-image", Sentence: "a machine pulls an image",
			Clauses: []string{
				"master.egress.images", "infra.egress.images", "worker.egress.images",
				"master.egress.dns", "infra.egress.dns", "worker.egress.dns",
			},
			Components: []string{"containerd", "kubelet"},
		},
		{
			ID: "exec", Sentence: "a user runs a program in a pod",
			Clauses: viaKubelet(), OnlyIf: kubeletAsks(), Components: []string{"kube-apiserver", "kubelet", "etcd"},
		},
		{
			ID: "logs", Sentence: "a user reads the log of a pod",
			Clauses: viaKubelet(), OnlyIf: kubeletAsks(), Components: []string{"kube-apiserver", "kubelet", "etcd"},
		},
		{
			ID: "port-forward", Sentence: "a user reaches a pod's port by port-forward",
			Clauses: viaKubelet(), OnlyIf: kubeletAsks(), Components: []string{"kube-apiserver", "kubelet", "etcd"},
		},
		{
			ID: "proxy", Sentence: "a user reads what a kubelet serves by the API's proxy",
			Clauses: viaKubelet(), OnlyIf: kubeletAsks(), Components: []string{"kube-apiserver", "kubelet", "etcd"},
		},
		{
			ID: "pod-to-pod", Sentence: "a pod reaches a pod on another machine",
			Clauses: []string{
				"master.ingress.vxlan", "infra.ingress.vxlan", "worker.ingress.vxlan",
				"master.ingress.vxlan-infra", "worker.ingress.vxlan-infra",
				"master.egress.vxlan", "infra.egress.vxlan", "worker.egress.vxlan",
			},
			Components: []string{"flannel"},
		},
		{
			ID: "reach-service", Sentence: "a pod reaches a service whose pods are on other machines",
			Clauses: []string{
				"master.ingress.vxlan", "infra.ingress.vxlan", "worker.ingress.vxlan",
				"master.ingress.vxlan-infra", "worker.ingress.vxlan-infra",
				"master.egress.vxlan", "infra.egress.vxlan", "worker.egress.vxlan",
			},
			Components: []string{"flannel", "kube-proxy"},
		},
		{
			// VXLAN answers are flows of their own: each end needs both its ways.
			ID: "call-webhook", Sentence: "the API server calls a webhook or an aggregated API in a pod",
			Clauses: storing(
				"master.egress.vxlan", "master.ingress.vxlan", "infra.ingress.vxlan", "worker.ingress.vxlan",
				"master.ingress.vxlan-infra", "infra.egress.vxlan", "worker.egress.vxlan",
			),
			OnlyIf:     stores(nil),
			Components: []string{"kube-apiserver", "flannel", "etcd"},
		},
		{
			// The way from infra machines to workers is not needed: there was no DNS pod on the worker.
			ID: "resolve-service", Sentence: "a pod resolves a service's name on another machine",
			Clauses: []string{
				"master.ingress.vxlan", "infra.ingress.vxlan", "worker.ingress.vxlan",
				"master.ingress.vxlan-infra",
				"master.egress.vxlan", "infra.egress.vxlan", "worker.egress.vxlan",
			},
			Components: []string{"coredns", "flannel", "kube-proxy"},
		},
		{
			ID: "resolve-name", Sentence: "a machine or pod resolves a name outside the cluster",
			Clauses:    []string{"master.egress.dns", "infra.egress.dns", "worker.egress.dns"},
			Components: []string{"coredns"},
		},
		{
			ID: "node-port", Sentence: "a user reaches a service on a node port",
			Clauses: []string{
				"worker.ingress.node-ports", "master.ingress.node-ports", "master.ingress.node-ports-as-node",
			},
			Components: []string{"kube-proxy"},
		},
		{
			ID: "node-port-from-pod", Sentence: "a pod reaches a node port at another machine's address",
			Clauses: []string{
				"worker.ingress.node-ports-workers", "worker.ingress.node-ports-as-node", "master.ingress.node-ports-as-node",
				"worker.egress.node-ports", "worker.egress.node-ports-as-node", "master.egress.node-ports-as-node",
			},
			Components: []string{"kube-proxy"},
		},
		{
			// The Console and Dex are on masters, and the ingress may be on other machines.
			ID: "use-console", Sentence: "a user reaches the console and logs in",
			Clauses: []string{
				"cluster.dns.console", "master.ingress.tectonic", "worker.ingress.host-ports", "infra.ingress.console",
				"infra.count.no-load-balancer", "infra.count.machines",
				"master.ingress.vxlan", "master.ingress.vxlan-infra", "master.egress.vxlan",
				"infra.ingress.vxlan", "infra.egress.vxlan", "worker.ingress.vxlan", "worker.egress.vxlan",
			},
			OnlyIf: map[string]Condition{
				"master.egress.vxlan":  IfIngressApart,
				"master.ingress.vxlan": IfHostPortIngress, "worker.ingress.vxlan": IfHostPortIngress, "worker.egress.vxlan": IfHostPortIngress,
			},
			Components: []string{"ingress", "console", "dex", "flannel"},
		},
		{
			ID: "sign-in-elsewhere", Sentence: "a person's password is checked by a directory or another identity provider",
			Clauses:    []string{"master.egress.directory", "master.egress.identity-provider", "master.egress.images", "master.egress.dns"},
			Components: []string{"dex"},
		},
		{
			ID: "store", Sentence: "the API server reads and writes its store",
			Clauses: storing(), OnlyIf: stores(nil), Components: []string{"kube-apiserver", "etcd"},
		},
		{
			// Members are on masters only: the openings of workers for etcd's pods are for nobody.
			ID: "replicate", Sentence: "etcd replicates between machines",
			Clauses: []string{
				"master.count.machines", "master.ingress.etcd-peer", "master.egress.etcd-peer",
				"master.ingress.etcd-pods", "master.egress.etcd-pods",
			},
			OnlyIf: stores(nil), Components: []string{"etcd"},
		},
		{
			// It has no data: the others let it in as a learner, asked at their client ports.
			ID: "heal-etcd", Sentence: "a master that has lost its etcd's data becomes a member again",
			Clauses: []string{
				"master.ingress.etcd-client", "master.egress.etcd-client",
				"master.ingress.etcd-peer", "master.egress.etcd-peer",
			},
			OnlyIf: map[string]Condition{
				"master.ingress.etcd-client": IfInternalEtcd, "master.egress.etcd-client": IfInternalEtcd,
			},
			Components: []string{"etcd", "craton-operator"},
		},
		{
			ID: "seed-etcd", Sentence: "self-hosted etcd takes over from its temporary seed",
			Clauses:    []string{"master.ingress.etcd-seed", "master.egress.etcd-seed"},
			Components: []string{"etcd", "kube-apiserver"},
		},
		{
			ID: "ssh", Sentence: "an administrator logs in to a master",
			Clauses: []string{"master.ingress.ssh"}, Components: []string{"sshd"},
		},
		{
			ID: "kubelet-status", Sentence: "anybody reads a master's kubelet status and health",
			Clauses: []string{"master.ingress.kubelet-read-only"}, Components: []string{"kubelet"},
		},
		{
			ID: "machine-metrics", Sentence: "Prometheus reads the metrics of machines",
			Clauses: []string{
				"master.ingress.node-exporter", "worker.ingress.node-exporter",
				"master.egress.node-exporter", "worker.egress.node-exporter",
			},
			Components: []string{"node-exporter"},
		},
		{
			ID: "container-metrics", Sentence: "a collector on a master reads the metrics of workers' containers",
			Clauses:    []string{"worker.ingress.cadvisor", "master.egress.cadvisor"},
			Components: []string{"cadvisor"},
		},
		{
			ID: "resource-metrics", Sentence: "kubectl top says what pods and machines use",
			Clauses: []string{
				"cluster.dns.api", "master.ingress.api-load-balancer", "master.ingress.api-users",
				"master.egress.kubelet", "master.ingress.kubelet", "infra.ingress.kubelet", "worker.ingress.kubelet",
			},
			Components: []string{"metrics-server", "kubelet", "kube-apiserver", "load-balancer"},
		},
		{
			ID: "use-cloud", Sentence: "the cluster asks its cloud for addresses, disks and routes",
			Clauses: []string{"master.access.cloud-plugin"}, Components: []string{"kube-controller-manager"},
		},
		{
			ID: "keep-time", Sentence: "machines keep the right time",
			Clauses:    []string{"master.egress.ntp", "infra.egress.ntp", "worker.egress.ntp"},
			Components: []string{"clock"},
		},
	}
}

// storing adds the clauses to others without which API servers lose their store: with several
// masters it is there while most of its members reach each other.
func storing(others ...string) []string {
	return append(others,
		"master.egress.external-etcd",
		"master.ingress.etcd-peer", "master.egress.etcd-peer",
		"master.ingress.etcd-pods", "master.egress.etcd-pods")
}

// stores adds to conditions those of storing, since a single master has its member on its own machine,
// and those of the way to the API, which is the egress to registries unless the API is apart from it.
func stores(others map[string]Condition) map[string]Condition {
	out := map[string]Condition{
		"master.ingress.etcd-pods": IfSeveralMasters, "master.egress.etcd-pods": IfSeveralMasters,
		"infra.egress.images": IfAPIAmongRegistries, "worker.egress.images": IfAPIAmongRegistries,
	}
	maps.Copy(out, others)
	return out
}

// viaKubelet are the clauses on the way from a user through an API server to a kubelet, which
// asks the API in turn whether the caller may do that.
func viaKubelet() []string {
	return storing(
		"cluster.dns.api", "master.ingress.api", "master.ingress.api-load-balancer", "master.ingress.api-users",
		"master.ingress.kubelet", "infra.ingress.kubelet", "worker.ingress.kubelet", "master.egress.kubelet",
		"infra.egress.images", "worker.egress.images", "infra.egress.api", "worker.egress.api",
	)
}

// kubeletToAPI are the clauses on the way from a kubelet to the API.
func kubeletToAPI() []string {
	return []string{
		"master.ingress.api", "master.ingress.api-load-balancer",
		"infra.egress.images", "worker.egress.images",
		"infra.egress.api", "worker.egress.api",
	}
}

// kubeletFindsAPI are these and those by which it finds the API.
func kubeletFindsAPI() []string {
	return slices.Concat([]string{"cluster.dns.api"}, kubeletToAPI(), []string{"infra.egress.dns", "worker.egress.dns"})
}

// kubeletAsks is where a kubelet asks masters themselves, not the load balancer.
func kubeletAsks() map[string]Condition {
	return stores(map[string]Condition{"master.ingress.api": IfNoLoadBalancer})
}
