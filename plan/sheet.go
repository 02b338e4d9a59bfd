package plan

import (
	"net/netip"
	"slices"
	"strings"

	"craton.dev/craton/contract"
)

// row is a rule as a reader who thinks in source and destination wants it.
type row struct {
	rule        Rule
	ports       string
	source      side
	destination side
	why         string
}

// side is one end of a rule: who it is, and the addresses that this is.
type side struct{ name, addresses string }

// rows are the plan's rules as rows, in the plan's order.
func (p *Plan) rows() []row {
	out := make([]row, 0, len(p.Rules))
	byRole := map[contract.Role]string{}
	for _, role := range roles {
		byRole[role] = join(addresses(p.Machines, role), netip.Prefix.String, " ")
	}
	for _, r := range p.Rules {
		own := side{string(r.Role), byRole[r.Role]}
		var theirs []netip.Prefix
		for _, peer := range r.Peers {
			theirs = append(theirs, p.Peers[peer]...)
		}
		others := side{join(r.Peers, peerName, " "), join(cover(theirs), netip.Prefix.String, " ")}
		made := row{rule: r, ports: join(r.Ports, contract.PortRange.String, " "), source: others, destination: own, why: why(r)}
		if r.Direction == contract.Egress {
			made.source, made.destination = own, others
		}
		out = append(out, made)
	}
	return out
}

// why is the statements of a rule's clauses.
func why(r Rule) string {
	var out []string
	for _, id := range r.Clauses {
		if clause, ok := contract.ByID(id); ok {
			out = append(out, clause.Statement())
		}
	}
	return strings.Join(out, "; ")
}

// purposes are what a rule's clauses are for, each once.
func purposes(r Rule) string {
	var out []string
	for _, id := range r.Clauses {
		if clause, ok := contract.ByID(id); ok && !slices.Contains(out, clause.Purpose) {
			out = append(out, clause.Purpose)
		}
	}
	return strings.Join(out, "; ")
}

func peerName(p contract.Peer) string { return string(p) }

func join[T any](list []T, text func(T) string, between string) string {
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = text(item)
	}
	return strings.Join(words, between)
}
