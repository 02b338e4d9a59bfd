package prove

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// overview says what the operations are, of each clause what each proof has found, and why some have no
// verdict in any.
func overview(b *strings.Builder, proofs []*Proof) {
	b.WriteString("\n## Every clause\n\nWhere a clause is needed, and how many operations break without it; \"open twice\" where another clause opens " +
		"the same, \"unused\" where nothing uses what it opens; empty where it opens nothing there, and – where it had no turn: the proof " +
		"was stopped before, or was about some clauses only.\n\n| clause |")
	for _, p := range proofs {
		fmt.Fprintf(b, " %s, %s |", p.Shape, p.Profile)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(proofs)) + "\n")
	var without []string
	for _, c := range contract.Clauses() {
		row, seen := "", false
		for _, p := range proofs {
			mark, verdict := p.mark(c)
			row += mark + " |"
			seen = seen || verdict
		}
		if seen {
			fmt.Fprintf(b, "| %s |%s\n", c.ID, row)
		} else {
			without = append(without, fmt.Sprintf("- %s: %s\n", c.ID, cellText(noVerdict(c, proofs))))
		}
	}
	b.WriteString("\nWith no verdict by experiment in any of these experiments:\n\n" + strings.Join(without, ""))
	b.WriteString("\n## Every operation\n\n| operation | what it is |\n|---|---|\n")
	for _, o := range contract.Operations() {
		fmt.Fprintf(b, "| %s | %s |\n", o.ID, cellText(o.Sentence))
	}
}

// opens tells whether a clause opens something in the proof's cluster. Of results whose plan nobody knows, it
// does where it was taken out or had no turn.
func (p *Proof) opens(id string) bool {
	if p.Plan != nil {
		return slices.Contains(p.Plan.Opening(), id)
	}
	i := slices.IndexFunc(p.Necessary, func(n Necessity) bool { return n.Clause == id })
	return i < 0 || len(p.Necessary[i].Results) > 0
}

// mark is what a proof has found about a clause, and whether that is a verdict by experiment.
func (p *Proof) mark(c contract.Clause) (text string, verdict bool) {
	i := slices.IndexFunc(p.Necessary, func(n Necessity) bool { return n.Clause == c.ID && len(n.Results) > 0 })
	if i < 0 {
		if p.opens(c.ID) {
			return " –", false
		}
		return "", false
	}
	switch n := p.Necessary[i]; {
	case n.Verdict == Necessary:
		return fmt.Sprintf(" **needed** (%d)", len(n.Broken)), true
	case n.Verdict == Redundant && len(n.Within) > 0:
		return " open twice", true
	case n.Verdict == Redundant:
		return " unused", true
	default:
		return " untested: " + cellText(n.Detail), false
	}
}

// noVerdict says why no proof has a verdict about a clause.
func noVerdict(c contract.Clause, proofs []*Proof) string {
	var waiting, reasons []string
	for _, p := range proofs {
		if p.opens(c.ID) {
			waiting = append(waiting, p.Shape+", profile "+p.Profile)
			continue
		}
		reason := ""
		if p.Plan != nil {
			reason = notHere(p.Plan, c)
		} else if i := slices.IndexFunc(p.Necessary, func(n Necessity) bool { return n.Clause == c.ID }); i >= 0 {
			reason = p.Necessary[i].Detail
		}
		reason = strings.TrimSuffix(reason, ", which does not hold of this cluster")
		if reason != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	switch {
	case len(c.Ports) == 0:
		return noPort(c)
	case c.Condition == contract.IfEtcdSeed:
		return onlyAtFirst
	case len(waiting) > 0:
		return "it had no turn yet in " + strings.Join(waiting, "; ")
	case len(reasons) == 0:
		return "each proof was stopped before"
	}
	return "none of these clusters is about it: " + strings.Join(reasons, "; ")
}

// counts says how many clauses have which verdict.
func (p *Proof) counts() string {
	count := map[string]int{}
	for _, n := range p.Necessary {
		if len(n.Results) == 0 {
			count["not here"]++
			continue
		}
		count[n.Verdict]++
	}
	text := fmt.Sprintf("%d necessary, %d redundant", count[Necessary], count[Redundant])
	if count[Untested] > 0 {
		text += fmt.Sprintf(", %d untested", count[Untested])
	}
	if n := count["not here"]; n > 0 {
		text += fmt.Sprintf("; %d open nothing in this cluster", n)
	}
	return text
}

// why says what is behind a verdict and, of a redundant clause, what it costs.
func (p *Proof) why(n Necessity) string {
	switch {
	case n.Cost != "":
		return n.Detail + "; it costs " + n.Cost
	case n.Detail == nobodyUses && p.Plan != nil:
		return n.Detail + "; it costs " + cost(p.Plan, n.Clause)
	case len(n.Within) > 0:
		return n.Detail + ", so it costs nothing more"
	}
	return n.Detail
}

// cost is what a clause has open, in numbers: ports of machines, and how many addresses they are open to or may reach.
func cost(p *plan.Plan, id string) string {
	var out []string
	for _, r := range p.Rules {
		if !slices.Contains(r.Clauses, id) {
			continue
		}
		machines := 0
		for _, m := range p.Machines {
			if m.Role == r.Role {
				machines++
			}
		}
		number := 0
		for _, ports := range r.Ports {
			number += int(ports.Last) - int(ports.First) + 1
		}
		var peers []string
		for _, peer := range r.Peers {
			if len(p.Peers[peer]) > 0 {
				peers = append(peers, string(peer))
			}
		}
		text := map[contract.Kind]string{
			contract.Ingress: "%d %s %s of %d %s, open to %s", contract.Egress: "%d %s %s out of %d %s, to %s",
		}[r.Direction]
		out = append(out, fmt.Sprintf(text, number, r.Protocol, map[bool]string{true: "port", false: "ports"}[number == 1], machines, plural(r.Role, machines), strings.Join(peers, ", ")))
	}
	return strings.Join(out, " and ")
}

// plural is a role's name for some machines.
func plural(r contract.Role, n int) string {
	if n == 1 || r == contract.Infra {
		return string(r)
	}
	return string(r) + "s"
}
