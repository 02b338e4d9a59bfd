package audit_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/audit"
	"craton.dev/craton/contract"
)

func source(t testing.TB, name string) audit.Source {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return audit.Source{Name: name, Data: data}
}

// list is what a person who read the file found in it, before craton did.
type list struct {
	file     string
	opt      audit.Options
	clauses  []string // those that are not met, with their verdict
	openings []string // role, direction, protocol, ports and peers
	dead     []string // words of each
	unknown  []string
}

func lists() []list {
	users := map[contract.Peer][]string{contract.UserNetwork: {"10.8.0.0/16"}}
	nodes := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}
	return []list{
		{
			file: "aws-groups.json", opt: audit.Options{Peers: users, NodeNetwork: nodes},
			clauses: []string{"worker.egress.dns partly", "worker.ingress.vxlan partly"},
			openings: []string{
				"master egress all all → all",
				"worker ingress all but tcp/udp all → masters",
				"master ingress tcp 22 → all but user-network, all (IPv6)",
				"worker ingress icmp type 8 → workers, 10.0.0.0/16",
				"master ingress tcp 9100 → 10.0.0.0/16",
				"worker ingress udp 8472 → workers",
			},
			unknown: []string{"prefix list pl-99", "no role has group bastion"},
		},
		{
			file: "aws-plan.json", opt: audit.Options{Peers: users},
			clauses:  []string{"master.ingress.node-exporter unmet"},
			openings: []string{"worker egress all all → all", "master egress all all → all"},
			unknown:  []string{"aws_networkfirewall_firewall"},
		},
		{
			file: "azure-state.json", opt: audit.Options{Peers: users},
			openings: []string{
				"master egress all all → all but masters, workers, 10.0.0.0/16, all (IPv6)",
				"worker egress all all → all but masters, workers, 10.0.0.0/16, all (IPv6)",
				"worker egress all all → masters, workers, 10.0.0.0/16",
				"master ingress all 0-21,23-65535 → masters, workers, 10.0.0.0/16",
				"worker ingress all all → masters, workers, 10.0.0.0/16",
				"master egress all all → masters, workers, 10.0.0.0/16",
				"master ingress all 0-21,23-65535 → 168.63.129.16/32",
				"worker ingress all all → 168.63.129.16/32",
			},
			dead:    []string{"late"},
			unknown: []string{"service tag Sql"},
		},
		{
			// What a plan does not know yet is unknown, and groups of machines within a group tell the roles apart.
			file: "azure-plan.json", opt: audit.Options{Peers: users, NodeNetwork: nodes},
			clauses: []string{
				"master.ingress.api unmet", "master.ingress.node-exporter unmet", "master.ingress.vxlan unmet", "worker.ingress.cadvisor unmet",
				"worker.ingress.masters-all partly", "worker.ingress.node-exporter unmet", "worker.ingress.node-ports unmet", "worker.ingress.vxlan unmet",
			},
			openings: []string{
				"master egress all all → all but masters, workers, 10.0.0.0/16, all (IPv6)",
				"worker egress all all → all but masters, workers, 10.0.0.0/16, all (IPv6)",
				"master egress all all → masters, workers, 10.0.0.0/16",
				"worker egress all all → masters, workers, 10.0.0.0/16",
			},
			unknown: []string{"azurerm_network_security_rule.from_subnet"},
		},
		{
			file: "google-plan.json", opt: audit.Options{Peers: users},
			openings: []string{"master egress all all → all, all (IPv6)", "worker egress all all → all, all (IPv6)"},
		},
		{
			file: "openstack-plan.json", opt: audit.Options{Peers: users},
			clauses: []string{
				"master.ingress.node-exporter unmet", "master.ingress.vxlan unmet", "worker.egress.dns unmet", "worker.egress.node-exporter unmet",
				"worker.egress.vxlan unmet", "worker.ingress.node-exporter partly", "worker.ingress.node-ports unmet", "worker.ingress.vxlan partly",
			},
			openings: []string{
				"master egress all all → all, all (IPv6)",
				"worker ingress all but tcp/udp all → masters",
				"master ingress tcp 443 → all but masters, user-network, workers",
			},
		},
		{
			file: "master.rules", opt: audit.Options{
				Peers: users, NodeNetwork: nodes, Roles: map[contract.Role][]string{contract.Master: {"master.rules"}, contract.Worker: {"10.0.1.0/24"}},
			},
			clauses: []string{"master.ingress.vxlan unmet"},
			openings: []string{
				"master egress all all → all",
				"master ingress tcp 22 → all but user-network",
				"master ingress tcp 2379-2380,9100 → 10.0.0.0/16 but workers",
				"master ingress udp 8472 → masters, workers, 10.0.0.0/16",
			},
			unknown: []string{"--match-set friends src", "no rules of IPv6"},
		},
		{
			// A list of attackers that somebody fills may hold anybody: what is open behind it is told all the same.
			file: "worker.nft", opt: audit.Options{
				Peers: users, NodeNetwork: nodes, Roles: map[contract.Role][]string{contract.Master: {"10.0.0.10", "10.0.0.11", "10.0.0.12"}, contract.Worker: {"10.0.1.0/24"}},
			},
			clauses: []string{
				"worker.ingress.cadvisor unmet", "worker.ingress.kubelet unknown", "worker.ingress.masters-all partly",
				"worker.ingress.node-exporter unknown", "worker.ingress.node-ports unknown", "worker.ingress.vxlan unknown",
			},
			openings: []string{
				"worker egress all all → all, all (IPv6)",
				"worker ingress icmp/icmpv6 all → all, all (IPv6)",
				"worker ingress tcp 9100,10256 → all but masters, all (IPv6)",
				"worker ingress tcp 30000-32767 → 192.0.2.7/32",
			},
			unknown: []string{"@blackhole", "limit rate"},
		},
		{
			// Rules of kube-proxy and flannel beside somebody's own. What only pods and services pass is left out.
			file: "kubeadm-master.rules", opt: audit.Options{
				Peers: users, NodeNetwork: nodes, APIPort: 6443,
				PodNetwork: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.96.0.0/12")},
				Roles:      map[contract.Role][]string{contract.Master: {"kubeadm-master.rules", "10.0.0.10", "10.0.0.11", "10.0.0.12"}, contract.Worker: {"10.0.1.0/24"}},
			},
			clauses: []string{"master.ingress.vxlan unmet"},
			openings: []string{
				"master egress all all → all but 10.96.0.0/12, 10.244.0.0/16",
				"master ingress icmp type 8 → all but 10.96.0.0/12, 10.244.0.0/16",
				"master ingress tcp 443,6443 → all but 10.96.0.0/12, 10.244.0.0/16",
				"master ingress tcp 9100,10250,10257,10259 → masters, workers, 10.0.0.0/16",
				"master ingress udp 8472 → masters, workers, 10.0.0.0/16",
				"master ingress tcp 2379-2380 → 10.0.0.0/24 but masters",
			},
			unknown: []string{"no rules of IPv6", "-m recent"},
		},
		{
			// What firewalld makes of a few "firewall-cmd --add-port".
			file: "firewalld-worker.nft", opt: audit.Options{
				Peers: users, NodeNetwork: nodes, Roles: map[contract.Role][]string{contract.Master: {"10.0.0.10"}, contract.Worker: {"10.0.1.0/24"}},
			},
			clauses: []string{"worker.ingress.masters-all partly", "worker.ingress.node-exporter unmet"},
			openings: []string{
				"worker egress all all → all, all (IPv6) but ::/96, 2002::/24",
				"worker ingress icmp/icmpv6 all → all, all (IPv6)",
				"worker ingress tcp 22 → all but masters, all (IPv6)",
				"worker ingress tcp 9090 → all but masters, all (IPv6)",
				"worker ingress tcp 10250 → all but masters, all (IPv6)",
				"worker ingress tcp 30000-32767 → all but masters, user-network, workers, all (IPv6)",
				"worker ingress udp 4789 → all but masters, workers, all (IPv6)",
				"worker ingress udp 546 → all (IPv6)",
				"worker ingress tcp 4194 → 10.0.0.0/24 but masters",
			},
			unknown: []string{"not understood: fib saddr . mark . iif oif missing"},
		},
		{
			// What ufw makes of "ufw limit ssh" and some "ufw allow from".
			file: "ufw-worker.rules", opt: audit.Options{
				Peers: users, NodeNetwork: nodes, Roles: map[contract.Role][]string{contract.Master: {"10.0.0.10"}, contract.Worker: {"10.0.1.0/24"}},
			},
			clauses: []string{"worker.ingress.cadvisor unmet", "worker.ingress.masters-all partly", "worker.ingress.node-exporter unmet"},
			openings: []string{
				"worker egress all all → all",
				"worker ingress icmp type 3 → all",
				"worker ingress icmp type 8 → all",
				"worker ingress tcp 22 → all but masters",
				"worker ingress udp 4789 → 10.0.0.0/16 but masters, workers",
			},
			unknown: []string{"no rules of IPv6", "-m recent"},
		},
	}
}

