package plan

import (
	"net/netip"
	"slices"
	"testing"

	"craton.dev/craton/contract"
)

// TestAllowsAnyProtocol uses rules that no contract has made yet: of protocol any, where
// only an opening of all ports is one for what has no ports, and two rules that name the
// same clause, which is told once.
func TestAllowsAnyProtocol(t *testing.T) {
	master, user := netip.MustParseAddr("10.32.0.10"), netip.MustParseAddr("10.0.0.1")
	rule := func(protocol contract.Protocol, first, last uint16) Rule {
		return Rule{
			Role: contract.Master, Direction: contract.Ingress, Protocol: protocol,
			Ports: []contract.PortRange{{First: first, Last: last}}, Peers: []contract.Peer{contract.All}, Clauses: []string{"b", "a"},
		}
	}
	for _, test := range []struct {
		rules    []Rule
		protocol contract.Protocol
		port     uint16
		want     []string
	}{
		{[]Rule{rule(contract.Any, 1, 65535)}, contract.Any, 0, []string{"a", "b"}},
		{[]Rule{rule(contract.Any, 80, 80)}, contract.Any, 80, nil},
		{[]Rule{rule(contract.Any, 80, 80)}, contract.UDP, 80, []string{"a", "b"}},
		{[]Rule{rule(contract.TCP, 1, 65535)}, contract.Any, 80, nil},
		{[]Rule{rule(contract.TCP, 80, 80), rule(contract.Any, 1, 65535)}, contract.TCP, 80, []string{"a", "b"}},
		{nil, contract.TCP, 80, nil},
	} {
		p := &Plan{
			Machines: []Machine{{Role: contract.Master, Address: master}}, Rules: test.rules,
			Peers: map[contract.Peer][]netip.Prefix{contract.All: {everywhere}},
		}
		open, by := p.Allows(user, master, test.protocol, test.port)
		if open != (test.want != nil) || !slices.Equal(by, test.want) {
			t.Errorf("%v: %s/%d: got %v by %v, want %v", test.rules, test.protocol, test.port, open, by, test.want)
		}
	}
}
