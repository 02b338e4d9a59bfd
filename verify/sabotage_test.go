package verify

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/filter/nft"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// sabotage is a mistake in a contract, as it would come out in a plan's rules.
type sabotage struct {
	name string
	// clause is the one whose rules are wrong, and change makes them so; a rule that ends with
	// no protocol is left out.
	clause string
	change func(*plan.Rule)
	// where is in the sentence that finds it.
	where string
}

var sabotages = []sabotage{
	{"a port off by one", "master.ingress.ssh", onPorts(23, 23), "tcp 22"},
	{"tcp for udp", "master.ingress.vxlan", protocol(contract.TCP), "udp 4789"},
	{"udp for tcp", "worker.ingress.kubelet", protocol(contract.UDP), "tcp 10250"},
	{"a peer missing", "master.ingress.vxlan", peers(contract.Masters), "udp 4789"},
	{"open to everybody", "master.ingress.ssh", peers(contract.All), "tcp 22"},
	{"a range one port too wide", "worker.ingress.node-ports", onPorts(30000, 32768), "tcp 32768"},
	{"a range one port too short", "worker.ingress.node-ports", onPorts(30001, 32767), "tcp 30000"},
	{"all ports for one", "worker.ingress.kubelet", onPorts(1, 65535), "tcp 443"},
	{"a clause forgotten", "worker.egress.dns", protocol(""), "udp 53"},
	{"the wrong role's address", "worker.ingress.kubelet", peers(contract.UserNetwork), "tcp 10250"},
	{"ingress for egress", "master.egress.kubelet", func(r *plan.Rule) { r.Direction = contract.Ingress }, "tcp 10250"},
	{"the wrong role", "worker.ingress.node-ports", func(r *plan.Rule) { r.Role = contract.Master }, "tcp 30000-32767"},
}

func onPorts(first, last uint16) func(*plan.Rule) {
	return func(r *plan.Rule) { r.Ports = []contract.PortRange{{First: first, Last: last}} }
}
func protocol(p contract.Protocol) func(*plan.Rule) { return func(r *plan.Rule) { r.Protocol = p } }
func peers(p ...contract.Peer) func(*plan.Rule)     { return func(r *plan.Rule) { r.Peers = p } }

// TestSabotageIsFound protects what verify is for: rules that come of a contract with a mistake
// in it are never called as planned, and what is said leads to the mistake.
func TestSabotageIsFound(t *testing.T) {
	file, err := cluster.Parse("test.yaml", []byte("name: demo\nmasters: 1\nworkers: 2\nprofile: minimal\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	static := func(enforced *plan.Plan) *Verification {
		t.Helper()
		rules, err := nft.Read("rules.nft", nftables.Fabric(enforced, nftables.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		v, err := Static(p, rules, StaticOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := static(p); v.Summary.Failed+v.Summary.Unknown > 0 {
		t.Fatalf("the right rules are not as planned: %+v", v.Summary)
	}
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			wrong := *p
			wrong.Peers = map[contract.Peer][]netip.Prefix{}
			for name, of := range p.Peers {
				wrong.Peers[name] = of
			}
			wrong.Peers[contract.All] = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
			wrong.Rules = nil
			changed := false
			for _, r := range p.Rules {
				if slices.Contains(r.Clauses, s.clause) {
					s.change(&r)
					changed = true
				}
				if r.Protocol != "" {
					wrong.Rules = append(wrong.Rules, r)
				}
			}
			if !changed {
				t.Fatalf("the plan has no rule of %s", s.clause)
			}
			var said []string
			for _, c := range static(&wrong).Checks {
				if c.Observed != c.Expected {
					said = append(said, string(c.Protocol)+" "+c.Ports.String()+" "+c.Evidence)
				}
			}
			if !strings.Contains(strings.Join(said, "\n"), s.where) {
				t.Errorf("%s is wrong, but what differs does not name %s: %q", s.clause, s.where, said)
			}
		})
	}
}
