// Package contract holds the platform document as data: one typed value a clause,
// in the document's order and terms, and beside them the derived clauses that a
// running cluster needs and the document forgot.
//
// It is the one source of every port, label, name and identity in craton. It does
// no I/O, decides nothing about a particular cluster (that is package plan's job)
// and imports nothing of this module.
package contract

// Role is the kind of machine that a clause binds. Cluster is used by clauses that
// bind the cluster as a whole (its DNS names).
type Role string

// The roles of the document.
const (
	Cluster Role = "cluster"
	Master  Role = "master"
	Infra   Role = "infra"
	Worker  Role = "worker"
)

// Roles are all roles, in the contract's order.
func Roles() []Role { return []Role{Cluster, Master, Infra, Worker} }

// Kind is the section of the document that a clause stands in.
type Kind string

// The kinds of clause.
const (
	DNS     Kind = "dns"
	Count   Kind = "count"
	Ingress Kind = "ingress"
	Egress  Kind = "egress"
	Access  Kind = "access"
	Machine Kind = "machine"
)

// Level is how binding a clause is, in the words of the document.
type Level string

// The levels.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
	May    Level = "MAY"
)

// Levels are all levels, the most binding first.
func Levels() []Level { return []Level{Must, Should, May} }

// Origin tells whether a clause stands in the document or was derived from what a
// running cluster needs.
type Origin string

// The origins.
const (
	Document Origin = "document"
	Derived  Origin = "derived"
)

// Origins are all origins.
func Origins() []Origin { return []Origin{Document, Derived} }

// Protocol is a transport protocol, or Any.
type Protocol string

// The protocols.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
	Any Protocol = "any"
)

// Peer is who is on the other side of an ingress or egress clause.
type Peer string

// The peers. All is every address.
const (
	All           Peer = "all"
	UserNetwork   Peer = "user-network"
	Masters       Peer = "masters"
	InfraNodes    Peer = "infra"
	Workers       Peer = "workers"
	Registries    Peer = "registries"
	ExternalEtcd  Peer = "external-etcd"
	LoadBalancers Peer = "load-balancers"
	Resolvers     Peer = "resolvers"
	TimeServers   Peer = "time-servers"
)

// PortRange is an inclusive range of ports. Its text form is "N", "N-M" or, for
// 1-65535, "all".
type PortRange struct{ First, Last uint16 }

// CountOrMore at the end of Counts means "or more": {0, CountOrMore} is any number.
const CountOrMore = -1

// Condition is what must hold of a cluster for a clause to apply. Its value is the
// phrase that follows "if" in the clause's statement; "" means always. Package plan
// decides each condition for a given cluster.
type Condition string

// Clause is one line of the contract.
type Clause struct {
	// ID is stable: role.kind.name, for instance "master.ingress.ssh".
	ID    string `json:"id"`
	Role  Role   `json:"role"`
	Kind  Kind   `json:"kind"`
	Level Level  `json:"level"`
	// Protocols, Ports and Peers are set for ingress and egress clauses only.
	Protocols []Protocol  `json:"protocols,omitempty"`
	Ports     []PortRange `json:"ports,omitempty"`
	Peers     []Peer      `json:"peers,omitempty"`
	// PortFrom names the field of the cluster file that may replace Ports ("apiPort").
	PortFrom  string    `json:"portFrom,omitempty"`
	Purpose   string    `json:"purpose"`
	Condition Condition `json:"condition"`
	Origin    Origin    `json:"origin"`
	// Line is the clause's line in the document, counted from 1; 0 for derived clauses.
	Line int `json:"line"`
	// Labels and Taints are set for machine clauses: "key" or "key=value", taints with ":Effect".
	Labels []string `json:"labels,omitempty"`
	Taints []string `json:"taints,omitempty"`
	// Counts is set for count clauses: the machine counts allowed; Counts ending in
	// CountOrMore means "or more".
	Counts []int `json:"counts,omitempty"`
	// Names is set for dns clauses: patterns with <cluster-name> and <subdomain>.
	Names []string `json:"names,omitempty"`
	// Inferred lists the fields ("protocols", "peers", "level", ...) that the document's
	// line leaves open and that were filled with the narrowest value that serves the
	// purpose.
	Inferred []string `json:"inferred,omitempty"`
	// Reason says, for a derived clause, why it is needed and what breaks without it.
	Reason string `json:"reason"`
}
