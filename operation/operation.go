// Package operation tries out what a cluster is there for: each operation of the contract that
// can be tried has a probe here, which does it for real on a live cluster, by connections that
// are new each time, and says what it did.
//
// What operations there are, by which clauses and components, stands in package contract: these
// are predictions, and package prove compares them with what is measured. A component's own
// operation is a value in the contract and either a probe here or a check of its part
// (render/part) that names the operation.
//
// Files: stage.go and pods.go (what probes have to work with), api.go, network.go, machine.go
// (the probes), reach.go (connections).
package operation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/parts"
)

// Version is part of what results hang on: it goes up when a probe does something else than
// before.
const Version = 2

// Operation is one operation of the contract, with its probe.
type Operation struct {
	contract.Operation
	// Do tries it, once, and says what was done. An error says what did not work.
	Do func(context.Context, *Stage) (done string, err error)
	// Limit is how long it may take: longer is a failure.
	Limit time.Duration
	// Disturbs says that it takes a machine's services away while it runs, so that no other
	// may run meanwhile.
	Disturbs bool
	// Slow is set where it takes so long that it is tried where it is predicted to matter only.
	Slow bool
	// Not says why it cannot be tried; then Do is nil.
	Not string

	// lacks says what a plan's cluster lacks for the probe, or ""; nil where it needs nothing.
	lacks func(*plan.Plan) string
}

// quick is the limit of what is a few connections.
const quick = 6 * time.Second

// probes are by the contract's id.
var probes = map[string]Operation{
	"use-api":      {Do: useAPI, Limit: quick},
	"check-health": {Do: checkHealth, Limit: quick, lacks: balancer},
	"join":         {Do: join, Limit: 25 * time.Second, Disturbs: true, lacks: notOnlyMasters},
	"power-cycle":  {Do: powerCycle, Limit: 60 * time.Second, Disturbs: true, Slow: true, lacks: notOnlyMasters},

	"renew-certificate": {Do: renewCertificate, Limit: 20 * time.Second, Disturbs: true, Slow: true, lacks: notOnlyMasters},

	"schedule":        {Do: schedule, Limit: 12 * time.Second},
	"update":          {Do: update, Limit: 30 * time.Second, Slow: true},
	"drain":           {Do: drain, Limit: 20 * time.Second, Slow: true, lacks: usersMachine},
	"back-up":         {Do: backUp, Limit: 20 * time.Second, Slow: true, lacks: ownEtcd},
	"pod-uses-api":    {Do: podUsesAPI, Limit: quick},
	"pull-image":      {Do: pullImage, Limit: 20 * time.Second},
	"exec":            {Do: exec, Limit: quick},
	"logs":            {Do: logs, Limit: quick},
	"port-forward":    {Do: portForward, Limit: quick},
	"proxy":           {Do: proxy, Limit: quick},
	"pod-to-pod":      {Do: podToPod, Limit: quick},
	"reach-service":   {Do: reachService, Limit: quick},
	"resolve-service": {Do: resolveService, Limit: quick},
	"call-webhook":    {Do: callWebhook, Limit: quick},
	"resolve-name":    {Do: resolveName, Limit: quick},
	"node-port":       {Do: nodePort, Limit: quick},
	"ssh":             {Do: ssh, Limit: quick},
	"kubelet-status":  {Do: kubeletStatus, Limit: quick},
	"store":           {Do: store, Limit: quick},
	"replicate":       {Do: replicate, Limit: quick, lacks: severalMasters},
	"heal-etcd":       {Do: healEtcd, Limit: 60 * time.Second, Disturbs: true, Slow: true, lacks: severalMasters},

	"machine-metrics":   {Do: machineMetrics, Limit: quick},
	"container-metrics": {Do: containerMetrics, Limit: quick},
	"resource-metrics":  {Do: resourceMetrics, Limit: 40 * time.Second, Slow: true},

	"node-port-from-pod": {Do: nodePortFromPod, Limit: quick, lacks: usersMachines},

	"seed-etcd":         {Not: "the seed is there while a cluster begins only: no clause of a cluster that runs is for it"},
	"keep-time":         {Not: "machines of the embedded platform have the host's clock; it takes machines with clocks of their own"},
	"sign-in-elsewhere": {Not: "it takes somebody's directory or identity provider; package signin's tests ask real ones"},
	"use-cloud":         {Not: "the embedded platform is no cloud; it takes one, whose plugin asks for addresses, disks and routes"},
}

func notOnlyMasters(p *plan.Plan) string {
	if len(p.OfRole(contract.Infra, contract.Worker)) == 0 {
		return "this cluster has masters only, on whose way to the API there is no rule"
	}
	return ""
}

func balancer(p *plan.Plan) string {
	if !p.File.LoadBalancer {
		return "this cluster has no load balancer"
	}
	return ""
}

