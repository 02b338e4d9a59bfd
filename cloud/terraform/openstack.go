package terraform

import (
	"fmt"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/cloud/aws"
	"craton.dev/craton/filter"
)

// openstackGroup reads openstack_networking_secgroup_v2, which lets everything out unless
// delete_default_rules says otherwise, and the older openstack_compute_secgroup_v2.
func openstackGroup(r *reader, one *resource) error {
	var v struct {
		ID            string `json:"id"`
		Name          string `json:"name"`
		DeleteDefault bool   `json:"delete_default_rules"`
		Rules         []struct {
			From  float64 `json:"from_port"`
			To    float64 `json:"to_port"`
			Name  string  `json:"ip_protocol"`
			Cidr  string  `json:"cidr"`
			Group string  `json:"from_group_id"`
			Self  bool    `json:"self"`
		} `json:"rule"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	g := &cloud.Group{Names: named(one.Address, v.ID, v.Name), Place: r.place(one)}
	r.doc.Groups = append(r.doc.Groups, g)
	for i, in := range v.Rules {
		rule := &cloud.Rule{Place: filter.Place{File: r.file, Name: fmt.Sprintf("%s rule[%d]", one.Address, i)}, Peers: []cloud.Peer{}}
		if err := aws.Protocol(rule, in.Name, int(in.From), int(in.To)); err != nil {
			return fmt.Errorf("rule[%d]: %w", i, err)
		}
		if err := rule.AddPrefixes(in.Cidr); err != nil {
			return fmt.Errorf("rule[%d]: %w", i, err)
		}
		if in.Group != "" {
			name, _ := r.group(one, "", in.Group)
			rule.Peers = append(rule.Peers, cloud.Peer{Group: name})
		}
		if in.Self {
			rule.Peers = append(rule.Peers, cloud.Peer{Group: one.Address})
		}
		if err := r.finish(g, rule); err != nil {
			return err
		}
	}
	if !v.DeleteDefault {
		rule := &cloud.Rule{Place: filter.Place{File: r.file, Name: one.Address + " (OpenStack's own rule: everything out)"}, Out: true}
		rule.Text = rule.Describe()
		g.Rules = append(g.Rules, rule)
	}
	return nil
}

// openstackRule reads openstack_networking_secgroup_rule_v2.
func openstackRule(r *reader, one *resource) error {
	var v struct {
		Direction   string  `json:"direction"`
		Family      string  `json:"ethertype"`
		Protocol    string  `json:"protocol"`
		First       float64 `json:"port_range_min"`
		Last        float64 `json:"port_range_max"`
		Prefix      string  `json:"remote_ip_prefix"`
		RemoteGroup string  `json:"remote_group_id"`
		AddressList string  `json:"remote_address_group_id"`
		Group       string  `json:"security_group_id"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	g := r.own(one, "security_group_id", v.Group)
	if g == nil {
		return nil
	}
	rule := &cloud.Rule{Place: r.place(one)}
	switch v.Direction {
	case "ingress":
	case "egress":
		rule.Out = true
	default:
		return fmt.Errorf("direction is %q: expected ingress or egress", v.Direction)
	}
	switch v.Family {
	case "IPv4":
		rule.Families = filter.V4
	case "IPv6":
		rule.Families = filter.V6
	default:
		return fmt.Errorf("ethertype is %q: expected IPv4 or IPv6", v.Family)
	}
	protocol := strings.TrimPrefix(strings.ToLower(v.Protocol), "ipv6-")
	switch protocol {
	case "", "any", "0":
		protocol = "-1"
	case "icmp":
		if rule.Families == filter.V6 {
			protocol = "icmpv6"
		}
	}
	from, to := int(v.First), int(v.Last)
	if from == 0 && to == 0 { // no ports: any
		from, to = -1, -1
	}
	if err := aws.Protocol(rule, protocol, from, to); err != nil {
		return err
	}
	if err := rule.AddPrefixes(v.Prefix); err != nil {
		return err
	}
	if name, ok := r.group(one, "remote_group_id", v.RemoteGroup); ok {
		rule.Peers = append(rule.Peers, cloud.Peer{Group: name})
	} else if r.refers(one, "remote_group_id") {
		rule.Peers = append(rule.Peers, cloud.Peer{Unknown: "a group that is not known before it is applied"})
	}
	if v.AddressList != "" || r.refers(one, "remote_address_group_id") {
		rule.Peers = append(rule.Peers, cloud.Peer{Unknown: "address group " + v.AddressList})
	}
	if v.Prefix == "" && r.refers(one, "remote_ip_prefix") {
		rule.Peers = append(rule.Peers, cloud.Peer{Unknown: laterNetwork})
	}
	rule.Text = rule.Describe()
	g.Rules = append(g.Rules, rule)
	return nil
}

// refers tells whether an attribute has a value that the plan does not know yet.
func (r *reader) refers(one *resource, attribute string) bool {
	return one.config != nil && len(references(one.config.Expressions[attribute])) > 0
}
