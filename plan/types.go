// Package plan turns the contract and a cluster file into what the cluster is made
// of: machines, addresses, rules, names, labels, taints, identities. It is pure and
// deterministic (same input, same bytes): no I/O, no clock, no randomness.
//
// It does not render (package render) and does not create anything (package machines).
package plan

import (
	"net/netip"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// Plan is everything that follows from the contract and one cluster file.
type Plan struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Cluster is the cluster's name.
	Cluster string `json:"cluster"`
	Profile string `json:"profile"`
	// Machines are sorted by role (master, infra, worker), then number; that is by
	// address as well.
	Machines []Machine `json:"machines"`
	// Rules are sorted by role, direction, protocol, first port, then peers.
	Rules []Rule `json:"rules"`
	// Peers resolves each peer that a rule uses to address prefixes, sorted.
	Peers map[contract.Peer][]netip.Prefix `json:"peers"`
	Names []Name                           `json:"names"`
	// Identities are the certificates to issue, sorted by name.
	Identities []Identity `json:"identities"`
	Network    Network    `json:"network"`
	// Components are the names of the enabled components, sorted.
	Components []string `json:"components"`
	// Seed says that the temporary member of a self-hosted etcd may be there: the clauses about it
	// bind. See Settled.
	Seed bool `json:"-"`
	// File is the cluster file that the plan was made from, for settings that only one
	// renderer needs.
	File *cluster.Cluster `json:"-"`
}

// Machine is one machine of the cluster. Its name is <cluster>-<role>-<number>.
type Machine struct {
	Name    string        `json:"name"`
	Role    contract.Role `json:"role"`
	Address netip.Addr    `json:"address"`
	// Labels and Taints are those that the trusted side puts on the Node object.
	// A taint is "key=value:Effect" or "key:Effect".
	Labels map[string]string `json:"labels"`
	Taints []string          `json:"taints"`
	// Size is how large it is; what is 0 in it is left to the platform.
	Size Size `json:"size,omitzero"`
}

// Size is how large a machine is.
type Size struct {
	MemoryMiB int `json:"memoryMiB,omitempty"`
	MilliCPU  int `json:"milliCPU,omitempty"` // thousandths of a processor
	DiskMiB   int `json:"diskMiB,omitempty"`
}

// Rule opens one protocol and set of ports between a role's machines and peers.
type Rule struct {
	Role      contract.Role        `json:"role"`
	Direction contract.Kind        `json:"direction"` // ingress or egress
	Protocol  contract.Protocol    `json:"protocol"`
	Ports     []contract.PortRange `json:"ports"`
	Peers     []contract.Peer      `json:"peers"`
	// Clauses are the ids of the clauses that ask for this rule, sorted.
	Clauses []string       `json:"clauses"`
	Level   contract.Level `json:"level"` // the strongest of its clauses
}

// Name is a DNS record.
type Name struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"` // A
	Targets []string `json:"targets"`
}

// Identity is a certificate that the cluster needs.
type Identity struct {
	Name string `json:"name"` // for instance "kube-apiserver", "etcd-server", "kubelet-<machine>"
	// CA is the authority that signs it: kubernetes, etcd, front-proxy.
	CA            string       `json:"ca"`
	CommonName    string       `json:"commonName"`
	Organizations []string     `json:"organizations,omitempty"`
	DNSNames      []string     `json:"dnsNames,omitempty"`
	Addresses     []netip.Addr `json:"addresses,omitempty"`
	// Usages are "server", "client".
	Usages []string `json:"usages"`
	// Machine is the machine that holds the key; "" for one held by the administrator.
	Machine string `json:"machine"`
	// Days is the certificate's life.
	Days int `json:"days"`
}

// Network is the cluster's address plan.
type Network struct {
	Machines netip.Prefix `json:"machines"`
	Pods     netip.Prefix `json:"pods"`
	Services netip.Prefix `json:"services"`
	User     netip.Prefix `json:"user"`
	// APIPort is the port of the API on masters and load balancer.
	APIPort uint16 `json:"apiPort"`
	// APIServer is <cluster>-k8s.<subdomain>; Console is <cluster>.<subdomain>.
	APIServer string `json:"apiServer"`
	Console   string `json:"console"`
	// ServiceDNS is the cluster DNS service's address, ServiceAPI the kubernetes service's.
	ServiceDNS netip.Addr `json:"serviceDNS"`
	ServiceAPI netip.Addr `json:"serviceAPI"`
	// ServiceSignIn is the address of Dex's service; the zero Addr where nobody signs in.
	ServiceSignIn netip.Addr `json:"serviceSignIn,omitzero"`
	// LoadBalancer is the load balancer's address; the zero Addr where there is none.
	LoadBalancer netip.Addr `json:"loadBalancer,omitzero"`
	// Ingress is the load balancer's address for the ingress, one of its own, since the API may
	// have the same port; the zero Addr where no load balancer is in front of the ingress.
	Ingress netip.Addr `json:"ingress,omitzero"`
	// Resolvers are the DNS servers that machines use.
	Resolvers []netip.Addr `json:"resolvers"`
	// Registry is the address of the platform's own registry; the zero Addr where the
	// platform has none and images come from the registries of the world.
	Registry netip.Addr `json:"registry,omitzero"`
}
