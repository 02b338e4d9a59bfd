// Package aws reads what the AWS command line prints of security groups:
// describe-security-groups and describe-security-group-rules.
//
// A machine's groups are one: what any of them lets through passes, statefully, and what
// none does is dropped. It asks no cloud.
package aws

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// tag is a name that somebody gave something.
type tag struct{ Key, Value string }

type permission struct {
	IpProtocol       string
	FromPort, ToPort *int
	IpRanges         []struct{ CidrIp string }
	Ipv6Ranges       []struct{ CidrIpv6 string }
	PrefixListIds    []struct{ PrefixListId string }
	UserIdGroupPairs []struct{ GroupId, GroupName, UserId string }
}

type description struct {
	SecurityGroups []struct {
		GroupId, GroupName  string
		IpPermissions       []permission
		IpPermissionsEgress []permission
		Tags                []tag
	}
	SecurityGroupRules []struct {
		SecurityGroupRuleId, GroupId string
		IsEgress                     bool
		IpProtocol                   string
		FromPort, ToPort             *int
		CidrIpv4, CidrIpv6           string
		PrefixListId                 string
		ReferencedGroupInfo          *struct{ GroupId string }
	}
}

// Read reads a description. An error names the file and line, or the group and rule, and
// what was expected.
func Read(file string, data []byte) (*cloud.Document, error) {
	var d description
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, cloud.At(file, data, err)
	}
	doc := &cloud.Document{}
	for i, g := range d.SecurityGroups {
		if g.GroupId == "" {
			return nil, fmt.Errorf("%s: SecurityGroups[%d] has no GroupId", file, i)
		}
		group := &cloud.Group{Names: []string{g.GroupId}, Place: filter.Place{File: file, Name: g.GroupId}}
		if g.GroupName != "" {
			group.Names = append(group.Names, g.GroupName)
		}
		for _, t := range g.Tags {
			if t.Key == "Name" && !slices.Contains(group.Names, t.Value) {
				group.Names = append(group.Names, t.Value)
			}
		}
		for out, permissions := range [][]permission{g.IpPermissions, g.IpPermissionsEgress} {
			section := [...]string{"IpPermissions", "IpPermissionsEgress"}[out]
			for j, p := range permissions {
				place := filter.Place{File: file, Name: fmt.Sprintf("%s %s[%d]", g.GroupId, section, j)}
				rule, err := p.rule(place, out == 1)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", place, err)
				}
				group.Rules = append(group.Rules, rule)
			}
		}
		doc.Groups = append(doc.Groups, group)
	}
	for i, r := range d.SecurityGroupRules {
		place := filter.Place{File: file, Name: fmt.Sprintf("SecurityGroupRules[%d] %s", i, r.SecurityGroupRuleId)}
		if r.GroupId == "" {
			return nil, fmt.Errorf("%s has no GroupId", place)
		}
		p := permission{IpProtocol: r.IpProtocol, FromPort: r.FromPort, ToPort: r.ToPort}
		rule, err := p.rule(place, r.IsEgress)
		if err == nil {
			err = rule.AddPrefixes(r.CidrIpv4, r.CidrIpv6)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		if r.PrefixListId != "" {
			rule.Peers = append(rule.Peers, cloud.Peer{Unknown: "prefix list " + r.PrefixListId})
		}
		if r.ReferencedGroupInfo != nil {
			rule.Peers = append(rule.Peers, cloud.Peer{Group: r.ReferencedGroupInfo.GroupId})
		}
		rule.Text = rule.Describe()
		group := doc.Find(r.GroupId)
		if group == nil {
			group = &cloud.Group{Names: []string{r.GroupId}, Place: filter.Place{File: file, Name: r.GroupId}}
			doc.Groups = append(doc.Groups, group)
		}
		group.Rules = append(group.Rules, rule)
	}
	if len(doc.Groups) == 0 {
		return nil, fmt.Errorf(`%s: there are no security groups: expected "SecurityGroups" or "SecurityGroupRules"`, file)
	}
	return doc, nil
}

func (p permission) rule(place filter.Place, out bool) (*cloud.Rule, error) {
	r := &cloud.Rule{Place: place, Out: out, Peers: []cloud.Peer{}}
	from, to := -1, -1
	if p.FromPort != nil {
		from = *p.FromPort
	}
	if p.ToPort != nil {
		to = *p.ToPort
	}
	if err := Protocol(r, p.IpProtocol, from, to); err != nil {
		return nil, err
	}
	for _, x := range p.IpRanges {
		if err := r.AddPrefixes(x.CidrIp); err != nil {
			return nil, err
		}
	}
	for _, x := range p.Ipv6Ranges {
		if err := r.AddPrefixes(x.CidrIpv6); err != nil {
			return nil, err
		}
	}
	for _, x := range p.PrefixListIds {
		r.Peers = append(r.Peers, cloud.Peer{Unknown: "prefix list " + x.PrefixListId})
	}
	for _, x := range p.UserIdGroupPairs {
		r.Peers = append(r.Peers, cloud.Peer{Group: cmpOr(x.GroupId, x.GroupName)})
	}
	r.Text = r.Describe()
	return r, nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Protocol sets a rule's protocol and ports as AWS has them: -1 or "all" is any protocol,
// whatever the ports say; of ICMP the ports are type and code, where -1 is any.
func Protocol(r *cloud.Rule, name string, from, to int) error {
	number := map[string]uint64{"tcp": packets.TCP, "udp": packets.UDP, "icmp": packets.ICMP, "icmpv6": packets.ICMPv6}
	n, known := number[strings.ToLower(name)]
	switch {
	case name == "-1" || strings.EqualFold(name, "all"):
		return nil
	case name == "":
		r.Unknown = append(r.Unknown, "a rule without a protocol")
		return nil
	case !known:
		var err error
		if n, err = strconv.ParseUint(name, 10, 8); err != nil {
			r.Unknown = append(r.Unknown, "protocol "+name)
			return nil
		}
	}
	r.Protocols = []packets.Range{packets.Numbers(n, n)}
	switch n {
	case packets.ICMP, packets.ICMPv6:
		if from < 0 {
			return nil
		}
		if from > 255 || to > 255 {
			return fmt.Errorf("type %d, code %d of ICMP: expected numbers up to 255", from, to)
		}
		first, last := uint64(from)<<8, uint64(from)<<8|255
		if to >= 0 {
			first |= uint64(to)
			last = first
		}
		r.Ports = []packets.Range{packets.Numbers(first, last)}
	case packets.TCP, packets.UDP:
		if from < 0 && to < 0 {
			return nil
		}
		if from < 0 || to > 65535 || from > to {
			return fmt.Errorf("ports %d to %d: expected 0 to 65535, the lower one first", from, to)
		}
		r.Ports = []packets.Range{packets.Numbers(uint64(from), uint64(to))}
	}
	return nil
}
