package contract

import "encoding/json"

// Listing is what `craton contract -o json` prints.
type Listing struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Clauses    []Clause `json:"clauses"`
}

// List makes the listing of some clauses.
func List(clauses []Clause) Listing {
	if clauses == nil {
		clauses = []Clause{}
	}
	return Listing{APIVersion: "craton.dev/v1alpha1", Kind: "Contract", Clauses: clauses}
}

// MarshalJSON writes the clause with its statement. Protocols, ports and peers are
// always there, as empty lists in clauses that have none, so that a reader need not
// ask; the fields of one kind of clause only are left out of the others.
func (c Clause) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID        string      `json:"id"`
		Role      Role        `json:"role"`
		Kind      Kind        `json:"kind"`
		Level     Level       `json:"level"`
		Protocols []Protocol  `json:"protocols"`
		Ports     []PortRange `json:"ports"`
		PortFrom  string      `json:"portFrom,omitempty"`
		Peers     []Peer      `json:"peers"`
		Labels    []string    `json:"labels,omitempty"`
		Taints    []string    `json:"taints,omitempty"`
		Counts    []int       `json:"counts,omitempty"`
		Names     []string    `json:"names,omitempty"`
		Purpose   string      `json:"purpose"`
		Condition Condition   `json:"condition"`
		Origin    Origin      `json:"origin"`
		Line      int         `json:"line"`
		Inferred  []string    `json:"inferred,omitempty"`
		Statement string      `json:"statement"`
		Reason    string      `json:"reason"`
	}{
		c.ID, c.Role, c.Kind, c.Level,
		orEmpty(c.Protocols), orEmpty(c.Ports), c.PortFrom, orEmpty(c.Peers),
		c.Labels, c.Taints, c.Counts, c.Names,
		c.Purpose, c.Condition, c.Origin, c.Line, c.Inferred, c.Statement(), c.Reason,
	})
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
