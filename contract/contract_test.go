package contract

import (
	"slices"
	"strings"
	"testing"
)

// The contract is well formed: a new clause with a wrong id, a port out of order or no
// reason fails here, with what is wrong.
func TestContractIsWellFormed(t *testing.T) {
	if err := Check(Clauses()); err != nil {
		t.Error(err)
	}
}

// Check finds each kind of mistake; otherwise the test above could not fail.
func TestCheckFindsMistakes(t *testing.T) {
	for _, test := range []struct {
		name, want string
		clause     string
		change     func(*Clause)
	}{
		{"id of another role", "starts with", "master.ingress.ssh", func(c *Clause) { c.ID = "worker.ingress.ssh2" }},
		{"id twice", "two with this id", "master.ingress.ssh", func(c *Clause) { c.ID = "master.ingress.vxlan" }},
		{"port 0", "no text form", "master.ingress.ssh", func(c *Clause) { c.Ports[0].First = 0 }},
		{"ports backwards", "no text form", "master.ingress.tectonic", func(c *Clause) { c.Ports[0].Last = 31999 }},
		{"no ports", "needs ports", "master.ingress.ssh", func(c *Clause) { c.Ports = nil }},
		{"no peers", "needs peers", "master.ingress.ssh", func(c *Clause) { c.Peers = nil }},
		{"no counts", "needs counts", "master.count.machines", func(c *Clause) { c.Counts = nil }},
		{"ports of a machine clause", "not for machine", "infra.machine.kubelet", func(c *Clause) { c.Ports = []PortRange{{1, 2}} }},
		{"labels of an ingress", "not for ingress", "master.ingress.ssh", func(c *Clause) { c.Labels = []string{"a"} }},
		{"unknown protocol", `protocol "sctp"`, "master.ingress.ssh", func(c *Clause) { c.Protocols = []Protocol{"sctp"} }},
		{"a peer twice", "twice", "master.ingress.ssh", func(c *Clause) { c.Peers = []Peer{All, All} }},
		{"unknown level", "level", "master.ingress.ssh", func(c *Clause) { c.Level = "OUGHT" }},
		{"unknown origin", "origin", "master.ingress.ssh", func(c *Clause) { c.Origin = "" }},
		{"no line", "expected the document's line", "master.ingress.ssh", func(c *Clause) { c.Line = 0 }},
		{"no reason", "what breaks without it", "master.ingress.api", func(c *Clause) { c.Reason = "" }},
		{"line of a derived clause", "expected no line", "master.ingress.api", func(c *Clause) { c.Line = 25 }},
		{"no purpose", "purpose", "master.ingress.ssh", func(c *Clause) { c.Purpose = "" }},
	} {
		clauses := Clauses()
		i := slices.IndexFunc(clauses, func(c Clause) bool { return c.ID == test.clause })
		test.change(&clauses[i])
		err := Check(clauses)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: expected an error with %q, found %v", test.name, test.want, err)
		}
	}
}

// What one caller does to its clauses, another never sees.
func TestCallersOwnTheirClauses(t *testing.T) {
	for _, spoilt := range Clauses() {
		fromIndex, _ := ByID(spoilt.ID)
		for _, c := range []Clause{spoilt, fromIndex} {
			for i := range c.Protocols {
				c.Protocols[i] = "spoilt"
			}
			for i := range c.Ports {
				c.Ports[i] = PortRange{9, 1}
			}
			for i := range c.Peers {
				c.Peers[i] = "spoilt"
			}
			for _, texts := range [][]string{c.Labels, c.Taints, c.Names, c.Inferred} {
				for i := range texts {
					texts[i] = "spoilt"
				}
			}
			for i := range c.Counts {
				c.Counts[i] = -9
			}
		}
	}
	if err := Check(Clauses()); err != nil {
		t.Error(err)
	}
	for _, c := range Clauses() {
		again, ok := ByID(c.ID)
		if !ok || again.Statement() != c.Statement() {
			t.Errorf("%s: ByID says %q, Clauses %q", c.ID, again.Statement(), c.Statement())
		}
	}
	if _, ok := ByID("master.ingress.nothing"); ok {
		t.Error("ByID found a clause that there isn't")
	}
}

// Roles stand in the document's order, and in each the document's clauses before ours.
func TestOrder(t *testing.T) {
	last := -1
	for _, c := range Clauses() {
		rank := slices.Index(Roles(), c.Role)*2 + slices.Index(Origins(), c.Origin)
		if rank < last {
			t.Errorf("%s stands behind a clause of a later role or origin", c.ID)
		}
		last = rank
	}
}

// Filters combine, and together the values of each filter select everything.
func TestSelect(t *testing.T) {
	if got, want := len(Select("", "", "")), len(Clauses()); got != want {
		t.Errorf("no filter: %d clauses, expected %d", got, want)
	}
	total := 0
	for _, role := range Roles() {
		for _, level := range Levels() {
			for _, origin := range Origins() {
				for _, c := range Select(role, level, origin) {
					total++
					if c.Role != role || c.Level != level || c.Origin != origin {
						t.Errorf("Select(%s, %s, %s) gave %s", role, level, origin, c.ID)
					}
				}
			}
		}
	}
	if total != len(Clauses()) {
		t.Errorf("all filters together gave %d clauses, expected %d", total, len(Clauses()))
	}
}

// Both ends of a connection between two machines drop what no clause opens, so each
// machine-to-machine opening has its other side: otherwise it opens nothing. The other
// side may be opened by several clauses, and under conditions at least as wide.
func TestEveryOpeningHasItsOtherSide(t *testing.T) {
	machines := map[Peer]Role{Masters: Master, InfraNodes: Infra, Workers: Worker}
	peerOf := map[Role]Peer{Master: Masters, Infra: InfraNodes, Worker: Workers}
	opposite := map[Kind]Kind{Ingress: Egress, Egress: Ingress}
	// A role's egress to registries reaches any address, the masters too, unless
	// IfRegistriesApart; a clause for all is for machines outside in the first place.
	covers := func(c, other Clause) bool {
		return slices.Contains(other.Peers, peerOf[c.Role]) || slices.Contains(other.Peers, All) || slices.Contains(other.Peers, Registries)
	}
	compatible := func(c, other Clause) bool {
		switch other.Condition {
		case Always, c.Condition:
			return true
		case IfSeveralMasters, IfInfraNodes, IfInternalEtcd:
			// Those only say that there is a machine on the other side at all.
			return true
		}
		return false
	}
	for _, c := range Clauses() {
		for _, peer := range c.Peers {
			role, isMachine := machines[peer]
			if !isMachine {
				continue
			}
			for _, protocol := range c.Protocols {
				for _, r := range c.Ports {
					if !slices.ContainsFunc(Clauses(), func(other Clause) bool {
						return other.Role == role && other.Kind == opposite[c.Kind] && covers(c, other) && compatible(c, other) &&
							slices.Contains(other.Protocols, protocol) &&
							slices.ContainsFunc(other.Ports, func(o PortRange) bool { return o.First <= r.First && r.Last <= o.Last })
					}) {
						t.Errorf("%s: %s has no %s of %s %s", c.ID, role, opposite[c.Kind], protocol, r)
					}
				}
			}
		}
	}
}
