package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/filter/nft"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
	"craton.dev/craton/verify"
)

func planFrom(t testing.TB, text string) *plan.Plan {
	t.Helper()
	c, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plans are those of the examples, and some that put every kind of clause into force.
func plans(t testing.TB) map[string]*plan.Plan {
	t.Helper()
	out := map[string]*plan.Plan{}
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = planFrom(t, string(text))
	}
	for name, text := range map[string]string{
		"minimal": "name: m\nmasters: 3\nworkers: 3\nprofile: minimal\n",
		"all":     "name: a\nmasters: 3\nworkers: 2\ninfra: 2\nloadBalancer: false\ningress: hostPort\napiPort: 6443\nregistries: [10.32.0.0/16]\ntimeServers: [192.0.2.123]\noptions: {nodePortRange: true, readOnlyPort: true, etcdClientPort: true, cAdvisor: true}\n",
	} {
		out[name] = planFrom(t, text)
	}
	return out
}

func portsOf(p *plan.Plan) map[string]string {
	ports := map[string]string{}
	for i, m := range p.Machines {
		ports[m.Name] = fmt.Sprintf("m%d", i)
	}
	return ports
}

// static compares, and fails where the comparison itself does.
func static(t testing.TB, p *plan.Plan, text []byte, opt verify.StaticOptions) *verify.Verification {
	t.Helper()
	rules, err := nft.Read("rules", text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.Static(p, rules, opt)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// agrees fails with each check that did not pass.
func agrees(t testing.TB, v *verify.Verification) {
	t.Helper()
	open := 0
	for _, c := range v.Checks {
		if c.Observed != c.Expected {
			t.Errorf("%s: the plan has it %s, found %s: %s", c.ID, c.Expected, c.Observed, c.Evidence)
		}
		if c.Expected == verify.Open && c.Clause != "" {
			open++
		}
	}
	if open < 5 || v.Summary.Failed+v.Summary.Unknown > 0 || len(v.NotUnderstood) > 0 {
		t.Errorf("%d checks that a clause opens, %+v, %v", open, v.Summary, v.NotUnderstood)
	}
}

// listed loads rules into a kernel's namespace of its own and lists them.
func listed(t testing.TB, text []byte, flags string) []byte {
	t.Helper()
	out, err := command.Cmd{
		Name: "sh", Args: []string{"-c", "nft -f - && nft " + flags + " list ruleset"}, Stdin: bytes.NewReader(text),
		Attr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET},
	}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The rules that we render are the plan's, exactly: as files, and as a kernel lists them
// again, in text and JSON. A false alarm would be as bad as a missed hole.
func TestStaticAgreesWithOurRules(t *testing.T) {
	for name, p := range plans(t) {
		t.Run(name, func(t *testing.T) {
			fabric := nftables.Fabric(p, nftables.Options{Ports: portsOf(p), LogGroup: 1})
			own := verify.StaticOptions{Ports: portsOf(p)}
			agrees(t, static(t, p, fabric, own))
			agrees(t, static(t, p, nftables.Fabric(p, nftables.Options{}), verify.StaticOptions{}))
			kernel := os.Getuid() == 0 && !testing.Short()
			if kernel {
				agrees(t, static(t, p, listed(t, fabric, ""), own))
				agrees(t, static(t, p, listed(t, fabric, "-j"), own))
			}
			seen := map[contract.Role]bool{}
			for i, m := range p.Machines {
				if seen[m.Role] {
					continue // those of a role differ in their address only
				}
				seen[m.Role] = true
				text, err := nftables.Machine(p, m.Name)
				if err != nil {
					t.Fatal(err)
				}
				agrees(t, static(t, p, text, verify.StaticOptions{Machine: m.Name}))
				if kernel && i == 0 {
					agrees(t, static(t, p, listed(t, text, "-j"), verify.StaticOptions{Machine: m.Name}))
				}
			}
		})
	}
	if _, err := verify.Static(plans(t)["small.yaml"], &filter.Ruleset{}, verify.StaticOptions{Machine: "nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a machine that is not there: %v", err)
	}
}

// sabotage is something wrong with rules, and what must be said about it: a check that is
// not as planned, with words of its evidence or clause.
type sabotage struct {
	name  string
	plan  func(p *plan.Plan)       // a wrong contract
	rules func(text string) string // or a wrong file
	id    string
	state verify.State
	word  string
}

func change(id string, f func(r *plan.Rule)) func(*plan.Plan) {
	return func(p *plan.Plan) {
		for i := range p.Rules {
			r := &p.Rules[i]
			r.Ports, r.Peers = slices.Clone(r.Ports), slices.Clone(r.Peers)
			if slices.Contains(r.Clauses, id) {
				f(r)
			}
		}
	}
}

func replace(old, new string) func(string) string {
	return func(text string) string { return strings.ReplaceAll(text, old, new) }
}

var sabotages = []sabotage{
	{name: "a port off by one", plan: change("master.ingress.ssh", func(r *plan.Rule) { r.Ports[0].First++; r.Ports[0].Last++ }),
		id: "user-network>masters/tcp/22", state: verify.Closed, word: "master.ingress.ssh"},
	{name: "tcp for udp", plan: change("worker.ingress.vxlan", func(r *plan.Rule) { r.Protocol = contract.TCP }),
		id: "workers>workers/udp/4789", state: verify.Closed, word: "worker.ingress.vxlan"},
	{name: "a peer missing", plan: change("master.ingress.vxlan", func(r *plan.Rule) { r.Peers = []contract.Peer{contract.Masters} }),
		id: "workers>masters/udp/4789", state: verify.Closed, word: "master.ingress.vxlan"},
	{name: "a range too wide by one port", plan: change("worker.ingress.node-ports", func(r *plan.Rule) { r.Ports[0].Last++ }),
		id: "user-network>workers/tcp/32768", state: verify.Open, word: "worker.ingress.node-ports"},
	{name: "a range too narrow by one port", plan: change("master.ingress.tectonic", func(r *plan.Rule) { r.Ports[0].Last-- }),
		id: "outside>masters/tcp/32002", state: verify.Closed, word: "master.ingress.tectonic"},
	{name: "open to everybody", plan: change("master.ingress.ssh", func(r *plan.Rule) { r.Peers = []contract.Peer{contract.All} }),
		id: "outside>masters/tcp/22", state: verify.Open, word: "master.ingress.ssh"},
	{name: "a rule missing", plan: change("worker.egress.dns", func(r *plan.Rule) { r.Peers = nil }),
		id: "workers>resolvers/udp/53", state: verify.Closed, word: "worker.egress.dns"},
	{name: "the wrong direction", plan: change("master.egress.kubelet", func(r *plan.Rule) { r.Direction = contract.Ingress }),
		id: "masters>masters/tcp/10250", state: verify.Closed, word: "master.egress.kubelet"},
	{name: "the wrong role", plan: change("master.ingress.ssh", func(r *plan.Rule) { r.Role = contract.Worker }),
		id: "user-network>workers/tcp/22", state: verify.Open, word: "accepted by"},
	{name: "tcp and udp where tcp is asked for", plan: change("worker.ingress.node-ports", func(r *plan.Rule) { r.Protocol = contract.Any }),
		id: "user-network>workers/udp/30000", state: verify.Open, word: "worker.ingress.node-ports"},
	{name: "any protocol", rules: replace("ip saddr @user-network tcp dport 22", "ip saddr @user-network"),
		id: "user-network>masters/other/all", state: verify.Open, word: "master.ingress.ssh"},
	{name: "one address too many", rules: replace("elements = { 10.0.0.0/24 }", "elements = { 10.0.0.0/24, 192.0.2.7 }"),
		id: "outside>masters/tcp/22", state: verify.Open, word: "192.0.2.7 →"},
	{name: "one machine missing", rules: replace("elements = { 10.32.1.0/31 }", "elements = { 10.32.1.0 }"),
		id: "masters>workers/udp/4789", state: verify.Closed, word: "10.32.1.1"},
	{name: "a policy of accept", rules: replace("hook forward priority filter; policy drop;", "hook forward priority filter; policy accept;"),
		id: "ipv6", state: verify.Open, word: "policy of chain forward"},
	{name: "answers dropped", rules: replace("ct state established,related accept", "ct state related accept"),
		id: "prerouting,forward,postrouting/answers", state: verify.Closed, word: "established"},
	{name: "false senders", rules: replace("iifname @ports jump spoofed", ""),
		id: "spoofed", state: verify.Open, word: " by m"},
	{name: "a table beside ours", rules: func(s string) string {
		return s + "table ip beside {\n chain f {\n type filter hook forward priority 10;\n tcp dport 22 drop\n }\n}\n"
	}, id: "user-network>masters/tcp/22", state: verify.Closed, word: "tcp dport 22 drop"},
	{name: "untracked packets", rules: replace("ct state invalid counter", "ct state untracked accept\n\t\tct state invalid counter"),
		id: "prerouting,forward,postrouting/untracked", state: verify.Open, word: "untracked"},
	{name: "a rule that nobody understands", rules: replace("ct state invalid counter", "meta mark 7 accept\n\t\tct state invalid counter"),
		id: "outside>workers/tcp/22", state: verify.Unknown, word: "meta mark 7"},
}

// Wrong contracts and wrong rules are found, each by the check that names it, with a packet
// and the rule that decides about it.
func TestStaticFindsSabotage(t *testing.T) {
	const file = "name: s\nmasters: 3\nworkers: 2\n"
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			right, wrong := planFrom(t, file), planFrom(t, file)
			if s.plan != nil {
				s.plan(wrong)
			}
			text := string(nftables.Fabric(wrong, nftables.Options{Ports: portsOf(right)}))
			if s.rules != nil {
				changed := s.rules(text)
				if changed == text {
					t.Fatal("nothing was changed")
				}
				text = changed
			}
			v := static(t, right, []byte(text), verify.StaticOptions{Ports: portsOf(right)})
			for _, c := range v.Checks {
				port := strings.TrimPrefix(s.id, c.Source+">"+c.Destination+"/"+string(c.Protocol)+"/")
				here := c.ID == s.id || port != s.id && len(port) < 6 && within(c.Ports, port)
				if !here || c.Observed == c.Expected {
					continue
				}
				if c.Observed == s.state && strings.Contains(c.Evidence+c.Clause, s.word) {
					return
				}
			}
			for _, c := range v.Checks {
				if c.Observed != c.Expected {
					t.Logf("%s: expected %s, found %s: %s", c.ID, c.Expected, c.Observed, c.Evidence)
				}
			}
			t.Errorf("not found: %s %s, %q", s.id, s.state, s.word)
		})
	}
}

