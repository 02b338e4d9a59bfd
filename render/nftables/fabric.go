package nftables

import (
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// Fabric is the ruleset of the router that all packets of machines pass. A packet from a
// machine must pass its role's egress rules, a packet to a machine its role's ingress
// rules; between two machines both. A packet that no machine sends or receives passes, and
// the router itself is not to be spoken to. IPv6 does not pass.
func Fabric(p *plan.Plan, opt Options) []byte {
	r := &ruleset{plan: p, opt: opt}
	r.begin()
	drops := []string{"invalid"}
	if len(opt.Ports) > 0 {
		drops = append(drops, Spoofed)
	}
	for _, role := range machineRoles {
		drops = append(drops, chainName(role, contract.Egress), chainName(role, contract.Ingress))
	}
	r.counters(p.Rules, drops...)
	r.sets(p.Rules, machineRoles...)
	if len(opt.Ports) > 0 {
		r.portSet(p.Machines)
		r.spoofing()
	}
	for _, role := range machineRoles {
		r.chain(role, contract.Egress, "return")
		r.chain(role, contract.Ingress, "accept")
	}
	r.forward()
	// Neither chain lets a connection begin; related lets the router's own ICMP errors out
	// (no route, time exceeded), without which a sender waits for a machine that is off.
	r.line("\tchain input {")
	r.line("\t\ttype filter hook input priority filter; policy drop;")
	r.line("\t}")
	r.line("\tchain output {")
	r.line("\t\ttype filter hook output priority filter; policy drop;")
	r.line("\t\tct state related accept")
	r.line("\t}")
	return r.end()
}

// spoofing drops what carries an address that is not its sender's. It stands before
// connection tracking: a false packet must not become part of another one's connection.
func (r *ruleset) spoofing() {
	r.line("\tchain prerouting {")
	r.line("\t\ttype filter hook prerouting priority raw; policy accept;")
	r.line("\t\tiifname . ip saddr @port-addresses accept")
	r.line("\t\tiifname @ports jump spoofed")
	for _, role := range machineRoles {
		r.line("\t\tip saddr @%s jump spoofed", setName(rolePeer[role]))
	}
	r.line("\t}")
	r.line("\tchain spoofed {")
	r.drop(Spoofed)
	r.line("\t}")
}

func (r *ruleset) forward() {
	r.line("\tchain forward {")
	r.line("\t\ttype filter hook forward priority filter; policy drop;")
	r.line("\t\tct state established,related accept")
	r.line("\t\tct state invalid counter name %s drop", DropCounter("invalid"))
	for _, role := range machineRoles {
		r.line("\t\tip saddr @%s jump %s", setName(rolePeer[role]), chainName(role, contract.Egress))
	}
	for _, role := range machineRoles {
		r.line("\t\tip daddr @%s jump %s", setName(rolePeer[role]), chainName(role, contract.Ingress))
	}
	r.line("\t\tmeta nfproto ipv4 accept")
	r.line("\t}")
}
