package terraform

// reading reads resources of one type.
type reading = func(*reader, *resource) error

// groupTypes are the types of resources that are groups.
func groupTypes() map[string]reading {
	return map[string]reading{
		"aws_security_group":             awsGroup,
		"aws_default_security_group":     awsGroup,
		"azurerm_network_security_group": azureGroup,
		// What rules refer to.
		"aws_ec2_managed_prefix_list": awsPrefixList,
		// Names of machines that rules are for, or from.
		"azurerm_application_security_group": label("name"),
		"google_service_account":             label("email", "account_id"),
		"openstack_networking_secgroup_v2":   openstackGroup,
		"openstack_compute_secgroup_v2":      openstackGroup,
	}
}

// isGroup tells whether a type is one of groups.
func isGroup(kind string) bool {
	switch kind {
	case "aws_security_group", "aws_default_security_group", "azurerm_network_security_group",
		"azurerm_application_security_group", "google_service_account",
		"openstack_networking_secgroup_v2", "openstack_compute_secgroup_v2":
		return true
	}
	return false
}

// ruleTypes are those of rules, networks and machines, which refer to groups.
func ruleTypes() map[string]reading {
	return map[string]reading{
		"aws_security_group_rule":             awsRule,
		"aws_vpc_security_group_ingress_rule": awsOneRule,
		"aws_vpc_security_group_egress_rule":  awsOneRule,
		"aws_vpc":                             network("cidr_block"),
		"aws_instance":                        user(false, "vpc_security_group_ids", "security_groups"),
		"aws_launch_template":                 template,
		"aws_network_interface":               user(false, "security_groups"),
		"aws_launch_configuration":            user(false, "security_groups"),
		"aws_lb":                              user(true, "security_groups"),
		"aws_alb":                             user(true, "security_groups"),
		"aws_elb":                             user(true, "security_groups"),

		"azurerm_network_security_rule":                                    azureRule,
		"azurerm_virtual_network":                                          network("address_space"),
		"azurerm_network_interface_security_group_association":             user(false, "network_security_group_id"),
		"azurerm_subnet_network_security_group_association":                azureSubnet,
		"azurerm_network_interface_application_security_group_association": user(false, "application_security_group_id"),

		"google_compute_firewall":          googleRule,
		"google_compute_subnetwork":        network("ip_cidr_range"),
		"google_compute_instance":          user(false, "tags"),
		"google_compute_instance_template": user(false, "tags"),

		"openstack_networking_secgroup_rule_v2": openstackRule,
		"openstack_networking_subnet_v2":        network("cidr"),
		"openstack_compute_instance_v2":         user(false, "security_groups"),
		"openstack_networking_port_v2":          user(false, "security_group_ids"),
	}
}
