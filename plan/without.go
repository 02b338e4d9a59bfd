package plan

import (
	"slices"

	"craton.dev/craton/contract"
)

// Without is the plan with one clause taken out: what only that clause opens is shut. It is
// for experiments that ask what a clause is needed for; the plan itself stays as it is.
func (p *Plan) Without(clause string) *Plan {
	less := *p
	less.Rules = nil
	for _, r := range p.Rules {
		r.Clauses = slices.DeleteFunc(slices.Clone(r.Clauses), func(id string) bool { return id == clause })
		if len(r.Clauses) > 0 {
			less.Rules = append(less.Rules, r)
		}
	}
	return &less
}

// Opening are the ids of the clauses that open something in the plan, in the contract's order.
func (p *Plan) Opening() []string {
	var ids []string
	for _, clause := range contract.Clauses() {
		if slices.ContainsFunc(p.Rules, func(r Rule) bool { return slices.Contains(r.Clauses, clause.ID) }) {
			ids = append(ids, clause.ID)
		}
	}
	return ids
}
