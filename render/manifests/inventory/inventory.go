// Package inventory is the operator's part of the plan: which machines there are, what
// their Node objects look like and which token each joins with. Package manifests writes
// it into the cluster, package operate reads it there.
//
// It holds no secret: a token's id is not one.
package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// Inventory is what the operator knows of the plan.
type Inventory struct {
	// Cluster is the cluster's name.
	Cluster  string    `json:"cluster"`
	Machines []Machine `json:"machines"`
	byName   map[string]int
}

// Machine is one machine. Its name is its Node's.
type Machine struct {
	Name    string            `json:"name"`
	Role    string            `json:"role"`
	Address netip.Addr        `json:"address"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Taints are "key=value:Effect" or "key:Effect".
	Taints []string `json:"taints,omitempty"`
	// TokenID is the public part of the machine's bootstrap token.
	TokenID string `json:"tokenID"`
}

// From takes the inventory out of a plan; tokenIDs are by the machine's name.
func From(p *plan.Plan, tokenIDs map[string]string) *Inventory {
	inv := &Inventory{Cluster: p.Cluster, Machines: make([]Machine, 0, len(p.Machines))}
	for _, m := range p.Machines {
		inv.Machines = append(inv.Machines, Machine{
			Name: m.Name, Role: string(m.Role), Address: m.Address,
			Labels: m.Labels, Taints: m.Taints, TokenID: tokenIDs[m.Name],
		})
	}
	inv.index()
	return inv
}

// Parse reads what Marshal writes. Two machines of one name or token are an error: the
// operator could not tell them apart.
func Parse(data []byte) (*Inventory, error) {
	inv := &Inventory{}
	if err := json.Unmarshal(data, inv); err != nil {
		return nil, fmt.Errorf("the plan for the operator: %w: run craton up, which writes it anew", err)
	}
	inv.index()
	tokens := map[string]string{}
	for i, m := range inv.Machines {
		if inv.byName[m.Name] != i {
			return nil, fmt.Errorf("the plan for the operator has two machines %s: run craton up, which writes it anew", m.Name)
		}
		if other, ok := tokens[m.TokenID]; ok && m.TokenID != "" {
			return nil, fmt.Errorf("the plan for the operator gives %s and %s one token: run craton up, which writes it anew", other, m.Name)
		}
		tokens[m.TokenID] = m.Name
	}
	inv.share()
	return inv, nil
}

// share lets machines of the same labels and taints hold one copy of them: nobody changes
// an inventory, and thousands of machines differ in their names only.
func (inv *Inventory) share() {
	type kind struct {
		labels map[string]string
		taints []string
	}
	var kinds []kind // as many as there are roles
	for i := range inv.Machines {
		m := &inv.Machines[i]
		at := slices.IndexFunc(kinds, func(k kind) bool { return maps.Equal(k.labels, m.Labels) && slices.Equal(k.taints, m.Taints) })
		if at < 0 {
			kinds = append(kinds, kind{m.Labels, m.Taints})
			continue
		}
		m.Labels, m.Taints = kinds[at].labels, kinds[at].taints
	}
}

// Marshal is the inventory as JSON, without indentation: it is one value of a ConfigMap,
// which may have a megabyte.
func (inv *Inventory) Marshal() ([]byte, error) { return json.Marshal(inv) }

// Machine is the machine of this name, or nil.
func (inv *Inventory) Machine(name string) *Machine {
	if inv == nil {
		return nil
	}
	if i, ok := inv.byName[name]; ok {
		return &inv.Machines[i]
	}
	return nil
}

// Masters are the machines of that role.
func (inv *Inventory) Masters() []Machine {
	var masters []Machine
	for _, m := range inv.Machines {
		if m.Role == string(contract.Master) {
			masters = append(masters, m)
		}
	}
	return masters
}

func (inv *Inventory) index() {
	inv.byName = make(map[string]int, len(inv.Machines))
	for i := range inv.Machines {
		inv.byName[inv.Machines[i].Name] = i
	}
}
