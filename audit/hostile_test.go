package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/audit"
	"craton.dev/craton/contract"
)

// Bad documents end in an error that names the file and the line or resource.
func TestBadDocuments(t *testing.T) {
	tf := func(resource string) string {
		return `{"format_version": "1.2", "terraform_version": "1", "planned_values": {"root_module": {"resources": [` + resource + `]}}}`
	}
	for name, test := range map[string]struct{ text, want string }{
		"truncated":              {"{\"SecurityGroups\": [\n{\"GroupId\": \"sg-1\"", "doc:2: "},
		"not JSON that we know":  {`{"Reservations": []}`, "doc: this JSON has Reservations: expected"},
		"empty JSON":             {`{}`, "doc: this JSON has nothing in it: expected"},
		"a list":                 {`[1, 2]`, "doc:1: this is no JSON that is known here"},
		"a number":               {"{\n\"SecurityGroups\": 7}", "doc:2: "},
		"no groups":              {`{"SecurityGroups": []}`, "doc: there are no security groups"},
		"no id":                  {`{"SecurityGroups": [{"GroupName": "x"}]}`, "doc: SecurityGroups[0] has no GroupId"},
		"a port of text":         {"{\"SecurityGroups\": [{\"GroupId\": \"sg-1\", \"IpPermissions\": [\n{\"FromPort\": \"x\"}]}]}", "doc:2: "},
		"ports turned around":    {`{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 9, "ToPort": 2}]}]}`, "doc: sg-1 IpPermissions[0]: ports 9 to 2"},
		"ports too high":         {`{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 65536}]}]}`, "ports 1 to 65536"},
		"no network":             {`{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/33"}]}]}]}`, `sg-1 IpPermissions[0]: "10.0.0.0/33" is no network`},
		"nested":                 {strings.Repeat(`{"values":`, 20000), "doc:"},
		"nested modules":         {`{"terraform_version": "1", "values": {"root_module": ` + strings.Repeat(`{"child_modules": [`, 40) + strings.Repeat(`]}`, 40) + `}}`, "doc: modules are nested more than 32 deep"},
		"no resources":           {`{"terraform_version": "1", "values": {"root_module": {}}}`, "doc: there are no security groups"},
		"no values":              {`{"terraform_version": "1"}`, `doc: expected "planned_values"`},
		"a wrong direction":      {tf(`{"address": "google_compute_firewall.x", "type": "google_compute_firewall", "values": {"direction": "UP"}}`), `google_compute_firewall.x: direction is "UP"`},
		"values of another kind": {tf(`{"address": "aws_security_group.x", "type": "aws_security_group", "values": {"ingress": "all"}}`), "aws_security_group.x: ingress is a string"},
		"an access of azure's":   {tf(`{"address": "azurerm_network_security_group.x", "type": "azurerm_network_security_group", "values": {"security_rule": [{"direction": "Inbound", "access": "Maybe"}]}}`), `azurerm_network_security_group.x: security_rule[0] : access is "Maybe"`},
		"a family":               {tf(`{"address": "openstack_networking_secgroup_v2.g", "type": "openstack_networking_secgroup_v2", "values": {"id": "g"}}, {"address": "openstack_networking_secgroup_rule_v2.x", "type": "openstack_networking_secgroup_rule_v2", "values": {"direction": "ingress", "security_group_id": "g", "ethertype": "IPX"}}`), `openstack_networking_secgroup_rule_v2.x: ethertype is "IPX"`},
		"whose rules":            {"table inet f { chain i { type filter hook input priority 0; accept; } }", "doc: nothing says whose rules these are"},
		"a network policy":       {"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n", "doc: there are no rules to audit: doc is left out: Kubernetes' network policies are about pods"},
		"network ACLs alone":     {`{"NetworkAcls": [{"NetworkAclId": "acl-1", "Associations": [{"SubnetId": "subnet-1"}]}]}`, "acl-1: network ACLs are not understood"},
		"no rules":               {"# nothing\n", "doc: there are no rules in it"},
	} {
		_, err := audit.Run([]audit.Source{{Name: "doc", Data: []byte(test.text)}}, audit.Options{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, expected %q", name, err, test.want)
		}
	}
	groups := source(t, "aws-groups.json")
	if _, err := audit.Run([]audit.Source{groups}, audit.Options{Roles: map[contract.Role][]string{contract.Master: {"sg-nothing"}}}); err == nil || !strings.Contains(err.Error(), "sg-nothing") || !strings.Contains(err.Error(), "bastion") {
		t.Errorf("a group that is not there: %v", err)
	}
	if _, err := audit.Run(nil, audit.Options{}); err == nil {
		t.Error("nothing to audit is no error")
	}
}

// References in a circle end, and what they lead to is unknown.
func TestCircularReferences(t *testing.T) {
	text := strings.Replace(string(source(t, "aws-plan.json").Data), `"outputs": {"group_id": {"expression": {"references": ["aws_security_group.this.id", "aws_security_group.this"]}}},`,
		`"outputs": {"group_id": {"expression": {"references": ["var.node_group", "module.masters.group_id", "var.a", "var.b"]}}},`, 1)
	text = strings.Replace(text, `{"node_group": {"references": ["aws_security_group.node.id", "aws_security_group.node"]}}`, `{"node_group": {"references": ["module.masters.group_id"]}, "a": {"references": ["module.masters.group_id"]}, "b": {"references": ["module.masters.group_id"]}}`, 1)
	a := run(t, audit.Options{}, audit.Source{Name: "plan.json", Data: []byte(text)})
	for _, c := range a.Clauses {
		if c.ID == "worker.ingress.masters-all" && c.Verdict != audit.Unknown {
			t.Errorf("%s is %s", c.ID, c.Verdict)
		}
	}
	if a.Count().Unknown == 0 {
		t.Error("nothing is unknown")
	}
}

// big is a description with n rules in a hundred groups.
func big(n int) []byte {
	type m = map[string]any
	var groups []m
	for g := range 100 {
		name := fmt.Sprintf("group-%d", g)
		switch g {
		case 0:
			name = "masters"
		case 1:
			name = "workers"
		}
		var rules []m
		for i := range n / 100 {
			if g < 2 { // the roles' own groups hold half of all rules
				i *= 25
				for j := range 25 {
					rules = append(rules, rule(g, i+j))
				}
				continue
			}
			if i%2 == 0 {
				rules = append(rules, rule(g, i))
			}
		}
		groups = append(groups, m{"GroupId": fmt.Sprintf("sg-%d", g), "GroupName": name, "IpPermissions": rules})
	}
	text, err := json.MarshalIndent(m{"SecurityGroups": groups}, "", " ")
	if err != nil {
		panic(err)
	}
	return text
}

func rule(g, i int) map[string]any {
	type m = map[string]any
	r := m{"IpProtocol": []string{"tcp", "udp"}[i%2], "FromPort": i * 7 % 60000, "ToPort": i*7%60000 + i%40}
	if i%3 == 0 {
		r["UserIdGroupPairs"] = []m{{"GroupId": fmt.Sprintf("sg-%d", (g+i)%100)}}
	} else {
		r["IpRanges"] = []m{{"CidrIp": fmt.Sprintf("%d.%d.%d.0/%d", 1+i%200, i%256, i/256%256, 16+i%17)}}
	}
	return r
}

// 10,000 rules take less than 2 seconds of processor time and 200 MiB.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("time and memory are not asked about with -short: the race detector uses much of both")
	}
	data := big(10000)
	n := bytes.Count(data, []byte("IpProtocol"))
	if n < 9000 {
		t.Fatalf("%d rules only", n)
	}
	// What the process has before is not the audit's.
	runtime.GC()
	debug.FreeOSMemory()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	base := memory.HeapInuse + memory.StackInuse
	peak, done := uint64(0), make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse+m.StackInuse)
			}
		}
	}()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	a := run(t, audit.Options{NodeNetwork: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}, audit.Source{Name: "groups.json", Data: data})
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	close(done)
	<-stopped
	took := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	t.Logf("%d rules, %d openings: %s, %d MiB", n, len(a.Openings), took, (peak-base)>>20)
	if len(a.Openings) < 1000 || took > 2*time.Second || peak-base > 200<<20 {
		t.Errorf("%d openings, %s, %d MiB: expected 1000 at least, 2s and 200 MiB at most", len(a.Openings), took, (peak-base)>>20)
	}
}

