package prove

import (
	"slices"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// The verdicts about a clause.
const (
	// Necessary clauses break an operation when they are taken out.
	Necessary = "necessary"
	// Redundant ones break none, since another clause opens the same or nothing uses them.
	Redundant = "redundant"
	// Untested are those about which no experiment here says anything; the detail says why.
	Untested = "untested"
)

// Proof is what an experiment has shown.
type Proof struct {
	Kind    string `json:"kind"`
	Cluster string `json:"cluster"`
	Profile string `json:"profile"`
	// Shape is the cluster in a few words.
	Shape string `json:"shape"`
	// Key is what the results hang on: contract, plan and operations.
	Key string `json:"key"`
	// Past is set by who knows that the contract, the plan or the operations have changed since.
	Past bool `json:"-"`
	// Part is which part of a proof it is; "" is all of it.
	Part string `json:"part,omitempty"`
	// Plan is that of the cluster's file today, where somebody knows it.
	Plan *plan.Plan `json:"-"`
	// Complete is set where every clause had its turn, with all operations.
	Complete bool      `json:"complete"`
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended,omitzero"`
	// Seconds are how long the experiment took, those of earlier runs that it went on from included.
	Seconds    float64     `json:"seconds"`
	Sufficient Sufficient  `json:"sufficient"`
	Necessary  []Necessity `json:"necessary"`
}

// Sufficient is what works with exactly the plan's rules.
type Sufficient struct {
	Operations []Result  `json:"operations"`
	Untested   []Untried `json:"untested"`
}

// Result is an operation that was tried once.
type Result struct {
	ID      string  `json:"id"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail"`
}

// Untried is an operation that was not tried, and why.
type Untried struct {
	ID       string `json:"id"`
	Sentence string `json:"sentence"`
	Reason   string `json:"reason"`
}

// Necessity is what was found about one clause.
type Necessity struct {
	Clause    string   `json:"clause"`
	Predicted []string `json:"predicted"`
	Broken    []string `json:"broken"`
	Verdict   string   `json:"verdict"`
	Detail    string   `json:"detail"`
	// Within are clauses that open the same.
	Within []string `json:"within,omitempty"`
	// Cost is what a redundant clause has open for nothing.
	Cost string `json:"cost,omitempty"`
	// Finding is what differs from the prediction; "" for nothing.
	Finding string `json:"finding,omitempty"`
	// Results are all operations that were tried without the clause.
	Results []Result `json:"results,omitempty"`
	// Dropped is how many packets the clause's role and direction dropped meanwhile.
	Dropped uint64 `json:"dropped,omitempty"`
	// Back is how many seconds after the clause was back all that broke worked again.
	Back    float64 `json:"back,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

func (p *Proof) has(clause string) bool {
	return slices.ContainsFunc(p.Necessary, func(n Necessity) bool { return n.Clause == clause })
}

// add keeps the clauses in the contract's order.
func (p *Proof) add(n Necessity) {
	p.Necessary = append(p.Necessary, n)
	place := map[string]int{}
	for i, c := range contract.Clauses() {
		place[c.ID] = i
	}
	slices.SortFunc(p.Necessary, func(a, b Necessity) int { return place[a.Clause] - place[b.Clause] })
}

// Findings are what is not as predicted, a sentence each.
func (p *Proof) Findings() []string {
	var all []string
	for _, o := range p.Sufficient.Operations {
		if !o.OK {
			all = append(all, "with all rules, "+o.ID+" does not work: "+o.Detail)
		}
	}
	for _, n := range p.Necessary {
		if n.Finding != "" {
			all = append(all, "without "+n.Clause+": "+n.Finding)
		}
	}
	return all
}