func severalMasters(p *plan.Plan) string {
	if len(p.OfRole(contract.Master)) < 2 {
		return "this cluster has one master only"
	}
	return ""
}

func usersMachine(p *plan.Plan) string {
	if len(forUsers(p)) == 0 {
		return "this cluster has no machine for users' pods"
	}
	return ""
}

func usersMachines(p *plan.Plan) string {
	if len(forUsers(p)) < 2 {
		return "this cluster has no two machines for users' pods"
	}
	return ""
}

func ownEtcd(p *plan.Plan) string {
	if plan.Holds(contract.IfExternalEtcd, p.File) {
		return "the data are in an etcd that is not the cluster's own"
	}
	return ""
}

// Of are the operations of a plan's cluster, in the contract's order: those for which it has the
// components. One that nobody can try says why.
func Of(p *plan.Plan) ([]Operation, error) {
	checks, err := checksOf(p)
	if err != nil {
		return nil, err
	}
	var all []Operation
	for _, o := range contract.Operations() {
		op := probes[o.ID]
		op.Operation = o
		if missing := missing(p, o); missing != "" {
			op.Do, op.Not = nil, missing
		} else if op.lacks != nil && op.lacks(p) != "" {
			op.Do, op.Not = nil, op.lacks(p)
		}
		if op.Do == nil && op.Not == "" {
			if len(checks[o.ID]) > 0 {
				op.Do, op.Limit = askChecks(checks[o.ID]), quick
			} else {
				op.Not = "nothing here tries it yet"
			}
		}
		all = append(all, op)
	}
	return all, nil
}

// missing says what a cluster lacks for an operation, or "". Some take part only where there is
// what they are for: etcd that is not the cluster's own, a load balancer.
func missing(p *plan.Plan, o contract.Operation) string {
	ports := slices.DeleteFunc(slices.Clone(o.Clauses), func(id string) bool {
		c, _ := contract.ByID(id)
		return c.Kind != contract.Ingress && c.Kind != contract.Egress
	})
	opening := p.Opening()
	if len(ports) > 0 && !slices.ContainsFunc(ports, func(id string) bool { return slices.Contains(opening, id) }) {
		return "no clause that it needs opens anything in this cluster"
	}
	for _, name := range o.Components {
		i := slices.IndexFunc(contract.Components(), func(c contract.Component) bool { return c.Name == name })
		if c := contract.Components()[i]; !slices.Contains(p.Components, name) && !optional[name] {
			return fmt.Sprintf("this cluster has no %s, which %s", name, c.Purpose)
		}
	}
	return ""
}

// optional are components that take part in operations which clusters without them have, too.
var optional = map[string]bool{"load-balancer": true, "etcd": true}

// callers are whose connections alone an operation makes by a clause that lets others in too: the API
// servers are on masters, and so are the pods of the cluster's DNS, which are placed first of all.
var callers = map[string]map[string]contract.Role{
	"call-webhook":    {"worker.ingress.vxlan": contract.Master},
	"resolve-service": {"worker.ingress.vxlan": contract.Master},
}

// Needs tells whether an operation is expected to need a clause in a plan's cluster.
func Needs(p *plan.Plan, o contract.Operation, clause string) bool {
	condition, narrower := o.OnlyIf[clause]
	if !slices.Contains(o.Clauses, clause) || narrower && !plan.Holds(condition, p.File) {
		return false
	}
	role, some := callers[o.ID][clause]
	return !some || !opensTo(p.Without(clause), clause, role)
}

// opensTo tells whether a plan lets machines of a role in where a clause, which it need not have, does.
func opensTo(p *plan.Plan, clause string, role contract.Role) bool {
	c, _ := contract.ByID(clause)
	for _, from := range p.OfRole(role) {
		for _, to := range p.OfRole(c.Role) {
			for _, protocol := range c.Protocols {
				for _, ports := range c.Ports {
					if ok, _ := p.Allows(from.Address, to.Address, protocol, ports.First); !ok {
						return false
					}
				}
			}
		}
	}
	return true
}

// Predicted are the operations that a plan's cluster is expected to lose without a clause, by id.
func Predicted(p *plan.Plan, clause string) []string {
	ids := []string{}
	for _, o := range contract.Operations() {
		if Needs(p, o, clause) && missing(p, o) == "" {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// checksOf are the checks of parts that try an operation, by its id.
func checksOf(p *plan.Plan) (map[string][]check, error) {
	out := map[string][]check{}
	for _, one := range parts.Chosen(p) {
		if one.Checks == nil {
			continue
		}
		checks, err := one.Checks(p)
		if err != nil {
			return nil, err
		}
		for _, c := range checks {
			if c.Operation != "" {
				out[c.Operation] = append(out[c.Operation], c)
			}
		}
	}
	return out, nil
}
