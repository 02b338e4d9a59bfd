package aws

import (
	"encoding/json"
	"fmt"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/filter"
)

// ReadACLs reads what describe-network-acls prints. Network ACLs know no connections, so whether answers come back
// hangs on rules for any port: they are not decided, but named, save for those that let all of IPv4 pass both ways,
// as every network has one to begin with.
func ReadACLs(file string, data []byte) (*cloud.Document, error) {
	var d struct {
		NetworkAcls []struct {
			NetworkAclId string
			Associations []struct{ SubnetId string }
			Entries      []entry
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, cloud.At(file, data, err)
	}
	doc := &cloud.Document{}
	for i, a := range d.NetworkAcls {
		if a.NetworkAclId == "" {
			return nil, fmt.Errorf("%s: NetworkAcls[%d] has no NetworkAclId", file, i)
		}
		if len(a.Associations) == 0 || passes(a.Entries, false) && passes(a.Entries, true) {
			continue
		}
		var subnets []string
		for _, s := range a.Associations {
			subnets = append(subnets, s.SubnetId)
		}
		doc.Notes = append(doc.Notes, filter.Note{
			Place: filter.Place{File: file, Name: a.NetworkAclId},
			Text:  "network ACLs are not understood: what this one drops in subnets " + strings.Join(subnets, ", ") + " is not known, nor whether answers come back",
		})
	}
	return doc, nil
}

// entry is a rule of a network ACL.
type entry struct {
	RuleNumber          int
	Egress              bool
	Protocol, CidrBlock string
	RuleAction          string
}

// passes tells whether the first rule of a direction lets all of IPv4 pass.
func passes(entries []entry, egress bool) bool {
	var first *entry
	for i, e := range entries {
		if e.Egress == egress && e.CidrBlock != "" && (first == nil || e.RuleNumber < first.RuleNumber) {
			first = &entries[i]
		}
	}
	return first != nil && first.Protocol == "-1" && first.CidrBlock == "0.0.0.0/0" && first.RuleAction == "allow"
}
