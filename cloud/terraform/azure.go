package terraform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// azureInline is a rule within a group, or one that is a resource.
type azureInline struct {
	Name         string  `json:"name"`
	Priority     float64 `json:"priority"`
	Direction    string  `json:"direction"`
	Access       string  `json:"access"`
	Protocol     string  `json:"protocol"`
	SourcePort   string  `json:"source_port_range"`
	SourcePorts  values  `json:"source_port_ranges"`
	Port         string  `json:"destination_port_range"`
	Ports        values  `json:"destination_port_ranges"`
	Source       string  `json:"source_address_prefix"`
	Sources      values  `json:"source_address_prefixes"`
	Destination  string  `json:"destination_address_prefix"`
	Destinations values  `json:"destination_address_prefixes"`
	SourceGroups values  `json:"source_application_security_group_ids"`
	DestGroups   values  `json:"destination_application_security_group_ids"`
}

// azureGroup reads azurerm_network_security_group, with the rules that Azure gives each:
// they come last, and people's rules overrule them.
func azureGroup(r *reader, one *resource) error {
	var v struct {
		ID    string        `json:"id"`
		Name  string        `json:"name"`
		Rules []azureInline `json:"security_rule"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	g := &cloud.Group{Names: named(one.Address, v.ID, v.Name), Place: r.place(one), Layer: "interface", Alone: true}
	r.doc.Groups = append(r.doc.Groups, g)
	for i, in := range v.Rules {
		rule, err := in.rule(filter.Place{File: r.file, Name: fmt.Sprintf("%s security_rule[%d] %s", one.Address, i, in.Name)})
		if err != nil {
			return fmt.Errorf("security_rule[%d] %s: %w", i, in.Name, err)
		}
		g.Rules = append(g.Rules, rule)
	}
	for _, in := range []azureInline{
		{Name: "AllowVnetInBound", Priority: 65000, Direction: "Inbound", Access: "Allow", Source: "VirtualNetwork", Destination: "*", Port: "*"},
		{Name: "AllowAzureLoadBalancerInBound", Priority: 65001, Direction: "Inbound", Access: "Allow", Source: "AzureLoadBalancer", Destination: "*", Port: "*"},
		{Name: "AllowVnetOutBound", Priority: 65000, Direction: "Outbound", Access: "Allow", Source: "*", Destination: "VirtualNetwork", Port: "*"},
		{Name: "AllowInternetOutBound", Priority: 65001, Direction: "Outbound", Access: "Allow", Source: "*", Destination: "Internet", Port: "*"},
	} {
		rule, err := in.rule(filter.Place{File: r.file, Name: one.Address + " (Azure's own rule " + in.Name + ")"})
		if err != nil {
			return err
		}
		rule.Implied = true
		g.Rules = append(g.Rules, rule)
	}
	return nil
}

// azureSubnet reads azurerm_subnet_network_security_group_association: packets must pass
// the subnet's group as well as that of the machine's interface.
func azureSubnet(r *reader, one *resource) error {
	var v struct {
		Group string `json:"network_security_group_id"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	if name, ok := r.group(one, "network_security_group_id", v.Group); ok {
		if g := r.doc.Find(name); g != nil {
			g.Layer = "subnet"
		}
	}
	return user(false, "network_security_group_id")(r, one)
}

// azureRule reads azurerm_network_security_rule, which names its group.
func azureRule(r *reader, one *resource) error {
	var v struct {
		azureInline
		Group string `json:"network_security_group_name"`
	}
	if err := decode(one, &v); err != nil {
		return err
	}
	g := r.own(one, "network_security_group_name", v.Group)
	if g == nil {
		return nil
	}
	v.SourceGroups = r.labels(one, "source_application_security_group_ids", v.SourceGroups)
	v.DestGroups = r.labels(one, "destination_application_security_group_ids", v.DestGroups)
	rule, err := v.rule(r.place(one))
	if err != nil {
		return err
	}
	g.Rules = append(g.Rules, rule)
	return nil
}

func (in azureInline) rule(place filter.Place) (*cloud.Rule, error) {
	rule := &cloud.Rule{Place: place, Priority: int(in.Priority)}
	switch strings.ToLower(in.Direction) {
	case "inbound":
	case "outbound":
		rule.Out = true
	default:
		return nil, fmt.Errorf("direction is %q: expected Inbound or Outbound", in.Direction)
	}
	switch strings.ToLower(in.Access) {
	case "allow":
	case "deny":
		rule.Deny = true
	default:
		return nil, fmt.Errorf("access is %q: expected Allow or Deny", in.Access)
	}
	switch number := map[string]uint64{"tcp": packets.TCP, "udp": packets.UDP, "icmp": packets.ICMP, "esp": 50, "ah": 51}[strings.ToLower(in.Protocol)]; {
	case number != 0:
		rule.Protocols = []packets.Range{packets.Numbers(number, number)}
	case in.Protocol == "*" || in.Protocol == "":
	default:
		rule.Unknown = append(rule.Unknown, "protocol "+in.Protocol)
	}
	var err error
	if rule.SourcePorts, err = portRanges(append(in.SourcePorts, in.SourcePort)); err != nil {
		return nil, err
	}
	if rule.Ports, err = portRanges(append(in.Ports, in.Port)); err != nil {
		return nil, err
	}
	// Azure asks for ports, a source and a destination in every rule: what is not there is not known yet.
	if _, all := in.Ports.split(); !all || rule.Ports == nil && in.Port != "*" && !slices.Contains(in.Ports, "*") {
		rule.Unknown = append(rule.Unknown, laterPorts)
	}
	here, there := append(in.Destinations, named(in.Destination)...), append(in.Sources, named(in.Source)...)
	groups, ownGroups := in.SourceGroups, in.DestGroups
	if rule.Out {
		here, there = there, here
		groups, ownGroups = ownGroups, groups
	}
	rule.Peers = []cloud.Peer{}
	known, all := there.split()
	if err := azurePeers(rule, known); err != nil {
		return nil, err
	}
	known, allGroups := groups.split()
	for _, g := range known {
		rule.Peers = append(rule.Peers, cloud.Peer{Group: g})
	}
	if rule.Peers != nil && (len(rule.Peers) == 0 || !all || !allGroups) {
		rule.Peers = append(rule.Peers, cloud.Peer{Unknown: laterPeers})
	}
	// Which of the machines with the group have these addresses is not known.
	known, all = here.split()
	for _, text := range known {
		if text != "*" && text != "VirtualNetwork" && text != "0.0.0.0/0" {
			rule.Unknown = append(rule.Unknown, "only for machines in "+text)
		}
	}
	known, allGroups = ownGroups.split()
	if len(known) > 0 && allGroups {
		rule.Targets = known
	}
	if len(here)+len(ownGroups) == 0 || !all || !allGroups {
		rule.Unknown = append(rule.Unknown, laterTargets)
	}
	rule.Text = rule.Describe()
	return rule, nil
}

// azurePeers reads prefixes and service tags.
func azurePeers(rule *cloud.Rule, texts []string) error {
	for _, t := range texts {
		switch t {
		case "*", "Any":
			rule.Peers = nil
			return nil
		case "Internet":
			// All that is outside of the virtual network. What is inside is taken in here: it is
			// let through by a rule of Azure's own that few people overrule.
			if err := rule.AddPrefixes("0.0.0.0/0", "::/0"); err != nil {
				return err
			}
		case "AzureLoadBalancer": // where Azure's health checks come from, everywhere
			if err := rule.AddPrefixes("168.63.129.16/32"); err != nil {
				return err
			}
		case "VirtualNetwork":
			rule.Peers = append(rule.Peers, cloud.Peer{Group: cloud.OwnNetworks})
		default:
			if strings.ContainsAny(t[:1], "0123456789") || strings.Contains(t, ":") {
				if err := rule.AddPrefixes(t); err != nil {
					return err
				}
				continue
			}
			rule.Peers = append(rule.Peers, cloud.Peer{Unknown: "service tag " + t})
		}
	}
	return nil
}

// portRanges reads "22", "1024-65535" and "*"; nil is any port.
func portRanges(texts []string) ([]packets.Range, error) {
	var out []packets.Range
	for _, t := range texts {
		switch t {
		case "":
			continue
		case "*":
			return nil, nil
		}
		first, last, ranged := strings.Cut(t, "-")
		if !ranged {
			last = first
		}
		a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if errA != nil || errB != nil || a > b {
			return nil, fmt.Errorf("%q is no range of ports", t)
		}
		out = append(out, packets.Numbers(a, b))
	}
	return out, nil
}
