package nftables

import (
	"fmt"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// Machine is the ruleset of one machine that no router of the plan stands before (bare
// metal): what Fabric enforces at the machine's port, the machine enforces itself.
//
// It looks at packets where they enter and leave the machine: before a service's address
// or node port is translated and after a pod's address is. So the ports are those that
// other machines see. Loopback and the machine's own pods are free; pods of other machines
// come through VXLAN and are free once it is unpacked. IPv6 does not pass.
//
// The error is that the plan has no machine of that name.
func Machine(p *plan.Plan, name string) ([]byte, error) {
	var m *plan.Machine
	for i := range p.Machines {
		if p.Machines[i].Name == name {
			m = &p.Machines[i]
		}
	}
	if m == nil {
		return nil, fmt.Errorf("nftables: the plan of cluster %s has no machine %q", p.Cluster, name)
	}
	var rules []plan.Rule
	for _, rule := range p.Rules {
		if rule.Role == m.Role {
			rules = append(rules, rule)
		}
	}
	r := &ruleset{plan: p, opt: Options{LogGroup: machineLogGroup}}
	in, out := chainName(m.Role, contract.Ingress), chainName(m.Role, contract.Egress)
	r.begin()
	r.counters(rules, "invalid", in, out)
	r.sets(rules)
	r.chain(m.Role, contract.Ingress, "accept")
	r.chain(m.Role, contract.Egress, "accept")

	r.line("\tchain enter {")
	r.line("\t\ttype filter hook prerouting priority mangle; policy drop;")
	r.line("\t\tiif lo accept")
	r.line("\t\tct state established,related accept")
	r.line("\t\tct state invalid counter name %s drop", DropCounter("invalid"))
	// A pod's address is believed only on the interface that leads to that pod.
	r.line("\t\tip saddr %s fib saddr . iif oif != 0 accept", p.Network.Pods)
	r.line("\t\tip daddr %s jump %s", m.Address, in)
	r.line("\t}")
	r.line("\tchain leave {")
	r.line("\t\ttype filter hook postrouting priority srcnat + 10; policy drop;")
	r.line("\t\toif lo accept")
	r.line("\t\tct state established,related accept")
	r.line("\t\tct state invalid counter name %s drop", DropCounter("invalid"))
	r.line("\t\tip daddr %s accept", p.Network.Pods)
	r.line("\t\tip saddr %s jump %s", m.Address, out)
	r.line("\t}")
	return r.end(), nil
}

// machineLogGroup is the nflog group of a machine's own table.
const machineLogGroup = 1
