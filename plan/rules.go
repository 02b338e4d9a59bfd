package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// roles are the roles that machines have, in the plan's order.
var roles = []contract.Role{contract.Master, contract.Infra, contract.Worker}

// rulesOf turns the ingress and egress clauses that bind a cluster into rules: one for
// each role, direction, protocol, set of ports and set of peers, with the clauses that
// ask for it. Clauses of a role without machines, and those whose peers have no address,
// open nothing and make no rule.
func rulesOf(c *cluster.Cluster, clauses []contract.Clause, peers map[contract.Peer][]netip.Prefix) []Rule {
	byOpening := map[string]*Rule{}
	var order []string
	for _, clause := range clauses {
		if !opensSomething(clause, c, peers) {
			continue
		}
		for _, protocol := range clause.Protocols {
			rule := Rule{
				Role: clause.Role, Direction: clause.Kind, Protocol: protocol,
				Ports: portsOf(clause, uint16(c.APIPort)), Peers: slices.Clone(clause.Peers),
				Clauses: []string{clause.ID}, Level: clause.Level,
			}
			slices.Sort(rule.Peers)
			rule.Peers = slices.Compact(rule.Peers)
			key := rule.opening()
			same, ok := byOpening[key]
			if !ok {
				byOpening[key] = &rule
				order = append(order, key)
				continue
			}
			same.Clauses = append(same.Clauses, clause.ID)
			if rank(clause.Level) < rank(same.Level) {
				same.Level = clause.Level
			}
		}
	}
	rules := make([]Rule, 0, len(order))
	for _, key := range order {
		rule := *byOpening[key]
		slices.Sort(rule.Clauses)
		rule.Clauses = slices.Compact(rule.Clauses)
		rules = append(rules, rule)
	}
	slices.SortFunc(rules, compareRules)
	return rules
}

// opensSomething tells whether a clause that binds a cluster becomes a rule there.
func opensSomething(clause contract.Clause, c *cluster.Cluster, peers map[contract.Peer][]netip.Prefix) bool {
	if clause.Kind != contract.Ingress && clause.Kind != contract.Egress {
		return false
	}
	return count(c, clause.Role) > 0 &&
		slices.ContainsFunc(clause.Peers, func(p contract.Peer) bool { return len(peers[p]) > 0 })
}

// count is the number of a cluster's machines that have a role.
func count(c *cluster.Cluster, role contract.Role) int {
	switch role {
	case contract.Master:
		return c.Masters
	case contract.Infra:
		return c.Infra
	case contract.Worker:
		return c.Workers
	}
	return 0
}

// portsOf are a clause's ports in a cluster, sorted: the clause's own unless the cluster
// file has a field that replaces them.
func portsOf(clause contract.Clause, apiPort uint16) []contract.PortRange {
	if clause.PortFrom == "apiPort" {
		return []contract.PortRange{{First: apiPort, Last: apiPort}}
	}
	ports := slices.Clone(clause.Ports)
	slices.SortFunc(ports, comparePorts)
	return slices.Compact(ports)
}

// opening is what a rule opens, as text: two rules that open the same have the same.
func (r Rule) opening() string {
	var b strings.Builder
	b.WriteString(string(r.Role) + " " + string(r.Direction) + " " + string(r.Protocol))
	for _, p := range r.Ports {
		b.WriteString(" " + p.String())
	}
	for _, p := range r.Peers {
		b.WriteString(" " + string(p))
	}
	return b.String()
}

func compareRules(a, b Rule) int {
	return cmp.Or(
		cmp.Compare(slices.Index(roles, a.Role), slices.Index(roles, b.Role)),
		cmp.Compare(b.Direction, a.Direction), // ingress before egress, as in the document
		cmp.Compare(a.Protocol, b.Protocol),
		slices.CompareFunc(a.Ports, b.Ports, comparePorts),
		slices.Compare(a.Peers, b.Peers),
	)
}

func comparePorts(a, b contract.PortRange) int {
	return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}

// rank orders the levels, the strongest first.
func rank(l contract.Level) int {
	return slices.Index([]contract.Level{contract.Must, contract.Should, contract.May}, l)
}
