package audit_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"craton.dev/craton/audit"
	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// A plan that is written down as the users of each kind of rules would do it, rule by rule, gives no
// finding: what is met is seen as met in every form, and nothing of it as an opening. It has to be seen
// as well where one port is missing, or the readers might take anything for fine.
func TestNoFalseAlarmInAnyForm(t *testing.T) {
	forms := map[string]func(*testing.T, *plan.Plan) []audit.Source{
		"AWS security groups": asAWSGroups, "AWS plan": asAWSPlan, "Azure state": asAzureState,
		"Google plan": asGooglePlan, "OpenStack plan": asOpenStackPlan, "iptables-save": asIPTables,
	}
	for _, text := range []string{
		"workers: 2\n", "masters: 3\nworkers: 2\n", "masters: 3\nworkers: 2\nprofile: minimal\n", "masters: 3\nworkers: 1\ninfra: 1\nloadBalancer: false\nprofile: minimal\n",
		"workers: 1\ningress: hostPort\nprofile: minimal\noptions: {ingress: true, nodeExporter: true, cAdvisor: true, readOnlyPort: true}\n",
		"masters: 3\nworkers: 1\netcd: selfHosted\nschedulableMasters: true\nregistries: [198.51.100.0/28]\ntimeServers: [192.0.2.123]\n",
	} {
		c, err := cluster.Parse("cluster.yaml", []byte("name: demo\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Make(c)
		if err != nil {
			t.Fatal(err)
		}
		for form, write := range forms {
			t.Run(form+" of "+strings.Join(strings.Fields(text), " "), func(t *testing.T) {
				opt := whoIsWhere(p, form == "iptables-save")
				a := run(t, opt, write(t, p)...)
				if p.Profile == "document" {
					// It opens all ports of workers to masters, behind which narrower rules are dead indeed.
					a.Dead = nil
				}
				clean(t, a)
				a = run(t, opt, write(t, p.Without("worker.egress.dns"))...)
				if n := a.Count(); n.Must != 1 || !slices.ContainsFunc(a.Clauses, func(c audit.Clause) bool {
					return c.ID == "worker.egress.dns" && c.Verdict == audit.Unmet
				}) {
					t.Errorf("without worker.egress.dns: %+v", n)
				}
			})
		}
	}
}

// whoIsWhere says of a plan's machines which groups or files are theirs and which addresses they have, and of
// others where they are.
func whoIsWhere(p *plan.Plan, files bool) audit.Options {
	opt := audit.Options{
		Cluster: p.File, PodNetwork: []netip.Prefix{p.Network.Pods},
		Roles: map[contract.Role][]string{}, Peers: map[contract.Peer][]string{},
	}
	for _, role := range rolesOf(p) {
		opt.Roles[role] = []string{ownGroup(role)}
		if files {
			opt.Roles[role] = []string{string(role) + ".rules", string(role) + ".rules6"}
		}
	}
	for peer, addresses := range p.Peers {
		for _, a := range addresses {
			if role := contract.Role(strings.TrimPrefix(groupOf[peer], "k8s-")); role != "" {
				opt.Roles[role] = append(opt.Roles[role], a.String())
			} else if peer != contract.All {
				opt.Peers[peer] = append(opt.Peers[peer], a.String())
			}
		}
	}
	return opt
}

// groupOf are the machines' groups, by the peer that they are to others.
var groupOf = map[contract.Peer]string{contract.Masters: "k8s-master", contract.InfraNodes: "k8s-infra", contract.Workers: "k8s-worker"}

// eachRule calls for every rule of a plan, each of its ranges of ports and each of its peers: by the group where
// it is machines, else by each prefix.
func eachRule(p *plan.Plan, do func(r plan.Rule, ports contract.PortRange, group string, prefix netip.Prefix)) {
	for _, r := range p.Rules {
		for _, ports := range r.Ports {
			for _, peer := range r.Peers {
				if group := groupOf[peer]; group != "" {
					if len(p.Peers[peer]) > 0 {
						do(r, ports, group, netip.Prefix{})
					}
					continue
				}
				for _, prefix := range p.Peers[peer] {
					do(r, ports, "", prefix)
				}
			}
		}
	}
}

// ownGroup is the group of a role's machines.
func ownGroup(r contract.Role) string { return "k8s-" + string(r) }

// rolesOf are the roles that have machines.
func rolesOf(p *plan.Plan) (all []contract.Role) {
	for _, m := range p.Machines {
		if !slices.Contains(all, m.Role) {
			all = append(all, m.Role)
		}
	}
	return all
}

type object = map[string]any

func document(t *testing.T, name string, v any) []audit.Source {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return []audit.Source{{Name: name, Data: b}}
}

// planned is a plan of Terraform with resources, each of which has its type in it.
func planned(t *testing.T, resources []object) []audit.Source {
	t.Helper()
	for i, r := range resources {
		r["mode"], r["address"] = "managed", fmt.Sprintf("%s.r%d", r["type"], i)
	}
	return document(t, "plan.json", object{
		"format_version": "1.2", "terraform_version": "1.12.6", "planned_values": object{"root_module": object{"resources": resources}},
	})
}

func asAWSGroups(t *testing.T, p *plan.Plan) []audit.Source {
	var groups []object
	for _, role := range rolesOf(p) {
		directions := map[contract.Kind][]object{contract.Ingress: {}, contract.Egress: {}}
		eachRule(p, func(r plan.Rule, ports contract.PortRange, group string, prefix netip.Prefix) {
			if r.Role != role {
				return
			}
			permission := object{"IpProtocol": r.Protocol, "FromPort": ports.First, "ToPort": ports.Last}
			if group != "" {
				permission["UserIdGroupPairs"] = []object{{"GroupId": "sg-" + group}}
			} else {
				permission["IpRanges"] = []object{{"CidrIp": prefix}}
			}
			directions[r.Direction] = append(directions[r.Direction], permission)
		})
		groups = append(groups, object{
			"GroupId": "sg-" + ownGroup(role), "GroupName": ownGroup(role), "VpcId": "vpc-1",
			"IpPermissions": directions[contract.Ingress], "IpPermissionsEgress": directions[contract.Egress],
		})
	}
	return document(t, "groups.json", object{"SecurityGroups": groups})
}

func asAWSPlan(t *testing.T, p *plan.Plan) []audit.Source {
	var all []object
	for _, role := range rolesOf(p) {
		all = append(all, object{"type": "aws_security_group", "values": object{"id": "sg-" + ownGroup(role), "name": ownGroup(role)}})
	}
	eachRule(p, func(r plan.Rule, ports contract.PortRange, group string, prefix netip.Prefix) {
		values := object{"security_group_id": "sg-" + ownGroup(r.Role), "ip_protocol": r.Protocol, "from_port": ports.First, "to_port": ports.Last}
		if group != "" {
			values["referenced_security_group_id"] = "sg-" + group
		} else {
			values["cidr_ipv4"] = prefix
		}
		all = append(all, object{"type": fmt.Sprintf("aws_vpc_security_group_%s_rule", r.Direction), "values": values})
	})
	return planned(t, all)
}

// Azure has rules of its own, which let everything pass between machines and out: the last of people's own
// rules shuts both ways.
func asAzureState(t *testing.T, p *plan.Plan) []audit.Source {
	addresses := map[string][]netip.Prefix{}
	for peer, group := range groupOf {
		addresses[group] = p.Peers[peer]
	}
	var groups []object
	for _, role := range rolesOf(p) {
		priority := 100
		rule := func(direction contract.Kind, access, protocol, ports string, peers []string) object {
			out := object{"name": fmt.Sprint("r", priority), "priority": priority, "direction": map[contract.Kind]string{contract.Ingress: "Inbound", contract.Egress: "Outbound"}[direction],
				"access": access, "protocol": protocol, "source_port_range": "*", "destination_port_range": ports}
			there, here := "source_address_prefixes", "destination_address_prefix"
			if direction == contract.Egress {
				there, here = "destination_address_prefixes", "source_address_prefix"
			}
			out[there], out[here] = peers, "*"
			priority++
			return out
		}
		var rules []object
		eachRule(p, func(r plan.Rule, ports contract.PortRange, group string, prefix netip.Prefix) {
			if r.Role != role {
				return
			}
			peers := []string{prefix.String()}
			if group != "" {
				peers = nil
				for _, a := range addresses[group] {
					peers = append(peers, a.String())
				}
			}
			rules = append(rules, rule(r.Direction, "Allow", strings.ToUpper(string(r.Protocol)[:1])+string(r.Protocol)[1:], dashed(ports), peers))
		})
		priority = 4095
		rules = append(rules, rule(contract.Ingress, "Deny", "*", "*", []string{"*"}), rule(contract.Egress, "Deny", "*", "*", []string{"*"}))
		groups = append(groups, object{"mode": "managed", "type": "azurerm_network_security_group", "name": string(role), "instances": []object{{
			"attributes": object{"id": "/nsg/" + ownGroup(role), "name": ownGroup(role), "security_rule": rules},
		}}})
	}
	network := object{"mode": "managed", "type": "azurerm_virtual_network", "name": "net", "instances": []object{{
		"attributes": object{"id": "/net", "address_space": []netip.Prefix{p.Network.Machines}},
	}}}
	return document(t, "state.json", object{"version": 4, "terraform_version": "1.12.6", "resources": append(groups, network)})
}

// Google lets everything out that no rule denies, and has no tags for destinations.
func asGooglePlan(t *testing.T, p *plan.Plan) []audit.Source {
	all := []object{{"type": "google_compute_firewall", "values": object{
		"name": "nothing-out", "direction": "EGRESS", "priority": 65000, "destination_ranges": []string{"0.0.0.0/0", "::/0"}, "deny": []object{{"protocol": "all"}},
	}}}
	eachRule(p, func(r plan.Rule, ports contract.PortRange, group string, prefix netip.Prefix) {
		values := object{"name": fmt.Sprint("r", len(all)), "target_tags": []string{ownGroup(r.Role)}, "allow": []object{{"protocol": r.Protocol, "ports": []string{dashed(ports)}}}}
		peers := []netip.Prefix{prefix}
		for peer, of := range groupOf {
			if of == group {
				peers = p.Peers[peer]
			}
		}
		switch {
		case r.Direction == contract.Egress:
			values["direction"], values["destination_ranges"] = "EGRESS", peers
		case group != "":
			values["source_tags"] = []string{group}
		default:
			values["source_ranges"] = peers
		}
		all = append(all, object{"type": "google_compute_firewall", "values": values})
	})
	return planned(t, all)
}

func asOpenStackPlan(t *testing.T, p *plan.Plan) []audit.Source {
	var all []object
	for _, role := range rolesOf(p) {
		all = append(all, object{"type": "openstack_networking_secgroup_v2", "values": object{"id": "id-" + ownGroup(role), "name": ownGroup(role), "delete_default_rules": true}})
	}
	eachRule(p, func(r plan.Rule, ports contract.PortRange, group string, prefix netip.Prefix) {
		values := object{"direction": r.Direction, "ethertype": "IPv4", "protocol": r.Protocol, "port_range_min": ports.First, "port_range_max": ports.Last, "security_group_id": "id-" + ownGroup(r.Role)}
		if group != "" {
			values["remote_group_id"] = "id-" + group
		} else {
			values["remote_ip_prefix"] = prefix
		}
		all = append(all, object{"type": "openstack_networking_secgroup_rule_v2", "values": values})
	})
	return planned(t, all)
}

// asIPTables is one file for each role, and one that shuts IPv6.
func asIPTables(_ *testing.T, p *plan.Plan) (all []audit.Source) {
	addresses := map[string][]netip.Prefix{}
	for peer, group := range groupOf {
		addresses[group] = p.Peers[peer]
	}
	for _, role := range rolesOf(p) {
		var b strings.Builder
		b.WriteString("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n" +
			"-A INPUT -i lo -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\n" +
			"-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n")
		eachRule(p, func(r plan.Rule, ports contract.PortRange, group string, prefix netip.Prefix) {
			if r.Role != role {
				return
			}
			peers := []netip.Prefix{prefix}
			if group != "" {
				peers = addresses[group]
			}
			chain, side := "INPUT", "-s"
			if r.Direction == contract.Egress {
				chain, side = "OUTPUT", "-d"
			}
			for _, peer := range peers {
				fmt.Fprintf(&b, "-A %s %s %s -p %s -m %s --dport %d:%d -j ACCEPT\n", chain, side, peer, r.Protocol, r.Protocol, ports.First, ports.Last)
			}
		})
		b.WriteString("COMMIT\n")
		all = append(all, audit.Source{Name: string(role) + ".rules", Data: []byte(b.String())},
			audit.Source{Name: string(role) + ".rules6", Data: []byte("# Generated by ip6tables-save\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\nCOMMIT\n")})
	}
	return all
}

// dashed are ports as Azure and Google have them.
func dashed(r contract.PortRange) string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}
