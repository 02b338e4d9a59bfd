package terraform_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/cloud/terraform"
	"craton.dev/craton/packets"
)

// Whatever the bytes, reading ends with groups or with an error that names the file.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("../../audit/testdata/*-*.json")
	if err != nil || len(files) < 4 {
		f.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := terraform.Read("fuzz", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz") {
				t.Errorf("%v names no file", err)
			}
			return
		}
		doc.Rules([]string{"master", "worker"}, nobody)
	})
}

func nobody(string) ([]packets.Range, bool) { return nil, false }

// What a plan leaves out since it is not known yet, or has null for in a list, is unknown: neither everybody
// nor nobody, neither all ports nor all machines.
func TestNotKnownBeforeItIsApplied(t *testing.T) {
	for name, test := range map[string]struct{ kind, values, expressions, want string }{
		"sources of Google":          {"google_compute_firewall", `"allow": [{"protocol": "tcp", "ports": ["1"]}]`, `"source_ranges": {"references": ["google_compute_subnetwork.s.ip_cidr_range"]}`, "allow in tcp 1 from peers that are not known"},
		"tags of sources":            {"google_compute_firewall", `"allow": [{"protocol": "tcp", "ports": ["1"]}]`, `"source_tags": {"references": ["local.tags"]}`, "allow in tcp 1 from peers that are not known"},
		"accounts of sources":        {"google_compute_firewall", `"allow": [{"protocol": "tcp", "ports": ["1"]}]`, `"source_service_accounts": {"references": ["google_service_account.s.email"]}`, "allow in tcp 1 from peers that are not known"},
		"one of two sources":         {"google_compute_firewall", `"source_ranges": ["10.0.0.0/8", null], "allow": [{"protocol": "tcp", "ports": ["1"]}]`, ``, "allow in tcp 1 from a network that is not known before it is applied, 10.0.0.0/8"},
		"targets of Google":          {"google_compute_firewall", `"source_ranges": ["10.0.0.0/8"], "allow": [{"protocol": "tcp", "ports": ["1"]}]`, `"target_tags": {"references": ["local.tags"]}`, "which machines it is for"},
		"ports of Google":            {"google_compute_firewall", `"source_ranges": ["10.0.0.0/8"], "allow": [{"protocol": "tcp"}]`, `"allow": [{"ports": {"references": ["local.port"]}}]`, "ports that are not known"},
		"no source of Google":        {"google_compute_firewall", `"source_ranges": null, "source_tags": null, "allow": [{"protocol": "tcp", "ports": ["1"]}]`, `"source_tags": {"references": ["var.tags"]}`, "allow in tcp 1 from everybody"},
		"sources of Azure":           {"azurerm_network_security_rule", azureRule + `"destination_port_range": "1", "destination_address_prefix": "*"`, ``, "allow in tcp 1 from peers that are not known"},
		"ports of Azure":             {"azurerm_network_security_rule", azureRule + `"source_address_prefix": "*", "destination_address_prefix": "*"`, ``, "ports that are not known"},
		"machines of Azure":          {"azurerm_network_security_rule", azureRule + `"destination_port_range": "1", "source_address_prefix": "*"`, ``, "which machines it is for"},
		"networks of an AWS group":   {"aws_security_group_rule", `"security_group_id": "sg-1", "type": "ingress", "protocol": "tcp", "from_port": 1, "to_port": 1, "cidr_blocks": [null, "10.0.0.0/8"]`, ``, "a network that is not known"},
		"a group of AWS, among two":  {"aws_security_group", `"ingress": [{"protocol": "tcp", "from_port": 1, "to_port": 1}]`, `"ingress": [{"security_groups": {"references": ["aws_security_group.a.id"]}}, {"from_port": {"constant_value": 1}}]`, "peers that are not known"},
		"a network of OpenStack":     {"openstack_networking_secgroup_rule_v2", `"security_group_id": "g", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 1, "port_range_max": 1`, `"remote_ip_prefix": {"references": ["local.net"]}`, "a network that is not known"},
		"labels of Azure's machines": {"azurerm_network_security_rule", azureRule + `"destination_port_range": "1", "source_address_prefix": "*"`, `"destination_application_security_group_ids": {"references": ["local.groups"]}`, "which machines it is for"},
		"protocol of an AWS rule":    {"aws_vpc_security_group_ingress_rule", `"security_group_id": "sg-1", "cidr_ipv4": "10.0.0.0/8", "from_port": 1, "to_port": 1`, ``, "a rule without a protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := terraform.Read("plan", []byte(`{"terraform_version": "1", "planned_values": {"root_module": {"resources": [
				{"address": "`+test.kind+`.r", "type": "`+test.kind+`", "values": {`+test.values+`}}]}},
				"configuration": {"root_module": {"resources": [{"address": "`+test.kind+`.r", "expressions": {`+test.expressions+`}}]}}}`))
			if err != nil {
				t.Fatal(err)
			}
			rule := doc.Groups[0].Rules[0]
			if got := rule.Text + "; " + strings.Join(rule.Unknown, "; "); !strings.Contains(got, test.want) {
				t.Errorf("%s: expected %s", got, test.want)
			}
		})
	}
}

const azureRule = `"network_security_group_name": "g", "name": "r", "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "source_port_range": "*", `

