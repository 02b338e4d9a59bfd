package plan

import (
	"slices"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// minimal is the profile that opens only what enabled components use.
const minimal = "minimal"

// inForce are the clauses of the contract that bind a cluster, in the contract's order:
// their condition holds, and in profile minimal an enabled component uses them. So what
// minimal opens is always a part of what document opens.
func inForce(c *cluster.Cluster) []contract.Clause {
	return slices.DeleteFunc(contract.Clauses(), func(clause contract.Clause) bool { return whyNot(clause, c) != "" })
}

// whyNot says why a clause does not bind a cluster, or "" where it does.
func whyNot(clause contract.Clause, c *cluster.Cluster) string {
	if !Holds(clause.Condition, c) {
		return "it applies only if " + string(clause.Condition) + ", which does not hold of this cluster"
	}
	if c.Profile != minimal {
		return ""
	}
	for _, component := range contract.Components() {
		if Holds(component.Condition, c) && slices.Contains(component.Clauses, clause.ID) {
			return ""
		}
	}
	return "profile " + minimal + " opens only what an enabled component uses, and none uses it"
}

// enabled are the names of the components that a cluster has, sorted.
func enabled(c *cluster.Cluster) []string {
	names := []string{}
	for _, component := range contract.Components() {
		if Holds(component.Condition, c) {
			names = append(names, component.Name)
		}
	}
	slices.Sort(names)
	return names
}