// What is found in files as their users would have them is what a person finds who reads
// them: no more, no less, the widest opening first.
func TestFindings(t *testing.T) {
	for _, l := range lists() {
		t.Run(l.file, func(t *testing.T) {
			a := run(t, l.opt, source(t, l.file))
			var clauses, openings []string
			for _, c := range a.Clauses {
				if c.Verdict != audit.Met {
					clauses = append(clauses, c.ID+" "+string(c.Verdict))
					if c.ID != "worker.ingress.masters-all" && len(c.Operations) == 0 || c.Detail == "" {
						t.Errorf("%s: nothing says what will break, or what would help", c.ID)
					}
				}
			}
			for _, o := range a.Openings {
				openings = append(openings, fmt.Sprintf("%s %s %s %s → %s", o.Role, o.Direction, o.Protocol, strings.Join(o.Ports, ","), strings.Join(o.Peers, ", ")))
				if !strings.Contains(o.Evidence, l.file) && !strings.Contains(o.Evidence, "no rule") || o.Detail == "" {
					t.Errorf("%+v does not say where it comes from", o)
				}
			}
			slices.Sort(clauses)
			same(t, "clauses", clauses, l.clauses)
			sameSet(t, "openings", openings, l.openings)
			if len(openings) > 0 && len(l.openings) > 0 && openings[0] != l.openings[0] && !slices.Contains(l.openings[:2], openings[0]) {
				t.Errorf("the first opening is %s: expected the widest, %s", openings[0], l.openings[0])
			}
			words(t, "dead", a.Dead, l.dead)
			words(t, "not understood", a.NotUnderstood, l.unknown)
		})
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nexpected:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func sameSet(t *testing.T, what string, got, want []string) {
	t.Helper()
	a, b := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	same(t, what, a, b)
}

func words(t *testing.T, what string, got []audit.Finding, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %q, expected %q", what, got, want)
		return
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(f audit.Finding) bool { return strings.Contains(f.Evidence+f.Detail, w) }) {
			t.Errorf("%s: %q is not among %q", what, w, got)
		}
	}
}

