// Package manifests renders what runs on Kubernetes: masters' static pods and the
// checkpoints of what is self-hosted, and the objects that `up` applies once the API
// answers: bootstrap tokens, roles, the plan for the operator, kube-proxy, flannel, CoreDNS
// and the control plane.
//
// It is pure. The keys and kubeconfigs that static pods read are put on the machines by
// package firstboot; this package names their paths. It talks to no API server.
package manifests

import (
	"strconv"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

const (
	// System is the namespace of craton's own objects, and PlatformLabel marks what belongs
	// to the platform.
	System        = "craton-system"
	PlatformLabel = part.PlatformLabel
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
	// These, in System, are for people to look at: package inventory has their forms.
	ContractConfigMap     = "contract"
	ContractKey           = "contract.json"
	CountersConfigMap     = "counters"
	CountersKey           = "counters.json"
	OperationsConfigMap   = "operations"
	OperationsKey         = "operations.json"
	CertificatesConfigMap = "certificates"
	CertificatesKey       = "certificates.json"

	// FieldManager is the manager of server-side apply for all that Objects returns.
	FieldManager = "craton"

	// loopbackOther is a machine's as well.
	loopbackOther = "127.0.0.2"
	anywhere      = "0.0.0.0"
	// BootstrapGroup is the group of the tokens by which kubelets join.
	BootstrapGroup = "system:bootstrappers:craton"
)

// Images gives the full name of a component's image.
type Images = part.Images

// Ports on a machine's loopback address. No packet to them crosses
// a machine's own network, so no clause is about them.
const (
	etcdHealthPort         = 2381
	seedHealthPort         = 12381
	managerPort            = 10257
	schedulerPort          = 10259
	operatorHealthPort     = 10244
	checkpointerHealthPort = 10243
)

// The clauses whose ports programs listen on.
const (
	clauseEtcdClient = "master.ingress.etcd-client"
	clauseEtcdPeer   = "master.ingress.etcd-peer"
	clauseEtcdSeed   = "master.ingress.etcd-seed"
	clauseNodePorts  = "worker.ingress.node-ports"
)

// EtcdMetricsPort is where a member on a master says how it is, to its own machine only.
const EtcdMetricsPort = etcdHealthPort

const (
	// nodeMaskBits gives each machine 254 pods' addresses.
	nodeMaskBits = 24
	// criticalPriority is the value of Kubernetes' own class of this name.
	criticalPriority = 2000001000
)

func apiPort(p *plan.Plan) string { return strconv.Itoa(int(p.Network.APIPort)) }