// A rule of AWS that is written within its group has the groups of the block that it was made from, in whichever
// order the plan has them.
func TestInlineRulesInAnotherOrder(t *testing.T) {
	doc, err := terraform.Read("plan", []byte(`{"terraform_version": "1", "planned_values": {"root_module": {"resources": [
		{"address": "aws_security_group.a", "type": "aws_security_group", "values": {"name": "a", "ingress": [
			{"protocol": "tcp", "from_port": 10250, "to_port": 10250, "self": false}, {"protocol": "tcp", "from_port": 22, "to_port": 22, "self": false}]}},
		{"address": "aws_security_group.masters", "type": "aws_security_group", "values": {"name": "m"}}, {"address": "aws_security_group.bastion", "type": "aws_security_group", "values": {"name": "b"}}]}},
		"configuration": {"root_module": {"resources": [{"address": "aws_security_group.a", "expressions": {"ingress": [
			{"from_port": {"constant_value": 22}, "to_port": {"constant_value": 22}, "protocol": {"constant_value": "tcp"}, "security_groups": {"references": ["aws_security_group.bastion.id", "aws_security_group.bastion"]}},
			{"from_port": {"constant_value": 10250}, "to_port": {"constant_value": 10250}, "protocol": {"constant_value": "tcp"}, "security_groups": {"references": ["aws_security_group.masters.id", "aws_security_group.masters"]}}]}}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"allow in tcp 10250 from group aws_security_group.masters", "allow in tcp 22 from group aws_security_group.bastion"} {
		if got := doc.Groups[0].Rules[i].Text; got != want {
			t.Errorf("%s: expected %s", got, want)
		}
	}
}

// A prefix list of the document is the networks in it, by its id or by a reference; one whose entries are not known
// yet, or stand elsewhere, is unknown.
func TestPrefixLists(t *testing.T) {
	const list = `{"address": "aws_ec2_managed_prefix_list.office", "type": "aws_ec2_managed_prefix_list", "values": {"id": %s, "entry": [%s]}}`
	for name, test := range map[string]struct{ id, entries, list, references, want string }{
		"by its id":          {`"pl-1"`, `{"cidr": "192.0.2.0/24"}, {"cidr": "198.51.100.0/24"}`, `["pl-1"]`, ``, "from 192.0.2.0/24, 198.51.100.0/24"},
		"by a reference":     {`null`, `{"cidr": "192.0.2.0/24"}`, `[null]`, `"prefix_list_ids": {"references": ["aws_ec2_managed_prefix_list.office.id", "aws_ec2_managed_prefix_list.office"]}`, "from 192.0.2.0/24"},
		"an entry not known": {`"pl-1"`, `{"cidr": "192.0.2.0/24"}, {}`, `["pl-1"]`, ``, "from prefix list aws_ec2_managed_prefix_list.office"},
		"entries elsewhere":  {`"pl-1"`, ``, `["pl-1"]`, ``, "from prefix list aws_ec2_managed_prefix_list.office"},
		"another's":          {`"pl-1"`, `{"cidr": "192.0.2.0/24"}`, `["pl-2"]`, ``, "from prefix list pl-2"},
		"not known at all":   {`"pl-1"`, `{"cidr": "192.0.2.0/24"}`, `[null]`, ``, "from a prefix list that is not known before it is applied"},
	} {
		doc, err := terraform.Read("plan", []byte(`{"terraform_version": "1", "planned_values": {"root_module": {"resources": [`+
			strings.Replace(strings.Replace(list, "%s", test.id, 1), "%s", test.entries, 1)+`,
			{"address": "aws_security_group_rule.r", "type": "aws_security_group_rule", "values": {"security_group_id": "sg-1", "type": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22, "prefix_list_ids": `+test.list+`}}]}},
			"configuration": {"root_module": {"resources": [{"address": "aws_security_group_rule.r", "expressions": {`+test.references+`}}]}}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.Groups[0].Rules[0].Text; got != "allow in tcp 22 "+test.want {
			t.Errorf("%s: %s, expected %s", name, got, test.want)
		}
	}
}

// The groups of a launch template's interfaces are its machines', by their ids or by what the template refers to.
func TestLaunchTemplates(t *testing.T) {
	for name, test := range map[string]struct{ id, groups, expressions string }{
		"by ids":       {`"sg-1"`, `["sg-1"]`, ``},
		"by reference": {`null`, `[null]`, `"network_interfaces": [{"security_groups": {"references": ["aws_security_group.node.id", "aws_security_group.node"]}}]`},
	} {
		doc, err := terraform.Read("plan", []byte(`{"terraform_version": "1", "planned_values": {"root_module": {"resources": [
			{"address": "aws_security_group.node", "type": "aws_security_group", "values": {"id": `+test.id+`, "name": "x"}},
			{"address": "aws_launch_template.workers", "type": "aws_launch_template", "values": {"network_interfaces": [{"security_groups": `+test.groups+`}]}}]}},
			"configuration": {"root_module": {"resources": [{"address": "aws_launch_template.workers", "expressions": {`+test.expressions+`}}]}}}`))
		if err != nil {
			t.Fatal(err)
		}
		if len(doc.Users) != 1 || doc.Users[0].Name != "aws_launch_template.workers" || len(doc.Users[0].Groups) != 1 || doc.Users[0].Groups[0] != "aws_security_group.node" {
			t.Errorf("%s: %+v", name, doc.Users)
		}
	}
}

// Resources that have to do with who reaches whom and that nobody here knows are named, whichever provider's; others
// are not.
func TestUnknownTypes(t *testing.T) {
	plan := func(types ...string) []byte {
		var all []string
		for _, kind := range types {
			all = append(all, `{"address": "`+kind+`.x", "type": "`+kind+`", "values": {}}`)
		}
		return []byte(`{"terraform_version": "1", "planned_values": {"root_module": {"resources": [` + strings.Join(all, ", ") + `]}}}`)
	}
	named := []string{
		"aws_network_acl", "aws_network_acl_rule", "aws_default_network_acl", "aws_networkfirewall_firewall", "azurerm_firewall_policy", "azurerm_network_manager_security_admin_configuration",
		"google_compute_network_firewall_policy_rule", "google_compute_organization_security_policy", "openstack_fw_rule_v2", "openstack_networking_secgroup_v3", "hcloud_firewall", "digitalocean_firewall",
		"oci_core_security_list", "oci_core_network_security_group_security_rule", "ibm_is_security_group_rule",
	}
	doc, err := terraform.Read("plan", plan(append(named, "aws_security_group", "aws_s3_bucket", "google_service_account", "azurerm_subnet", "aws_launch_template", "random_id")...))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range doc.Notes {
		got = append(got, strings.TrimSuffix(n.Place.Name, ".x"))
	}
	if !slices.Equal(got, named) {
		t.Errorf("named are %v, expected %v", got, named)
	}
	if _, err := terraform.Read("plan", plan("hcloud_firewall")); err == nil || !strings.Contains(err.Error(), "hcloud_firewall.x: expected those of AWS") {
		t.Error(err)
	}
}

// An address of a plan is found without its indices, also where these hold brackets, quotes
// and dots.
func TestIndices(t *testing.T) {
	const plan = `{"terraform_version": "1", "planned_values": {"root_module": {"child_modules": [{"resources": [
		{"address": "module.a[\"x]y.\\\"z\"].aws_security_group.g[0]", "type": "aws_security_group", "values": {"name": "g"}},
		{"address": "module.a[\"x]y.\\\"z\"].aws_security_group_rule.r[\"k\"]", "type": "aws_security_group_rule", "values": {"type": "ingress", "protocol": "tcp", "from_port": 1, "to_port": 2, "cidr_blocks": ["10.0.0.0/8"]}}]}]}},
		"configuration": {"root_module": {"module_calls": {"a": {"module": {"resources": [
		{"address": "aws_security_group_rule.r", "expressions": {"security_group_id": {"references": ["aws_security_group.g[0].id", "aws_security_group.g[0]", "aws_security_group.g"]}}}]}}}}}}`
	doc, err := terraform.Read("plan", []byte(plan))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Groups) != 1 || len(doc.Groups[0].Rules) != 1 || len(doc.Notes) > 0 {
		t.Errorf("%d groups, %v", len(doc.Groups), doc.Notes)
	}
}
