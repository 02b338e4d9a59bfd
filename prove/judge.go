package prove

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/plan"
)

// judge says what the experiment has shown.
func (r *run) judge(n *Necessity, covered bool) {
	var lost, surplus []string
	for _, id := range n.Predicted {
		if !slices.Contains(n.Broken, id) {
			lost = append(lost, id)
		}
	}
	for _, id := range n.Broken {
		if !slices.Contains(n.Predicted, id) {
			surplus = append(surplus, id)
		}
	}
	if len(lost) > 0 {
		n.Finding = "expected to break, and did not: " + strings.Join(lost, ", ")
	}
	if len(surplus) > 0 {
		n.Finding = strings.TrimPrefix(n.Finding+"; broke, and was not expected to: "+strings.Join(surplus, ", "), "; ")
	}
	switch {
	case len(n.Broken) > 0:
		n.Verdict, n.Detail = Necessary, fmt.Sprintf("%d of %d operations break", len(n.Broken), len(n.Results))
	case covered && len(n.Within) > 0:
		n.Verdict, n.Detail = Redundant, "all that it opens, "+strings.Join(n.Within, " and ")+" open as well"
	case covered:
		n.Verdict, n.Detail = Redundant, "it opens nothing here that the other side lets through"
	default:
		n.Verdict, n.Detail = r.unused(n.Clause)
	}
	if n.Detail == nobodyUses {
		n.Cost = cost(r.opt.Plan, n.Clause)
	}
}

// unused is about a clause that opens something and that no operation misses.
func (r *run) unused(id string) (verdict, detail string) {
	var reasons []string
	known := false
	for _, o := range r.opt.Operations {
		if !operation.Needs(r.opt.Plan, o.Operation, id) {
			continue
		}
		known = true
		if o.Not != "" {
			reasons = append(reasons, o.ID+": "+o.Not)
		} else if r.opt.Brief && o.Disturbs {
			reasons = append(reasons, o.ID+": it takes a machine's services away, and a brief proof does not")
		}
	}
	switch {
	case len(reasons) > 0:
		return Untested, strings.Join(reasons, "; ")
	case known:
		return Untested, "the operations that it is for work here without it"
	}
	return Redundant, nobodyUses
}

const nobodyUses = "no operation misses it: what it opens beyond other clauses, nothing uses"

// notHere says why a clause cannot be taken out of a fabric.
func notHere(p *plan.Plan, c contract.Clause) string {
	if e, err := plan.Explain(p, c.ID); err == nil && len(e.Clauses) == 1 && !e.Clauses[0].Open {
		return e.Clauses[0].WhyNot
	}
	if len(c.Ports) > 0 {
		return onlyAtFirst
	}
	return noPort(c)
}

const onlyAtFirst = "it is open only while the cluster begins, and this one has begun: no experiment on a cluster that runs is about it; tests of self-hosted etcd bring a cluster up behind it"

// noPort says why no experiment takes a clause out that opens nothing.
func noPort(c contract.Clause) string {
	return "it opens no port, so there is nothing to take out of the fabric; " + map[contract.Kind]string{
		contract.Count:   "craton refuses a cluster file with other counts",
		contract.Machine: "tests of whole clusters compare the machines with it",
		contract.DNS:     "tests of whole clusters look its name up",
		contract.Access:  "it takes a cloud, whose plugin asks for it",
	}[c.Kind]
}
