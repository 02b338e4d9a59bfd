// Package cluster is the user's cluster file: its types, defaults, strict parsing and
// validation. All errors of a file are reported at once, each with file:line:column,
// the field's path, what was expected and what to do.
//
// The table in fields.go is the one place that says which fields there are: the parser,
// the template of craton init, the JSON Schema, the canonical form and the reference page
// are made from it. A new field is one entry there and one in the type below.
//
// It knows nothing of machines, rules or addresses beyond the file's own fields and the
// layout of machineNetwork; package plan does. It imports nothing of ours.
package cluster

import "fmt"

// APIVersion and Kind are what a cluster file starts with.
const (
	APIVersion = "craton.dev/v1alpha1"
	Kind       = "Cluster"
)

// Cluster is a parsed cluster file with defaults filled in. Prefixes are kept as
// text that validation has accepted.
type Cluster struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Name is a DNS label; the API is <name>-k8s.<subdomain>.
	Name      string `json:"name"`
	Subdomain string `json:"subdomain"`
	// UserNetwork is the CIDR that users' kubectl, browsers and ssh come from.
	UserNetwork    string `json:"userNetwork"`
	MachineNetwork string `json:"machineNetwork"`
	PodNetwork     string `json:"podNetwork"`
	ServiceNetwork string `json:"serviceNetwork"`
	APIPort        int    `json:"apiPort"`
	Masters        int    `json:"masters"` // 1, 3 or 5
	Workers        int    `json:"workers"`
	Infra          int    `json:"infra"`
	// Sizes are how large a role's machines are; where a role is not in it, as large as the
	// platform makes them.
	Sizes []Size `json:"sizes,omitempty"`
	// SchedulableMasters makes masters carry the node label as well; it defaults to
	// true exactly where there are no workers.
	SchedulableMasters bool   `json:"schedulableMasters"`
	Profile            string `json:"profile"`      // document | minimal
	Platform           string `json:"platform"`     // local
	LoadBalancer       bool   `json:"loadBalancer"` // default true
	Etcd               string `json:"etcd"`         // internal | external | selfHosted
	// ExternalEtcd is required exactly when Etcd is external.
	ExternalEtcd *ExternalEtcd `json:"externalEtcd,omitempty"`
	// IngressCertificate is the user's own; nil where the cluster's authority issues one.
	IngressCertificate *IngressCertificate `json:"ingressCertificate,omitempty"`
	// Ingress is nodePort or hostPort; it defaults to nodePort exactly where there is a load
	// balancer.
	Ingress   string `json:"ingress"`
	FirstBoot string `json:"firstBoot"` // ignition | cloud-init
	// Registries narrows the egress to registries to these CIDRs; empty means any address.
	Registries []string `json:"registries,omitempty"`
	// Resolvers are the DNS servers that machines use; the embedded platform has its own.
	Resolvers []string `json:"resolvers,omitempty"`
	// TimeServers are the NTP servers' addresses, where machines keep their own clock.
	TimeServers []string `json:"timeServers,omitempty"`
	// SSHKeys are authorized_keys lines for the user core on masters.
	SSHKeys []string `json:"sshKeys,omitempty"`
	Options Options  `json:"options"`
	// SignIn counts only where Options.SignIn is set.
	SignIn   SignIn   `json:"signIn"`
	Versions Versions `json:"versions"`
}

// Shape is how many masters, workers and infra machines there are, in a few signs.
func (c *Cluster) Shape() string {
	shape := fmt.Sprintf("%d+%d", c.Masters, c.Workers)
	if c.Infra > 0 {
		shape += fmt.Sprintf("+%d infra", c.Infra)
	}
	return shape
}

// Size is how large each machine of a role is. A field that is 0 is left to the platform.
type Size struct {
	Role      string `json:"role"` // master | infra | worker
	MemoryMiB int    `json:"memoryMiB,omitempty"`
	MilliCPU  int    `json:"milliCPU,omitempty"` // thousandths of a processor
	DiskMiB   int    `json:"diskMiB,omitempty"`
}

// ExternalEtcd is an etcd cluster that the user already has.
type ExternalEtcd struct {
	Endpoints []string `json:"endpoints"` // https://ADDRESS:PORT
	CAFile    string   `json:"caFile"`
	CertFile  string   `json:"certFile"`
	KeyFile   string   `json:"keyFile"`
}

// IngressCertificate is what the ingress shows who asks for the console's name, or for a name that
// no Ingress object has a certificate for.
type IngressCertificate struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

// Options turn on what the document's MAY clauses are for, and optional components.
type Options struct {
	NodePortRange  bool `json:"nodePortRange"`  // open 30000-32767 on masters too
	ReadOnlyPort   bool `json:"readOnlyPort"`   // kubelet's 10255
	EtcdClientPort bool `json:"etcdClientPort"` // 2379 on masters for other masters (on by itself with several masters)
	InfraTaint     bool `json:"infraTaint"`     // keep user workloads off infra machines
	NodeExporter   bool `json:"nodeExporter"`
	CAdvisor       bool `json:"cAdvisor"`
	MetricsServer  bool `json:"metricsServer"`
	Prometheus     bool `json:"prometheus"`
	SignIn         bool `json:"signIn"`
	Console        bool `json:"console"`
	Ingress        bool `json:"ingress"`
	Gateway        bool `json:"gateway"`
}

// Versions pins components; "" means the version built into this craton.
type Versions struct {
	Kubernetes string `json:"kubernetes,omitempty"`
}
