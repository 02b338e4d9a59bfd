package plan

import (
	"net/netip"
	"slices"

	"craton.dev/craton/contract"
)

// Allows tells whether the first packet of a new flow passes, and by which clauses. It
// passes where the egress rules of src let it out, if src is a machine of the plan, and
// the ingress rules of dst let it in, if dst is one. What both sides are not machines
// or one machine talks to itself, no rule of the plan sees: that is true with no clause.
// Protocol any asks for a flow that is neither tcp nor udp (icmp, for instance).
//
// It allocates nothing but the list of clauses, so it can be asked about every port of
// every pair of machines.
func (p *Plan) Allows(src, dst netip.Addr, protocol contract.Protocol, port uint16) (bool, []string) {
	if src == dst {
		return true, nil
	}
	var ids []string
	if m := p.machineAt(src); m != nil {
		n := len(ids)
		if ids = p.opening(ids, m.Role, contract.Egress, dst, protocol, port); len(ids) == n {
			return false, nil
		}
	}
	if m := p.machineAt(dst); m != nil {
		n := len(ids)
		if ids = p.opening(ids, m.Role, contract.Ingress, src, protocol, port); len(ids) == n {
			return false, nil
		}
	}
	slices.Sort(ids)
	return true, slices.Compact(ids)
}

// opening adds to ids the clauses of the rules of a role and direction that match.
func (p *Plan) opening(ids []string, role contract.Role, direction contract.Kind, peer netip.Addr, protocol contract.Protocol, port uint16) []string {
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Role != role || r.Direction != direction {
			continue
		}
		if r.Protocol != contract.Any && r.Protocol != protocol {
			continue
		}
		if protocol == contract.Any {
			if !slices.Contains(r.Ports, everyPort) {
				continue
			}
		} else if !opens(r.Ports, port) {
			continue
		}
		if slices.ContainsFunc(r.Peers, func(name contract.Peer) bool { return holds(p.Peers[name], peer) }) {
			ids = append(ids, r.Clauses...)
		}
	}
	return ids
}

// everyPort is what a clause calls "all" ports.
var everyPort = contract.PortRange{First: 1, Last: 65535}

func opens(ports []contract.PortRange, port uint16) bool {
	for _, r := range ports {
		if r.Contains(port) {
			return true
		}
	}
	return false
}

func holds(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// machineAt is the machine that has an address, or nil. Machines are sorted by address.
func (p *Plan) machineAt(a netip.Addr) *Machine {
	i, found := slices.BinarySearchFunc(p.Machines, a, func(m Machine, a netip.Addr) int { return m.Address.Compare(a) })
	if !found {
		return nil
	}
	return &p.Machines[i]
}
