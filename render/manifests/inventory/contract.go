package inventory

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// Contract is what of the plan people look at in the Console: which clauses are open, for
// whom and why. `craton up` writes it into the cluster.
type Contract struct {
	Cluster string `json:"cluster"`
	Profile string `json:"profile"`
	// Machines is how many there are of each role.
	Machines map[contract.Role]int `json:"machines"`
	// Rules and Peers are the plan's.
	Rules []plan.Rule                      `json:"rules"`
	Peers map[contract.Peer][]netip.Prefix `json:"peers"`
	// Clauses are all of the contract's, in its order, those too that this cluster leaves shut.
	Clauses []plan.Explained `json:"clauses"`
}

// ContractOf takes it out of a plan from plan.Make.
func ContractOf(p *plan.Plan) (*Contract, error) {
	c := &Contract{Cluster: p.Cluster, Profile: p.Profile, Machines: map[contract.Role]int{}, Rules: p.Rules, Peers: p.Peers}
	for _, m := range p.Machines {
		c.Machines[m.Role]++
	}
	for _, clause := range contract.Clauses() {
		e, err := plan.Explain(p, clause.ID)
		if err != nil {
			return nil, err
		}
		c.Clauses = append(c.Clauses, e.Clauses...)
	}
	return c, nil
}

// ParseContract reads what json.Marshal makes of a Contract.
func ParseContract(data []byte) (*Contract, error) {
	c := &Contract{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("the contract in the cluster: %w: run craton up, which writes it anew", err)
	}
	return c, nil
}

// Counters are what the rules have let through and dropped so far. Whoever enforces the
// rules writes them into the cluster from time to time.
type Counters struct {
	Time time.Time `json:"time"`
	// Clauses are by id, Drops by "role.direction".
	Clauses map[string]Count `json:"clauses"`
	Drops   map[string]Count `json:"drops"`
}

// Count is one counter.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Used is when it was last seen to move; the zero time where it never was.
	Used time.Time `json:"used,omitzero"`
}

// ParseCounters reads what json.Marshal makes of Counters.
func ParseCounters(data []byte) (*Counters, error) {
	c := &Counters{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("the counters in the cluster: %w", err)
	}
	return c, nil
}

// Next are the counters of now, with when each was last used, after those of the last time
// (nil where there are none). A counter that has moved since then was used now.
func (c *Counters) Next(now time.Time, clauses, drops map[string]Count) *Counters {
	next := &Counters{Time: now, Clauses: clauses, Drops: drops}
	if c == nil {
		c = &Counters{}
	}
	for _, pair := range []struct{ old, new map[string]Count }{{c.Clauses, clauses}, {c.Drops, drops}} {
		for id, count := range pair.new {
			old, known := pair.old[id]
			count.Used = old.Used
			if count.Packets != old.Packets && (known || count.Packets > 0) {
				count.Used = now
			}
			pair.new[id] = count
		}
	}
	return next
}
