// Package nftables writes a plan's rules as nftables rulesets: one for the router that
// stands between all machines (Fabric), one for a machine that has no such router before
// it (Machine).
//
// It only writes text: loading it, reading counters and listening to the log is the
// platform's job. It imports contract and plan and decides nothing that the plan has not
// decided.
//
// Both rulesets drop by default in both directions and are stateful. Each clause has one
// named counter; addresses stand in sets, so that the number of rules does not depend on
// the number of machines. A file replaces the table in one transaction: a packet meets
// either the old rules or the new ones. The kernel's connection tracking is not part of
// the table, so connections outlive the replacement; whoever loads a ruleset that shuts
// something must delete those connections himself.
package nftables

import (
	"fmt"
	"sort"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// Table is the name of the table (family inet) that the rulesets replace.
const Table = "craton"

// LogPrefix starts the prefix of each logged drop. A role, a dot and a direction follow,
// or "spoofed".
const LogPrefix = "craton-drop "

// Options are what a router knows and a plan does not.
type Options struct {
	// Ports is the router's interface for each machine, by the machine's name. A packet
	// from such an interface must carry that machine's address, and no other interface
	// may send with a machine's address. Where Ports is empty nothing of this is checked.
	Ports map[string]string
	// LogGroup is the nflog group that drops are sent to; 0 means that they are not logged.
	LogGroup uint16
	// Counts are the values that counters start from, by the counter's name, so that a
	// replaced table goes on counting.
	Counts map[string]Count
}

// Count is a counter's value.
type Count struct{ Packets, Bytes uint64 }

// ruleset collects a table's text.
type ruleset struct {
	strings.Builder
	plan *plan.Plan
	opt  Options
}

func (r *ruleset) line(format string, args ...any) {
	fmt.Fprintf(r, format, args...)
	r.WriteByte('\n')
}

// begin writes what makes the file a replacement: the first line makes sure that there is
// a table to delete.
func (r *ruleset) begin() {
	r.line("table inet %s {}", Table)
	r.line("delete table inet %s", Table)
	r.line("table inet %s {", Table)
}

func (r *ruleset) end() []byte {
	r.line("}")
	return []byte(r.String())
}

// counters writes the counters of rules and of drops.
func (r *ruleset) counters(rules []plan.Rule, drops ...string) {
	names := map[string]bool{}
	for _, rule := range rules {
		for _, clause := range rule.Clauses {
			names[CounterName(clause)] = true
		}
	}
	for _, d := range drops {
		names[DropCounter(d)] = true
	}
	sorted := make([]string, 0, len(names))
	for n := range names {
		sorted = append(sorted, n)
	}
	sort.Strings(sorted)
	for _, n := range sorted {
		c := r.opt.Counts[n]
		r.line("\tcounter %s { packets %d bytes %d }", n, c.Packets, c.Bytes)
	}
}

// drop ends a chain: counts, logs some of the packets and drops all of them.
func (r *ruleset) drop(what string) {
	r.line("\t\tcounter name %s", DropCounter(what))
	if r.opt.LogGroup != 0 {
		// The limit stands before the log: a flood may not cost a log entry a packet.
		r.line("\t\tlimit rate 20/second burst 40 packets log prefix %q group %d snaplen 96",
			LogPrefix+what+" ", r.opt.LogGroup)
	}
	r.line("\t\tdrop")
}

// chain writes the rules of one role and direction; what matches none is dropped.
// passed is the verdict of what matches.
func (r *ruleset) chain(role contract.Role, direction contract.Kind, passed string) {
	name := chainName(role, direction)
	r.line("\tchain %s {", name)
	for _, rule := range inOrder(r.plan.Rules, role, direction) {
		r.rule(rule, passed)
	}
	r.drop(name)
	r.line("\t}")
}

// rule writes a rule of the plan as one rule for each of its peers.
func (r *ruleset) rule(rule plan.Rule, passed string) {
	side := "saddr"
	if rule.Direction == contract.Egress {
		side = "daddr"
	}
	var rest strings.Builder
	rest.WriteString(portMatch(rule.Protocol, rule.Ports))
	for _, clause := range rule.Clauses {
		rest.WriteString(" counter name " + CounterName(clause))
	}
	for _, peer := range rule.Peers {
		if everyone(r.plan, peer) {
			r.line("\t\t%s %s", rest.String(), passed)
			return
		}
	}
	for _, peer := range rule.Peers {
		r.line("\t\tip %s @%s %s %s", side, setName(peer), rest.String(), passed)
	}
}

// inOrder is the rules of one role and direction, narrowest first: a packet is counted by
// the first rule that it matches, and "all ports from masters" would otherwise count what
// a rule for one port is there for.
func inOrder(rules []plan.Rule, role contract.Role, direction contract.Kind) []plan.Rule {
	var out []plan.Rule
	for _, rule := range rules {
		if rule.Role == role && rule.Direction == direction {
			out = append(out, rule)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return width(out[i]) < width(out[j]) })
	return out
}

// width is how many ports a rule opens.
func width(rule plan.Rule) int {
	n := 0
	for _, p := range mergePorts(rule.Ports) {
		n += int(p.Last) - int(p.First) + 1
	}
	if rule.Protocol == contract.Any {
		n *= 2
	}
	return n
}

// portMatch is the match on protocol and ports. Any means tcp and udp: the document opens
// ports, and what has none is not opened.
func portMatch(protocol contract.Protocol, ports []contract.PortRange) string {
	var texts []string
	for _, p := range mergePorts(ports) {
		if p.First == p.Last {
			texts = append(texts, fmt.Sprint(p.First))
		} else {
			texts = append(texts, fmt.Sprintf("%d-%d", p.First, p.Last))
		}
	}
	list := strings.Join(texts, ", ")
	if len(texts) != 1 {
		list = "{ " + list + " }"
	}
	if protocol == contract.Any {
		return "meta l4proto { tcp, udp } th dport " + list
	}
	return fmt.Sprintf("%s dport %s", protocol, list)
}

// mergePorts sorts ranges and joins those that touch: nft refuses overlaps in a set.
func mergePorts(ports []contract.PortRange) []contract.PortRange {
	sorted := append([]contract.PortRange(nil), ports...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].First < sorted[j].First })
	var out []contract.PortRange
	for _, p := range sorted {
		if n := len(out); n > 0 && int(p.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, p.Last)
			continue
		}
		out = append(out, p)
	}
	return out
}

// everyone reports whether a peer is every address, so that no match is needed.
func everyone(p *plan.Plan, peer contract.Peer) bool {
	if peer == contract.All {
		return true
	}
	for _, prefix := range p.Peers[peer] {
		if prefix.Bits() == 0 && prefix.Addr().Is4() {
			return true
		}
	}
	return false
}