// Packets must pass the group of Azure's subnet and that of the interface; two groups of the
// same kind for one role are named.
func TestAzureLayers(t *testing.T) {
	subnet := `{"mode": "managed", "type": "azurerm_network_security_group", "name": "net", "instances": [{"attributes": {"id": "/nsg/net", "name": "master-net", "security_rule": [
		{"name": "no-ssh", "priority": 100, "direction": "Inbound", "access": "Deny", "protocol": "Tcp", "source_port_range": "*", "destination_port_range": "22", "source_address_prefix": "*", "destination_address_prefix": "*"}]}}]},`
	layer := `{"mode": "managed", "type": "azurerm_subnet_network_security_group_association", "name": "a", "instances": [{"attributes": {"network_security_group_id": "/nsg/net"}}]},`
	opt := audit.Options{Peers: map[contract.Peer][]string{contract.UserNetwork: {"10.8.0.0/16"}}}
	opt.Roles = map[contract.Role][]string{contract.Master: {"master-nsg", "master-net"}, contract.Worker: {"worker-nsg"}}
	verdict := func(more string) (audit.Verdict, *audit.Audit) {
		text := strings.Replace(string(source(t, "azure-state.json").Data), `"resources": [`, `"resources": [`+more, 1)
		a := run(t, opt, audit.Source{Name: "state.json", Data: []byte(text)})
		for _, c := range a.Clauses {
			if c.ID == "master.ingress.ssh" {
				return c.Verdict, a
			}
		}
		return "", a
	}
	if v, a := verdict(subnet + layer); v != audit.Unmet || strings.Contains(fmt.Sprint(a.NotUnderstood), "audit them as two roles") {
		t.Errorf("ssh is %s behind a subnet that drops it: %v", v, a.NotUnderstood)
	}
	if _, a := verdict(subnet); !strings.Contains(fmt.Sprint(a.NotUnderstood), "audit them as two roles") {
		t.Errorf("two groups of one kind are not named: %v", a.NotUnderstood)
	}
}

// Whatever the bytes, an audit ends with a report that every format can print, or with an error.
func FuzzRun(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 8 {
		f.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	opt := audit.Options{
		Roles: map[contract.Role][]string{contract.Master: {"10.0.0.10"}, contract.Worker: {"10.0.1.0/24"}},
		Peers: map[contract.Peer][]string{contract.UserNetwork: {"10.8.0.0/16"}},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := audit.Run([]audit.Source{{Name: "worker.fuzz", Data: data}}, opt)
		if err != nil {
			return
		}
		for _, write := range []func(io.Writer, *audit.Audit) error{audit.WriteTable, audit.WriteSARIF, audit.WriteHTML} {
			if err := write(io.Discard, a); err != nil {
				t.Error(err)
			}
		}
	})
}
