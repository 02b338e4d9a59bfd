package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// Explanation answers what a clause, or an opening of some ports, is there for.
type Explanation struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Query      string `json:"query"`
	// Open tells whether some clause of the answer is open in the plan. Where none is,
	// every machine drops what was asked about.
	Open bool `json:"open"`
	// Named tells whether a clause that is open names the ports; where none does, they are
	// open only by clauses that open all ports.
	Named bool `json:"named"`
	// Clauses are the contract's clauses that the query is about, in the contract's order,
	// those that this plan leaves shut as well.
	Clauses []Explained `json:"clauses"`
}

// Explained is one clause of an explanation.
type Explained struct {
	Clause contract.Clause `json:"clause"`
	// Open tells whether the clause binds this plan; where it does not, WhyNot is a
	// sentence that says why.
	Open   bool   `json:"open"`
	WhyNot string `json:"whyNot"`
	// Ports are the clause's ports in this cluster that the query asked about.
	Ports []contract.PortRange `json:"ports"`
	From  []End                `json:"from"`
	To    []End                `json:"to"`
	// Components are those that use the clause.
	Components []Use `json:"components"`
	// Operations are those that need it: they stop without it.
	Operations []Operation `json:"operations"`
	// Without says in words what stops without it.
	Without string `json:"without"`
}

// End is one side of an opening: a role or a peer, and its addresses in this plan.
type End struct {
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`
}

// Use is a component and whether this cluster has it.
type Use struct {
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
	Enabled bool   `json:"enabled"`
}

// Operation is something that a cluster does.
type Operation struct {
	ID       string `json:"id"`
	Sentence string `json:"sentence"`
}

// Explain answers a query about a plan: a clause's id, or ports as "10250", "udp/4789",
// "30000-32767/tcp" or "all". The plan must be one from Make. A query that is none of
// these is an error; one that nothing opens is an answer whose Open is false.
func Explain(p *Plan, query string) (Explanation, error) {
	out := Explanation{APIVersion: cluster.APIVersion, Kind: "Explanation", Query: query, Clauses: []Explained{}}
	if p.File == nil {
		return out, errors.New("explain: the plan has lost its cluster file, as one read from JSON has: make it from the file")
	}
	var clauses []contract.Clause
	asked := everyPort
	if clause, ok := contract.ByID(query); ok {
		clauses = append(clauses, clause)
	} else {
		protocol, ports, err := parseOpening(query)
		if err != nil {
			return out, err
		}
		asked = ports
		for _, clause := range contract.Clauses() {
			if speaks(clause, protocol) && len(within(portsOf(clause, p.Network.APIPort), asked)) > 0 {
				clauses = append(clauses, clause)
			}
		}
	}
	peers, err := peersOf(p.File, p.Network, p.Machines)
	if err != nil {
		return out, err
	}
	for _, clause := range clauses {
		e := p.explain(clause, asked, peers)
		out.Open = out.Open || e.Open
		out.Named = out.Named || e.Open && !slices.Contains(clause.Ports, everyPort)
		out.Clauses = append(out.Clauses, e)
	}
	return out, nil
}

func (p *Plan) explain(clause contract.Clause, asked contract.PortRange, peers map[contract.Peer][]netip.Prefix) Explained {
	e := Explained{
		Clause: clause, Ports: within(portsOf(clause, p.Network.APIPort), asked),
		From: []End{}, To: []End{}, Components: []Use{}, Operations: []Operation{},
	}
	e.WhyNot = shut(clause, p.File, peers)
	e.Open = e.WhyNot == ""
	if traffic(clause) {
		own := []End{{string(clause.Role), addresses(p.Machines, clause.Role)}}
		var others []End
		for _, peer := range clause.Peers {
			others = append(others, End{string(peer), cover(peers[peer])})
		}
		e.From, e.To = others, own
		if clause.Kind == contract.Egress {
			e.From, e.To = own, others
		}
	}
	for _, c := range contract.Components() {
		if slices.Contains(c.Clauses, clause.ID) {
			e.Components = append(e.Components, Use{c.Name, c.Purpose, Holds(c.Condition, p.File)})
		}
	}
	var sentences []string
	for _, o := range contract.Operations() {
		if slices.Contains(o.Clauses, clause.ID) {
			e.Operations = append(e.Operations, Operation{o.ID, o.Sentence})
			sentences = append(sentences, o.Sentence)
		}
	}
	switch {
	case clause.Reason != "":
		e.Without = clause.Reason
	case len(sentences) > 0:
		e.Without = "this stops: " + strings.Join(sentences, "; ")
	default:
		e.Without = "nothing is known to need it"
	}
	return e
}

// shut says why a clause binds nothing in a cluster, or "" where it does.
func shut(clause contract.Clause, c *cluster.Cluster, peers map[contract.Peer][]netip.Prefix) string {
	if why := whyNot(clause, c); why != "" {
		return why
	}
	if slices.Contains(roles, clause.Role) && clause.Kind != contract.Count && count(c, clause.Role) == 0 {
		return "this cluster has no " + string(clause.Role) + " machines"
	}
	if traffic(clause) && !opensSomething(clause, c, peers) {
		return "this cluster has no " + join(clause.Peers, peerName, " and no ")
	}
	return ""
}

func traffic(clause contract.Clause) bool {
	return clause.Kind == contract.Ingress || clause.Kind == contract.Egress
}

// speaks tells whether a clause is for a protocol; Any asks for clauses of every one.
func speaks(clause contract.Clause, protocol contract.Protocol) bool {
	return traffic(clause) && (protocol == contract.Any ||
		slices.Contains(clause.Protocols, protocol) || slices.Contains(clause.Protocols, contract.Any))
}

// within are the parts of some ports that lie in a range.
func within(ports []contract.PortRange, asked contract.PortRange) []contract.PortRange {
	out := []contract.PortRange{}
	for _, r := range ports {
		r = contract.PortRange{First: max(r.First, asked.First), Last: min(r.Last, asked.Last)}
		if r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// parseOpening reads ports with or without a protocol before or behind them.
func parseOpening(query string) (contract.Protocol, contract.PortRange, error) {
	protocol, text := contract.Any, strings.TrimSpace(query)
	if first, second, ok := strings.Cut(text, "/"); ok {
		if isProtocol(second) {
			first, second = second, first
		}
		if !isProtocol(first) {
			if _, err := contract.ParsePortRange(first); err == nil {
				first = second // ports come first, so what is behind them is the protocol
			}
			return "", contract.PortRange{}, fmt.Errorf("explain %q: %q is no protocol that the contract knows: want tcp, udp or any", query, first)
		}
		protocol, text = contract.Protocol(first), second
	}
	ports, err := contract.ParsePortRange(text)
	if err == nil {
		return protocol, ports, nil
	}
	if !strings.ContainsAny(text, ".") {
		return "", ports, fmt.Errorf("explain %q: %w; want for instance 10250, udp/4789, tcp/30000-32767 or a clause's id", query, err)
	}
	return "", ports, fmt.Errorf("explain %q: the contract has no such clause: did you mean %s?", query, nearestClause(text))
}

func isProtocol(text string) bool {
	return slices.Contains([]contract.Protocol{contract.TCP, contract.UDP, contract.Any}, contract.Protocol(text))
}

// nearestClause is the id that looks most like a text.
func nearestClause(text string) string {
	clauses := contract.Clauses()
	return slices.MinFunc(clauses, func(a, b contract.Clause) int {
		return levenshtein.Distance(text, a.ID, nil) - levenshtein.Distance(text, b.ID, nil)
	}).ID
}