// The same for a machine's own rules.
func TestStaticFindsSabotageOnAMachine(t *testing.T) {
	p := planFrom(t, "name: s\nmasters: 3\nworkers: 2\n")
	text, err := nftables.Machine(p, "s-worker-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]struct {
		change    func(string) string
		source    string
		to        string
		found     verify.State
		protocol  contract.Protocol
		portOfOne uint16
	}{
		"pods' addresses from anywhere": {replace("fib saddr . iif oif != 0 ", ""), "outside", "s-worker-1", verify.Open, contract.TCP, 22},
		"a port off by one":             {replace("dport 10250", "dport 10251"), "masters", "s-worker-1", verify.Closed, contract.TCP, 10250},
		"everything out":                {replace("ip saddr 10.32.1.0 jump worker.egress", "accept"), "s-worker-1", "outside", verify.Open, contract.UDP, 99},
		"no way out":                    {replace("jump worker.egress", "drop"), "s-worker-1", "outside", verify.Closed, contract.TCP, 443},
	} {
		t.Run(name, func(t *testing.T) {
			changed := s.change(string(text))
			if name == "a port off by one" { // all ports are open from masters: that rule hides the other
				changed = strings.ReplaceAll(changed, "tcp dport 1-65535", "tcp dport 1-9")
			}
			if changed == string(text) {
				t.Fatal("nothing was changed")
			}
			v := static(t, p, []byte(changed), verify.StaticOptions{Machine: "s-worker-1"})
			for _, c := range v.Checks {
				if c.Source == s.source && c.Destination == s.to && c.Protocol == s.protocol && c.Ports.Contains(s.portOfOne) && c.Observed != c.Expected {
					if c.Observed != s.found {
						t.Errorf("%s: found %s: %s", c.ID, c.Observed, c.Evidence)
					}
					return
				}
			}
			t.Errorf("not found in %+v", v.Summary)
		})
	}
}

func within(r contract.PortRange, port string) bool {
	p, err := contract.ParsePortRange(port)
	return err == nil && r.First <= p.First && p.Last <= r.Last
}

// 5,000 machines are decided in less than a second of processor time.
func TestStaticSize(t *testing.T) {
	p := planFrom(t, "name: big\nmasters: 3\nworkers: 4997\n")
	text := nftables.Fabric(p, nftables.Options{Ports: portsOf(p)})
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	v := static(t, p, text, verify.StaticOptions{Ports: portsOf(p)})
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	agrees(t, v)
	took := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	if took > time.Second {
		t.Errorf("it took %s: expected less than 1s", took)
	}
	t.Logf("%s, peak resident memory of all tests %d MiB", took, after.Maxrss>>10)
}
