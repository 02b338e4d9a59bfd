package contract

import (
	"slices"
	"sync"
)

// Clauses returns the whole contract: cluster, master, infra, worker; in each role the
// document's clauses in its order, then the derived ones. The caller owns what it gets.
func Clauses() []Clause {
	return slices.Concat(
		clusterClauses(),
		masterClauses(), derivedMasterClauses(),
		infraClauses(), derivedInfraClauses(),
		workerClauses(), derivedWorkerClauses(),
	)
}

var byID = sync.OnceValue(func() map[string]Clause {
	clauses := Clauses()
	index := make(map[string]Clause, len(clauses))
	for _, c := range clauses {
		index[c.ID] = c
	}
	return index
})

// ByID returns the clause with this id, and whether there is one. The caller owns it.
func ByID(id string) (Clause, bool) {
	c, ok := byID()[id]
	c.Protocols = slices.Clone(c.Protocols)
	c.Ports = slices.Clone(c.Ports)
	c.Peers = slices.Clone(c.Peers)
	c.Labels = slices.Clone(c.Labels)
	c.Taints = slices.Clone(c.Taints)
	c.Counts = slices.Clone(c.Counts)
	c.Names = slices.Clone(c.Names)
	c.Inferred = slices.Clone(c.Inferred)
	return c, ok
}

// Select returns the contract's clauses of this role, level and origin, in the
// contract's order; an empty value selects all.
func Select(role Role, level Level, origin Origin) []Clause {
	return slices.DeleteFunc(Clauses(), func(c Clause) bool {
		return role != "" && c.Role != role ||
			level != "" && c.Level != level ||
			origin != "" && c.Origin != origin
	})
}
