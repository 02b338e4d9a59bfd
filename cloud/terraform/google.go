package terraform

import (
	"fmt"
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
		Protocol string   `json:"protocol"`
		Ports    []string `json:"ports"`
	}
	var v struct {
		Name           string   `json:"name"`
		Direction      string   `json:"direction"`
		Disabled       bool     `json:"disabled"`
		Priority       *float64 `json:"priority"`
		Allow          []part   `json:"allow"`
		Deny           []part   `json:"deny"`
		Sources        []string `json:"source_ranges"`
		Destinations   []string `json:"destination_ranges"`
		SourceTags     []string `json:"source_tags"`
		TargetTags     []string `json:"target_tags"`
		SourceAccounts []string `json:"source_service_accounts"`
		TargetAccounts []string `json:"target_service_accounts"`
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
	for deny, parts := range [][]part{v.Allow, v.Deny} {
		for _, p := range parts {
			rule := &cloud.Rule{Place: r.place(one), Out: out, Deny: deny == 1, Priority: priority}
			if targets := append(append([]string{}, v.TargetTags...), v.TargetAccounts...); len(targets) > 0 {
				rule.Targets = targets
			}
			if err := googleProtocol(rule, p.Protocol, p.Ports); err != nil {
				return err
			}
			ranges := v.Sources
			if out {
				ranges = v.Destinations
			}
			if err := rule.AddPrefixes(ranges...); err != nil {
				return err
			}
			for _, t := range append(append([]string{}, v.SourceTags...), v.SourceAccounts...) {
				rule.Peers = append(rule.Peers, cloud.Peer{Group: t})
			}
			rule.Text = rule.Describe()
			g.Rules = append(g.Rules, rule)
		}
	}
	return nil
}

func googleProtocol(rule *cloud.Rule, name string, ports []string) error {
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
