package aws_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/cloud/aws"
)

// Whatever the bytes, reading ends with groups or with an error that names the file.
func FuzzRead(f *testing.F) {
	data, err := os.ReadFile("../../audit/testdata/aws-groups.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "IsEgress": true, "IpProtocol": "icmp", "FromPort": 8, "ToPort": 0, "CidrIpv6": "::/0", "ReferencedGroupInfo": {"GroupId": "sg-2"}}]}`))
	f.Add([]byte(`{"NetworkAcls": [{"NetworkAclId": "acl-1", "Associations": [{"SubnetId": "subnet-1"}], "Entries": [{"RuleNumber": 100, "Egress": true, "Protocol": "-1", "CidrBlock": "0.0.0.0/0", "RuleAction": "allow"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := aws.ReadACLs("fuzz", data); err != nil && !strings.HasPrefix(err.Error(), "fuzz") {
			t.Errorf("%v names no file", err)
		}
		if _, err := aws.Read("fuzz", data); err != nil && !strings.HasPrefix(err.Error(), "fuzz") {
			t.Errorf("%v names no file", err)
		}
	})
}

// Both forms in which AWS describes rules mean the same.
func TestForms(t *testing.T) {
	for _, text := range []string{
		`{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]}]}`,
		`{"SecurityGroupRules": [{"GroupId": "sg-1", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "CidrIpv4": "10.0.0.0/8"}]}`,
	} {
		d, err := aws.Read("groups", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Groups) != 1 || len(d.Groups[0].Rules) != 1 || d.Groups[0].Rules[0].Text != "allow in tcp 22-23 from 10.0.0.0/8" {
			t.Errorf("%s: %+v", text, d.Groups)
		}
	}
}

// Network ACLs are named, but for those that let everything pass, as a network's first one does: a person who gives
// them is not to think that they were looked at.
func TestNetworkACLsAreNamed(t *testing.T) {
	const open = `{"RuleNumber": 100, "Egress": %s, "Protocol": "-1", "CidrBlock": "0.0.0.0/0", "RuleAction": "allow"}, {"RuleNumber": 32767, "Egress": %s, "Protocol": "-1", "CidrBlock": "0.0.0.0/0", "RuleAction": "deny"}`
	both := strings.ReplaceAll(open, "%s", "true") + ", " + strings.ReplaceAll(open, "%s", "false")
	acl := func(id, entries string) string {
		return `{"NetworkAclId": "` + id + `", "Associations": [{"SubnetId": "subnet-1"}], "Entries": [` + entries + `]}`
	}
	doc, err := aws.ReadACLs("acls.json", []byte(`{"NetworkAcls": [`+acl("acl-open", both)+`, `+
		acl("acl-shut", `{"RuleNumber": 90, "Egress": false, "Protocol": "6", "CidrBlock": "0.0.0.0/0", "RuleAction": "deny"}, `+both)+`, `+
		acl("acl-in", strings.ReplaceAll(open, "%s", "false"))+`, {"NetworkAclId": "acl-nobody's", "Entries": []}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, n := range doc.Notes {
		named = append(named, n.Place.Name)
	}
	if !slices.Equal(named, []string{"acl-shut", "acl-in"}) {
		t.Errorf("%v", doc.Notes)
	}
	for _, text := range []string{`{"NetworkAcls": [{}]}`, `{"NetworkAcls": 7}`} {
		if _, err := aws.ReadACLs("acls.json", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "acls.json") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
