package terraform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/packets"
)

// googleRule reads google_compute_firewall. All rules of a network are one list, by
// priority; without a target a rule is for all machines. What no rule has a word on is
// dropped inwards and passes outwards.
func googleRule(r *reader, one *resource) error {
	type part struct {
		Protocol string `json:"protocol"`
		Ports    values `json:"ports"`
	}
	var v struct {
		Name           string   `json:"name"`
		Direction      string   `json:"direction"`
		Disabled       bool     `json:"disabled"`
		Priority       *float64 `json:"priority"`
		Allow          []part   `json:"allow"`
		Deny           []part   `json:"deny"`
		Sources        values   `json:"source_ranges"`
		Destinations   values   `json:"destination_ranges"`
		SourceTags     values   `json:"source_tags"`
		TargetTags     values   `json:"target_tags"`
		SourceAccounts values   `json:"source_service_accounts"`
		TargetAccounts values   `json:"target_service_accounts"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	const implied = "google network"
	g := r.doc.Find(implied)
	if g == nil {
		g = &cloud.Group{Names: []string{implied}, Place: r.place(one), Everyone: true, AllowsOut: true}
		r.doc.Groups = append(r.doc.Groups, g)
	}
	if v.Disabled {
		return nil
	}
	out := false
	switch v.Direction {
	case "", "INGRESS":
	case "EGRESS":
		out = true
	default:
		return fmt.Errorf("direction is %q: expected INGRESS or EGRESS", v.Direction)
	}
	priority := 1000
	if v.Priority != nil {
		priority = int(*v.Priority)
	}
	targets, sources := r.names(one, "target_tags", v.TargetTags), r.names(one, "source_tags", v.SourceTags)
	targets = append(targets, r.labels(one, "target_service_accounts", v.TargetAccounts)...)
	sources = append(sources, r.labels(one, "source_service_accounts", v.SourceAccounts)...)
	attribute, ranges := "source_ranges", v.Sources
	if out {
		attribute, ranges = "destination_ranges", v.Destinations
	}
	for deny, parts := range [][]part{v.Allow, v.Deny} {
		for _, p := range parts {
			rule := &cloud.Rule{Place: r.place(one), Out: out, Deny: deny == 1, Priority: priority}
			known, all := targets.split()
			switch {
			case !all: // it may be for any
				rule.Unknown = append(rule.Unknown, laterTargets)
			case len(known) > 0:
				rule.Targets = known
			}
			if _, all := p.Ports.split(); !all || p.Ports == nil && r.googlePorts(one, deny == 1) {
				rule.Unknown = append(rule.Unknown, laterPorts)
			}
			if err := googleProtocol(rule, p.Protocol, p.Ports); err != nil {
				return err
			}
			if err := ranges.prefixes(rule); err != nil {
				return err
			}
			known, all = sources.split()
			for _, t := range known {
				rule.Peers = append(rule.Peers, cloud.Peer{Group: t})
			}
			if !all || r.unknown(one, attribute) {
				rule.Peers = append(rule.Peers, cloud.Peer{Unknown: laterPeers})
			}
			rule.Text = rule.Describe()
			g.Rules = append(g.Rules, rule)
		}
	}
	return nil
}

// names is a list of tags; "" stands for those that are not known yet.
func (r *reader) names(one *resource, attribute string, list values) values {
	if r.unknown(one, attribute) {
		return append(slices.Clone(list), "")
	}
	return list
}

// googlePorts tells whether ports of some block are not written as they are, so that a part without any may get
// some when the plan is applied.
func (r *reader) googlePorts(one *resource, deny bool) bool {
	if one.config == nil {
		return false
	}
	var blocks []map[string]json.RawMessage
	if json.Unmarshal(one.config.Expressions[map[bool]string{false: "allow", true: "deny"}[deny]], &blocks) != nil {
		return false
	}
	return slices.ContainsFunc(blocks, func(b map[string]json.RawMessage) bool { return len(references(b["ports"])) > 0 })
}

func googleProtocol(rule *cloud.Rule, name string, ports values) error {
	number := map[string]uint64{"tcp": packets.TCP, "udp": packets.UDP, "icmp": packets.ICMP, "esp": 50, "ah": 51, "sctp": 132, "ipip": 4}
	n, known := number[strings.ToLower(name)]
	switch {
	case strings.EqualFold(name, "all"):
		return nil
	case !known:
		var err error
		if n, err = strconv.ParseUint(name, 10, 8); err != nil {
			rule.Unknown = append(rule.Unknown, "protocol "+name)
			return nil
		}
	}
	rule.Protocols = []packets.Range{packets.Numbers(n, n)}
	var err error
	rule.Ports, err = portRanges(ports)
	return err
}
