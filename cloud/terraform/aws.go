package terraform

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/cloud/aws"
	"craton.dev/craton/filter"
)

// awsInline is a rule within aws_security_group.
type awsInline struct {
	From           float64 `json:"from_port"`
	To             float64 `json:"to_port"`
	Protocol       any     `json:"protocol"`
	Cidr           values  `json:"cidr_blocks"`
	Cidr6          values  `json:"ipv6_cidr_blocks"`
	PrefixLists    values  `json:"prefix_list_ids"`
	SecurityGroups values  `json:"security_groups"`
	Self           bool    `json:"self"`
}

// awsGroup reads aws_security_group. What Terraform makes has no rule that is not written:
// it takes the usual "everything out" away.
func awsGroup(r *reader, one *resource) error {
	var v struct {
		ID      string            `json:"id"`
		Name    string            `json:"name"`
		Tags    map[string]string `json:"tags"`
		Ingress []awsInline       `json:"ingress"`
		Egress  []awsInline       `json:"egress"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	g := &cloud.Group{Names: named(one.Address, v.ID, v.Name, v.Tags["Name"]), Place: r.place(one)}
	r.doc.Groups = append(r.doc.Groups, g)
	sections := []string{"ingress", "egress"}
	for n, rules := range [][]awsInline{v.Ingress, v.Egress} {
		section := sections[n]
		for i, in := range rules {
			place := filter.Place{File: r.file, Name: fmt.Sprintf("%s %s[%d]", one.Address, section, i)}
			rule := &cloud.Rule{Place: place, Out: section == "egress", Peers: []cloud.Peer{}}
			if err := in.fill(rule); err != nil {
				return fmt.Errorf("%s[%d]: %w", section, i, err)
			}
			if err := r.prefixLists(rule, one, "", in.PrefixLists); err != nil {
				return fmt.Errorf("%s[%d]: %w", section, i, err)
			}
			rule.Peers = append(rule.Peers, r.inlineGroups(one, section, in)...)
			if in.Self {
				rule.Peers = append(rule.Peers, cloud.Peer{Group: one.Address})
			}
			if len(rule.Peers) == 0 {
				rule.Peers = append(rule.Peers, cloud.Peer{Unknown: laterPeers})
			}
			rule.Text = rule.Describe()
			g.Rules = append(g.Rules, rule)
		}
	}
	if one.config != nil {
		for i, n := range []int{len(v.Ingress), len(v.Egress)} {
			section := sections[i]
			if one.config.Expressions[section] != nil && n == 0 && !emptyConstant(one.config.Expressions[section]) {
				r.note(one, "its %s is not known before it is applied", section)
			}
		}
	}
	return nil
}

func emptyConstant(raw json.RawMessage) bool {
	var e struct {
		Constant json.RawMessage `json:"constant_value"`
	}
	return json.Unmarshal(raw, &e) == nil && (string(e.Constant) == "[]" || string(e.Constant) == "null" && len(references(raw)) == 0)
}

// inlineGroups are the groups of an inline rule: by their values or, where those are not known yet, by the block
// that was written. A plan has rules in an order of its own, so the block is the one that says nothing else than
// the rule; where several are, their groups are told only if all have the same.
func (r *reader) inlineGroups(one *resource, section string, in awsInline) []cloud.Peer {
	var out []cloud.Peer
	known, all := in.SecurityGroups.split()
	for _, v := range known {
		if name, ok := r.group(one, "", v); ok {
			out = append(out, cloud.Peer{Group: name})
		}
	}
	if len(out) > 0 && all || one.config == nil {
		return out
	}
	var blocks []map[string]json.RawMessage
	if json.Unmarshal(one.config.Expressions[section], &blocks) != nil {
		return out
	}
	var found [][]cloud.Peer
	for _, b := range blocks {
		if !in.mayBe(b) {
			continue
		}
		var peers []cloud.Peer
		for _, to := range r.resolve(one.module, references(b["security_groups"]), map[string]bool{}) {
			peers = append(peers, cloud.Peer{Group: to.Address})
		}
		if len(references(b["security_groups"])) > 0 && peers == nil {
			peers = []cloud.Peer{{Unknown: laterPeers}}
		}
		if !slices.ContainsFunc(found, func(f []cloud.Peer) bool { return slices.Equal(f, peers) }) {
			found = append(found, peers)
		}
	}
	switch len(found) {
	case 0:
		return out
	case 1:
		return append(out, found[0]...)
	}
	return append(out, cloud.Peer{Unknown: laterPeers})
}

// mayBe tells whether a block that was written can be the rule: what it says as a constant is what the rule has.
func (in awsInline) mayBe(block map[string]json.RawMessage) bool {
	for attribute, value := range map[string]any{
		"from_port": in.From, "to_port": in.To, "protocol": in.Protocol, "self": in.Self, "cidr_blocks": in.Cidr, "ipv6_cidr_blocks": in.Cidr6,
	} {
		var e struct {
			Constant any `json:"constant_value"`
		}
		if json.Unmarshal(block[attribute], &e) != nil || e.Constant == nil {
			continue
		}
		if fmt.Sprint(e.Constant) != fmt.Sprint(value) {
			return false
		}
	}
	return true
}

// fill sets a rule's protocol, ports and networks.
func (in awsInline) fill(rule *cloud.Rule) error {
	if err := aws.Protocol(rule, fmt.Sprint(orEmpty(in.Protocol)), int(in.From), int(in.To)); err != nil {
		return err
	}
	if err := in.Cidr.prefixes(rule); err != nil {
		return err
	}
	if err := in.Cidr6.prefixes(rule); err != nil {
		return err
	}
	return nil
}

// awsPrefixList reads aws_ec2_managed_prefix_list. One whose entries are not all known yet stays unknown.
func awsPrefixList(r *reader, one *resource) error {
	var v struct {
		Entries []struct {
			Cidr string `json:"cidr"`
		} `json:"entry"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	list := []string{}
	for _, e := range v.Entries {
		if e.Cidr == "" {
			return nil
		}
		list = append(list, e.Cidr)
	}
	if len(list) == 0 {
		return nil // entries are resources of their own, or not known yet
	}
	if r.lists == nil {
		r.lists = map[*resource][]string{}
	}
	r.lists[one] = list
	return nil
}

// prefixLists adds prefix lists to a rule's peers: with their networks where the document has them.
func (r *reader) prefixLists(rule *cloud.Rule, one *resource, attribute string, ids values) error {
	known, all := ids.split()
	var of []*resource
	for _, id := range known {
		if to := r.byID[id]; to != nil {
			of = append(of, to)
		} else {
			rule.Peers = append(rule.Peers, cloud.Peer{Unknown: "prefix list " + id})
		}
	}
	if !all || r.unknown(one, attribute) {
		later := r.follow(one, attribute)
		if len(later) == 0 {
			rule.Peers = append(rule.Peers, cloud.Peer{Unknown: "a prefix list that is not known before it is applied"})
		}
		of = append(of, later...)
	}
	for _, to := range of {
		if r.lists[to] == nil {
			rule.Peers = append(rule.Peers, cloud.Peer{Unknown: "prefix list " + to.Address})
		}
		if err := rule.AddPrefixes(r.lists[to]...); err != nil {
			return err
		}
	}
	return nil
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// awsRule reads aws_security_group_rule.
func awsRule(r *reader, one *resource) error {
	var v struct {
		awsInline
		Type   string `json:"type"`
		Group  string `json:"security_group_id"`
		Source string `json:"source_security_group_id"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	if v.Type != "ingress" && v.Type != "egress" {
		return fmt.Errorf("type is %q: expected ingress or egress", v.Type)
	}
	g := r.own(one, "security_group_id", v.Group)
	if g == nil {
		return nil
	}
	rule := &cloud.Rule{Place: r.place(one), Out: v.Type == "egress", Peers: []cloud.Peer{}}
	if err := v.fill(rule); err != nil {
		return err
	}
	if err := r.prefixLists(rule, one, "prefix_list_ids", v.PrefixLists); err != nil {
		return err
	}
	if name, ok := r.group(one, "source_security_group_id", v.Source); ok {
		rule.Peers = append(rule.Peers, cloud.Peer{Group: name})
	}
	if v.Self {
		rule.Peers = append(rule.Peers, cloud.Peer{Group: g.Names[0]})
	}
	return r.finish(g, rule)
}

// awsOneRule reads aws_vpc_security_group_ingress_rule and …_egress_rule.
func awsOneRule(r *reader, one *resource) error {
	var v struct {
		Group      string   `json:"security_group_id"`
		Cidr       string   `json:"cidr_ipv4"`
		Cidr6      string   `json:"cidr_ipv6"`
		PrefixList string   `json:"prefix_list_id"`
		Referenced string   `json:"referenced_security_group_id"`
		Protocol   any      `json:"ip_protocol"`
		From       *float64 `json:"from_port"`
		To         *float64 `json:"to_port"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	g := r.own(one, "security_group_id", v.Group)
	if g == nil {
		return nil
	}
	in := awsInline{From: -1, To: -1, Protocol: v.Protocol}
	if v.From != nil {
		in.From = *v.From
	}
	if v.To != nil {
		in.To = *v.To
	}
	rule := &cloud.Rule{Place: r.place(one), Out: strings.HasSuffix(one.Type, "egress_rule"), Peers: []cloud.Peer{}}
	if err := in.fill(rule); err != nil {
		return err
	}
	if err := rule.AddPrefixes(v.Cidr, v.Cidr6); err != nil {
		return err
	}
	if err := r.prefixLists(rule, one, "prefix_list_id", named(v.PrefixList)); err != nil {
		return err
	}
	if name, ok := r.group(one, "referenced_security_group_id", v.Referenced); ok {
		rule.Peers = append(rule.Peers, cloud.Peer{Group: name})
	}
	return r.finish(g, rule)
}

// finish adds a rule to its group. One without any peer has some that nobody knows yet.
func (r *reader) finish(g *cloud.Group, rule *cloud.Rule) error {
	if rule.Peers != nil && len(rule.Peers) == 0 {
		rule.Peers = append(rule.Peers, cloud.Peer{Unknown: laterPeers})
	}
	rule.Text = rule.Describe()
	g.Rules = append(g.Rules, rule)
	return nil
}

// network reads a network that machines may be in: its attribute is one prefix or several.
func network(attribute string) func(*reader, *resource) error {
	return func(r *reader, one *resource) error {
		var v map[string]json.RawMessage
		if err := decode(one, &v); err != nil {
			return err
		}
		var texts []string
		var text string
		if json.Unmarshal(v[attribute], &text) == nil {
			texts = append(texts, text)
		} else if err := json.Unmarshal(v[attribute], &texts); err != nil {
			return nil // not known yet
		}
		for _, t := range texts {
			if t == "" {
				continue
			}
			p, err := netip.ParsePrefix(t)
			if err != nil {
				return fmt.Errorf("%s is %q: expected a network", attribute, t)
			}
			r.doc.Networks = append(r.doc.Networks, p.Masked())
		}
		return nil
	}
}

// user reads something that has groups, named in one of some attributes.
func user(balancer bool, attributes ...string) func(*reader, *resource) error {
	return func(r *reader, one *resource) error {
		var v map[string]json.RawMessage
		if err := decode(one, &v); err != nil {
			return err
		}
		u := cloud.User{Name: one.Address, Balancer: balancer}
		for _, a := range attributes {
			var values []string
			var value string
			if json.Unmarshal(v[a], &value) == nil && value != "" {
				values = []string{value}
			} else {
				_ = json.Unmarshal(v[a], &values) // of another shape: it names no groups
			}
			u.Groups = append(u.Groups, r.groups(one, a, values)...)
		}
		if len(u.Groups) > 0 {
			r.doc.Users = append(r.doc.Users, u)
		}
		return nil
	}
}

// template reads aws_launch_template, whose machines have the groups of the template or of its interfaces.
func template(r *reader, one *resource) error {
	if err := user(false, "vpc_security_group_ids")(r, one); err != nil {
		return err
	}
	var v struct {
		Interfaces []struct {
			Groups values `json:"security_groups"`
		} `json:"network_interfaces"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	u := cloud.User{Name: one.Address}
	for _, in := range v.Interfaces {
		known, _ := in.Groups.split()
		for _, g := range known {
			name, _ := r.group(one, "", g)
			u.Groups = append(u.Groups, name)
		}
	}
	var blocks []map[string]json.RawMessage
	if len(u.Groups) == 0 && one.config != nil && json.Unmarshal(one.config.Expressions["network_interfaces"], &blocks) == nil {
		for _, b := range blocks {
			for _, to := range r.resolve(one.module, references(b["security_groups"]), map[string]bool{}) {
				if isGroup(to.Type) {
					u.Groups = append(u.Groups, to.Address)
				}
			}
		}
	}
	if len(u.Groups) > 0 {
		r.doc.Users = append(r.doc.Users, u)
	}
	return nil
}

// named are the names that are there.
func named(names ...string) []string {
	var out []string
	for _, n := range names {
		if n != "" {
			out = append(out, n)
		}
	}
	return out
}