// Rules that are changed by one word are found, in every format.
func TestChangedByOneWord(t *testing.T) {
	for _, test := range []struct {
		file, old, new string
		found          string // a clause with its verdict, or an opening
	}{
		{"aws-groups.json", `"FromPort": 30000`, `"FromPort": 30001`, "worker.ingress.node-ports partly"},
		{"aws-groups.json", `{"IpProtocol": "udp", "FromPort": 4789`, `{"IpProtocol": "tcp", "FromPort": 4789`, "master.ingress.vxlan unmet"},
		{"aws-groups.json", `"CidrIp": "10.8.0.0/16"`, `"CidrIp": "10.8.0.0/15"`, "worker ingress tcp 30000-32767 → 10.9.0.0/16"},
		{"aws-plan.json", `"references": ["module.masters.group_id", "module.masters"]`, `"references": ["module.nobody.group_id"]`, "worker.ingress.masters-all unknown"},
		{"aws-plan.json", `"references": ["var.node_group"]`, `"references": ["var.nothing"]`, "master.ingress.vxlan unknown"},
		{"azure-state.json", `"priority": 110, "direction": "Inbound"`, `"priority": 90, "direction": "Inbound"`, "master.ingress.ssh unmet"},
		{"google-plan.json", `"disabled": true, `, ``, "master ingress all all → all"},
		{"google-plan.json", `"ports": ["80"]`, `"ports": ["80", "400-500"]`, "worker.egress.images unmet"},
		{"openstack-plan.json", `"ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22`, `"ethertype": "IPv6", "protocol": "tcp", "port_range_min": 22`, "master.ingress.ssh unmet"},
		{"firewalld-worker.nft", "meta nfproto ipv6 fib saddr . mark . iif oif missing drop", "fib saddr . iif oif missing drop", "worker.ingress.kubelet met"},
		{"firewalld-worker.nft", "ct status dnat accept", "fib daddr type local accept", "worker ingress all all → all, all (IPv6)"},
		{"ufw-worker.rules", "--dst-type LOCAL -j RETURN", "--dst-type BROADCAST -j RETURN", "worker.ingress.kubelet unmet"},
		{"worker.nft", "tcp dport { 9100, 10256 }", "tcp dport { 10256 }", "worker.ingress.node-exporter unmet"},
		{"kubeadm-master.rules", "--dports 443,6443", "--dports 443,6444", "master.ingress.api unmet"},
		{"azure-plan.json", `"source_application_security_group_ids":{"references":["azurerm_application_security_group.masters.id","azurerm_application_security_group.masters"]}`, `"x":{}`, "worker.ingress.kubelet unknown"},
		{"master.rules", "--dport 22 -m", "--dport 23 -m", "master.ingress.ssh unmet"},
	} {
		for _, l := range lists() {
			if l.file != test.file {
				continue
			}
			src := source(t, test.file)
			changed := strings.Replace(string(src.Data), test.old, test.new, 1)
			if changed == string(src.Data) {
				t.Errorf("%s: %s is not there", test.file, test.old)
				continue
			}
			a := run(t, l.opt, audit.Source{Name: src.Name, Data: []byte(changed)})
			var all []string
			for _, c := range a.Clauses {
				all = append(all, c.ID+" "+string(c.Verdict))
			}
			for _, o := range a.Openings {
				all = append(all, fmt.Sprintf("%s %s %s %s → %s", o.Role, o.Direction, o.Protocol, strings.Join(o.Ports, ","), strings.Join(o.Peers, ", ")))
			}
			if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, test.found) }) {
				t.Errorf("%s, %s → %s: %s is not found in\n  %s", test.file, test.old, test.new, test.found, strings.Join(all, "\n  "))
			}
		}
	}
}

// The evidence is the rule that decides, in the chain that filters: not one before it that was not understood and
// only perhaps has a say, nor one that translates addresses.
func TestEvidenceIsWhatDecides(t *testing.T) {
	for _, l := range lists() {
		if l.file != "kubeadm-master.rules" {
			continue
		}
		a := run(t, l.opt, source(t, l.file))
		for id, want := range map[string]string{
			"master.ingress.ssh": l.file + ":51: -A SITE-IN -s 10.8.0.0/16", "master.ingress.vxlan": l.file + ":15: policy of chain INPUT",
			"master.egress.dns": l.file + ":17: policy of chain OUTPUT",
		} {
			i := slices.IndexFunc(a.Clauses, func(c audit.Clause) bool { return c.ID == id })
			if got := a.Clauses[i].Evidence; len(got) != 1 || !strings.HasPrefix(got[0], want) {
				t.Errorf("%s: %q, expected %s", id, got, want)
			}
		}
		if got := a.Openings[0].Evidence; got != l.file+":17: policy accept of chain OUTPUT" {
			t.Errorf("everything out: %s", got)
		}
	}
}
