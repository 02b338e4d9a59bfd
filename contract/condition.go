package contract

// Conditions of the clauses. Each reads after "if". The first group is the document's
// own, the second group belongs to derived clauses.
const (
	Always Condition = ""

	IfNodePortIngress Condition = "using node ports for ingress"
	IfHostPortIngress Condition = "using host ports for ingress"
	IfNodePortRange   Condition = "opening the node port range on masters"
	IfEtcdClientPort  Condition = "not using external etcd and opening its client port"
	IfReadOnlyPort    Condition = "using the read-only kubelet port"
	IfExternalEtcd    Condition = "using an external etcd cluster"
	IfSelfHostedEtcd  Condition = "using the etcd operator"
	IfEtcdSeed        Condition = "using the etcd operator's temporary seed"
	IfCloudPlugin     Condition = "using a cloud plugin"
	IfMasterIsNode    Condition = "masters run user workloads"
	IfNoLoadBalancer  Condition = "no load balancer is available"
	IfInfraTaint      Condition = "keeping user workloads off infra nodes"
	IfNodeExporter    Condition = "using the node exporter"
	IfCAdvisor        Condition = "using cAdvisor"

	IfLoadBalancer    Condition = "using a load balancer"
	IfSeveralMasters  Condition = "running several masters"
	IfSeveralWorkers  Condition = "running several workers"
	IfInternalEtcd    Condition = "running etcd as static pods on several masters"
	IfInfraNodes      Condition = "running infra nodes"
	IfOwnClock        Condition = "machines keep their own clock"
	IfRegistriesApart Condition = "the API is not within the egress to registries"
	IfDirectory       Condition = "people sign in by an LDAP directory"
	IfProviderApart   Condition = "people sign in at a provider that is not within the egress to registries"
)

// Conditions of operations only.
const (
	IfAPIAmongRegistries Condition = "the API is within the egress to registries"
	IfIngressApart       Condition = "the ingress is on other machines than masters"
)

// Conditions of components only.
const (
	IfOwnEtcd Condition = "not using external etcd"
	IfConsole Condition = "running the console"
	IfSignIn  Condition = "letting people sign in"
	IfIngress Condition = "running the ingress"

	IfMetricsServer Condition = "using the metrics server"
	IfPrometheus    Condition = "using Prometheus"
)
