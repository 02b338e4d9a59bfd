package verify

import (
	"net/netip"

	"craton.dev/craton/contract"
	"craton.dev/craton/packets"
	"craton.dev/craton/plan"
)

// planned is a plan as sets of packets.
type planned struct {
	space *packets.Space
	plan  *plan.Plan
	v4    packets.Set
}

func planOf(s *packets.Space, p *plan.Plan) planned {
	return planned{s, p, s.Within(packets.Source, packets.IPv4).And(s.Within(packets.Destination, packets.IPv4))}
}

// at are the packets with one of some addresses in a dimension.
func (p planned) at(d packets.Dimension, prefixes ...netip.Prefix) packets.Set {
	ranges := make([]packets.Range, len(prefixes))
	for i, x := range prefixes {
		ranges[i] = packets.Prefix(x)
	}
	return p.space.Within(d, ranges...)
}

// machines are the packets with the address of a role's machine in a dimension.
func (p planned) machines(d packets.Dimension, role contract.Role) packets.Set {
	var addresses []netip.Prefix
	for _, m := range p.plan.OfRole(role) {
		addresses = append(addresses, netip.PrefixFrom(m.Address, m.Address.BitLen()))
	}
	return p.at(d, addresses...)
}

// opened are the packets that a role's rules of one direction open, whoever the machine is.
func (p planned) opened(role contract.Role, direction contract.Kind) packets.Set {
	peer := packets.Source
	if direction == contract.Egress {
		peer = packets.Destination
	}
	var sets []packets.Set
	for _, r := range p.plan.Rules {
		if r.Role != role || r.Direction != direction {
			continue
		}
		var prefixes []netip.Prefix
		for _, name := range r.Peers {
			prefixes = append(prefixes, p.plan.Peers[name]...)
		}
		var ports []packets.Range
		for _, x := range r.Ports {
			ports = append(ports, packets.Numbers(uint64(x.First), uint64(x.Last)))
		}
		set := p.at(peer, prefixes...).And(p.protocol(r.Protocol)).And(p.space.Within(packets.Port, ports...))
		sets = append(sets, set)
	}
	return p.v4.And(p.space.Union(sets...))
}

// protocol are the packets that a rule means. Any is tcp and udp: the document opens ports,
// and what has none is not opened.
func (p planned) protocol(name contract.Protocol) packets.Set {
	tcp, udp := packets.Numbers(packets.TCP, packets.TCP), packets.Numbers(packets.UDP, packets.UDP)
	switch name {
	case contract.TCP:
		return p.space.Within(packets.Protocol, tcp)
	case contract.UDP:
		return p.space.Within(packets.Protocol, udp)
	}
	return p.space.Within(packets.Protocol, tcp, udp)
}

// between are the packets that the plan lets pass from one address to another: out of the
// sender, if it is a machine, and into the receiver, if it is one.
func (p planned) between() packets.Set {
	pass := p.v4
	for _, role := range contract.Roles() {
		pass = pass.And(p.machines(packets.Source, role).Not().Or(p.opened(role, contract.Egress)))
		pass = pass.And(p.machines(packets.Destination, role).Not().Or(p.opened(role, contract.Ingress)))
	}
	return pass
}

// honest are the packets that come in by the port of the machine whose address they carry
// or, with an address that is no machine's, by no machine's port.
func (p planned) honest(ports map[string]string) packets.Set {
	if len(ports) == 0 {
		return p.space.All()
	}
	var own []packets.Set
	var all []packets.Range
	var machines []netip.Prefix
	for _, m := range p.plan.Machines {
		address := netip.PrefixFrom(m.Address, m.Address.BitLen())
		machines = append(machines, address)
		if ports[m.Name] == "" {
			continue
		}
		in := packets.One(p.space.Name(ports[m.Name]))
		all = append(all, in)
		own = append(own, p.space.Within(packets.In, in).And(p.at(packets.Source, address)))
	}
	others := p.space.Within(packets.In, all...).Not().And(p.at(packets.Source, machines...).Not())
	return p.space.Union(append(own, others)...)
}
