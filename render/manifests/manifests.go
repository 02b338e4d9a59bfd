// Package manifests renders what runs on Kubernetes: masters' static pods and the
// checkpoints of what is self-hosted, and the objects that `up` applies once the API
// answers: bootstrap tokens, roles, the plan for the operator, kube-proxy, flannel, CoreDNS
// and the control plane.
//
// It is pure. The keys and kubeconfigs that static pods read are put on the machines by
// package firstboot; this package names their paths. It talks to no API server.
package manifests

import (
	"fmt"
	"strconv"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

const (
	// System is the namespace of craton's own objects, and PlatformLabel marks what belongs
	// to the platform.
	System        = "craton-system"
	PlatformLabel = "craton.dev/platform"
	// PlanConfigMap, in System, holds the operator's part of the plan under PlanKey.
	PlanConfigMap = "plan"
	PlanKey       = "plan.json"
	// ObjectsConfigMap, in System, holds under ObjectsKey the objects that the operator puts
	// back where they are deleted or changed.
	ObjectsConfigMap = "objects"
	ObjectsKey       = "objects.json"
	// EtcdConfigMap, in System, holds what the operator sees of etcd under EtcdStatusKey.
	EtcdConfigMap = "etcd"
	EtcdStatusKey = "status.json"

	// FieldManager is the manager of server-side apply for all that Objects returns.
	FieldManager = "craton"

	kubeSystem = "kube-system"
	loopback   = "127.0.0.1"
	domain     = "cluster.local"
	// BootstrapGroup is the group of the tokens by which kubelets join.
	BootstrapGroup = "system:bootstrappers:craton"
)

// Images gives the full name of a component's image, for instance for "kube-apiserver".
type Images func(component string) string

// Ports on a machine's loopback address, and in CoreDNS's pods. No packet to them crosses
// a machine's own network, so no clause is about them.
const (
	etcdHealthPort         = 2381
	proxyHealthPort        = 10256
	proxyMetricsPort       = 10249
	managerPort            = 10257
	schedulerPort          = 10259
	flannelHealthPort      = 10246
	operatorHealthPort     = 10244
	checkpointerHealthPort = 10243
	dnsPort                = 53
	dnsHealthPort          = 8080
	dnsReadyPort           = 8181
)

// The clauses whose ports programs listen on.
const (
	clauseEtcdClient = "master.ingress.etcd-client"
	clauseEtcdPeer   = "master.ingress.etcd-peer"
	clauseVXLAN      = "master.ingress.vxlan"
	clauseNodePorts  = "worker.ingress.node-ports"
)

const (
	// nodeMaskBits gives each machine 254 pods' addresses.
	nodeMaskBits = 24
	// criticalPriority is the value of Kubernetes' own class of this name.
	criticalPriority = 2000001000
	nodeCritical     = "system-node-critical"
	clusterCritical  = "system-cluster-critical"
)

// ports are a clause's only range of ports.
func ports(clause string) (contract.PortRange, error) {
	c, ok := contract.ByID(clause)
	if !ok || len(c.Ports) != 1 {
		return contract.PortRange{}, fmt.Errorf("manifests: the contract has no clause %s with one range of ports", clause)
	}
	return c.Ports[0], nil
}

// port is a clause's only port.
func port(clause string) (int, error) {
	r, err := ports(clause)
	if err == nil && r.First != r.Last {
		err = fmt.Errorf("manifests: the contract's clause %s has the ports %s where one was expected", clause, r)
	}
	return int(r.First), err
}

func masters(p *plan.Plan) []plan.Machine {
	var out []plan.Machine
	for _, m := range p.Machines {
		if m.Role == contract.Master {
			out = append(out, m)
		}
	}
	return out
}

func apiPort(p *plan.Plan) string { return strconv.Itoa(int(p.Network.APIPort)) }
