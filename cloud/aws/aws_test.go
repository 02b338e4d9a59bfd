package aws_test

import (
	"os"
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
	f.Fuzz(func(t *testing.T, data []byte) {
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
