// Package audit compares somebody else's rules with the contract: rules of packet filters
// and security groups of clouds, written by people who know nothing of craton. It says which
// clauses they do not meet, what they open that no clause asks for, which of them can never
// match, and what it did not understand.
//
// It changes nothing and asks nobody: it reads documents. Whether the rules of a cluster of
// craton's are exactly its plan's is another question (package verify).
package audit

import (
	"fmt"
	"net/netip"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// Audit is what was found.
type Audit struct {
	Kind string `json:"kind"`
	// Roles are the names that each role's machines go by in the documents.
	Roles map[contract.Role][]string `json:"roles"`
	// Guesses are what nobody said and was assumed.
	Guesses  []string  `json:"guesses"`
	Clauses  []Clause  `json:"clauses"`
	Openings []Opening `json:"openings"`
	Dead     []Finding `json:"dead"`
	// Choices are the clauses that apply to some clusters only, and whether they are open.
	Choices       []Choice  `json:"choices"`
	NotUnderstood []Finding `json:"notUnderstood"`
}

// Verdict is how far rules meet a clause.
type Verdict string

// The verdicts. Unknown is never as good as met.
const (
	Met     Verdict = "met"
	Partly  Verdict = "partly"
	Unmet   Verdict = "unmet"
	Unknown Verdict = "unknown"
)

// Clause is a clause that binds every cluster (or the one whose file was given), judged.
type Clause struct {
	ID       string         `json:"id"`
	Line     int            `json:"line"`
	Level    contract.Level `json:"level"`
	Verdict  Verdict        `json:"verdict"`
	Evidence []string       `json:"evidence"`
	Detail   string         `json:"detail"`
	// Operations are sentences about what stops without the clause.
	Operations []string `json:"operations"`
}

// Opening is what a rule lets through and no clause asks for.
type Opening struct {
	Role      contract.Role `json:"role"`
	Direction contract.Kind `json:"direction"`
	Protocol  string        `json:"protocol"`
	Ports     []string      `json:"ports"`
	Peers     []string      `json:"peers"`
	Evidence  string        `json:"evidence"`
	Detail    string        `json:"detail"`

	width float64
}

// Finding is something about one rule or group.
type Finding struct {
	Evidence string `json:"evidence"`
	Detail   string `json:"detail"`
}

// Choice is a clause with a condition that the documents do not decide.
type Choice struct {
	ID   string `json:"id"`
	Line int    `json:"line"`
	Open bool   `json:"open"`
	// Verdict says how far it is open: Met is all of it, Unmet nothing.
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
}

// Answer says whether a clause is open.
func (c Choice) Answer() string {
	return map[Verdict]string{Met: "yes", Partly: "partly", Unmet: "no", Unknown: "unknown"}[c.Verdict]
}

// Source is one document.
type Source struct {
	Name string
	Data []byte
}

// Options are what documents do not say. The zero value guesses, and says so.
type Options struct {
	// Roles are, for each role, names of groups, tags or files, or addresses of its machines.
	Roles map[contract.Role][]string
	// Peers are, for peers that are no machines of the cluster, their addresses or groups.
	Peers map[contract.Peer][]string
	// NodeNetwork is where machines have their addresses.
	NodeNetwork []netip.Prefix
	// PodNetwork is where pods have theirs: a machine's own rules let its pods do more.
	PodNetwork []netip.Prefix
	// Interface is the one by which a machine's peers reach it; "" guesses.
	Interface string
	// APIPort is the API's port; 0 is the contract's own.
	APIPort uint16
	// Cluster decides which conditions hold; nil judges only clauses that bind every cluster.
	Cluster *cluster.Cluster
}

// Counts are the findings by kind.
type Counts struct{ Must, Should, Openings, Dead, Unknown int }

// Count counts findings: clauses that are not met by their level, what was not understood
// and clauses whose verdict is unknown together.
func (a *Audit) Count() Counts {
	n := Counts{Openings: len(a.Openings), Dead: len(a.Dead), Unknown: len(a.NotUnderstood)}
	for _, c := range a.Clauses {
		switch {
		case c.Verdict == Met:
		case c.Verdict == Unknown:
			n.Unknown++
		case c.Level == contract.Should:
			n.Should++
		default:
			n.Must++
		}
	}
	return n
}

// Run audits some documents together. An error is of a document that cannot be read, or of
// options that name nothing in them.
func Run(sources []Source, opt Options) (*Audit, error) {
	if len(sources) == 0 {
		return nil, fmt.Errorf("there is nothing to audit: name a file")
	}
	s, err := survey(sources, opt)
	if err != nil {
		return nil, err
	}
	a := &Audit{
		Kind: "Audit", Roles: s.roleNames(), Guesses: s.guesses, Clauses: []Clause{}, Openings: []Opening{},
		Dead: []Finding{}, Choices: []Choice{}, NotUnderstood: []Finding{},
	}
	if a.Guesses == nil {
		a.Guesses = []string{}
	}
	if err := s.judge(a); err != nil {
		return nil, err
	}
	return a, nil
}
