package verify

import (
	"net/netip"
	"slices"

	"craton.dev/craton/contract"
	"craton.dev/craton/packets"
	"craton.dev/craton/plan"
)

// Covered decides whether a plan lets the same packets through when one clause is taken out,
// and names the clauses that open what it opens as well. With no name, what the clause opens is
// between addresses that are none of the cluster's, or the other side keeps it shut.
func Covered(p *plan.Plan, clause string) (covered bool, by []string, err error) {
	s := packets.NewSpace(0)
	with, less := planOf(s, p), planOf(s, p.Without(clause))
	// Nobody sees what a machine says to itself.
	var selves []packets.Set
	for _, m := range p.Machines {
		own := netip.PrefixFrom(m.Address, m.Address.BitLen())
		selves = append(selves, with.at(packets.Source, own).And(with.at(packets.Destination, own)))
	}
	others := s.Union(selves...).Not()
	if !with.between().And(others).Minus(less.between()).Empty() {
		return false, nil, s.Err()
	}
	c, _ := contract.ByID(clause)
	only := *p
	only.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r plan.Rule) bool { return !slices.Contains(r.Clauses, clause) })
	opens := planOf(s, &only).opened(c.Role, c.Kind).And(with.between()).And(others)
	for _, id := range p.Opening() {
		one, _ := contract.ByID(id)
		if id == clause || one.Role != c.Role || one.Kind != c.Kind {
			continue
		}
		of := *p
		of.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r plan.Rule) bool { return !slices.Contains(r.Clauses, id) })
		side := packets.Destination
		if c.Kind == contract.Egress {
			side = packets.Source
		}
		if !planOf(s, &of).opened(c.Role, c.Kind).And(opens).And(with.machines(side, c.Role)).Empty() {
			by = append(by, id)
		}
	}
	return true, by, s.Err()
}
