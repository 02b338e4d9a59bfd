package contract

import (
	"slices"
	"testing"
)

// unused are the clauses that no component and no operation needs, each with why it is
// in the contract all the same. The minimal profile never opens them.
var unused = map[string]string{
	"worker.ingress.masters-all": "the document asks for it (and says itself that it should be narrower); " +
		"what masters need of workers is in the clauses for VXLAN, the kubelet, metrics and etcd",
	"master.egress.workers-all": "the other side of worker.ingress.masters-all",
	"worker.ingress.etcd-pods":  "the document allows etcd's pods on workers; craton has them on masters only",
	"worker.egress.etcd-pods":   "the other side of worker.ingress.etcd-pods",
}

// Every opening is there for somebody: a clause that no component lists would never be
// opened by the minimal profile, and one that no operation needs can't be explained.
func TestEveryOpeningIsUsed(t *testing.T) {
	byComponent, byOperation := map[string]bool{}, map[string]bool{}
	for _, c := range Components() {
		for _, id := range c.Clauses {
			byComponent[id] = true
		}
	}
	for _, o := range Operations() {
		for _, id := range o.Clauses {
			byOperation[id] = true
		}
	}
	for _, c := range Clauses() {
		_, isUnused := unused[c.ID]
		if isUnused && (byComponent[c.ID] || byOperation[c.ID]) {
			t.Errorf("%s is used; take it off the list of unused clauses", c.ID)
		}
		if len(c.Ports) == 0 || isUnused {
			continue
		}
		if !byComponent[c.ID] {
			t.Errorf("%s: no component uses it", c.ID)
		}
		if !byOperation[c.ID] {
			t.Errorf("%s: no operation needs it", c.ID)
		}
	}
	for id := range unused {
		if _, ok := ByID(id); !ok {
			t.Errorf("the list of unused clauses names %s, which there isn't", id)
		}
	}
}

// Components and operations name only what exists, and each once. For each opening of an
// operation, one of its components lists the clause: explain leads from one to the other.
func TestComponentsAndOperationsNameWhatExists(t *testing.T) {
	byName := map[string]Component{}
	for _, c := range Components() {
		if _, twice := byName[c.Name]; twice || c.Name == "" || c.Purpose == "" {
			t.Errorf("component %q: it needs a name of its own and a purpose", c.Name)
		}
		byName[c.Name] = c
		checkIDs(t, c.Name, c.Clauses)
	}
	seen := map[string]bool{}
	for _, o := range Operations() {
		if seen[o.ID] || o.Sentence == "" || len(o.Components) == 0 {
			t.Errorf("operation %q: it needs an id of its own, a sentence and components", o.ID)
		}
		seen[o.ID] = true
		if len(o.Clauses) > 0 { // what goes on without any is worth to be shown too
			checkIDs(t, o.ID, o.Clauses)
		}
		listed := map[string]bool{}
		for _, name := range o.Components {
			c, ok := byName[name]
			if !ok {
				t.Errorf("operation %s: there is no component %q", o.ID, name)
			}
			for _, id := range c.Clauses {
				listed[id] = true
			}
		}
		for _, id := range o.Clauses {
			if !listed[id] {
				t.Errorf("operation %s needs %s, which none of its components lists", o.ID, id)
			}
		}
	}
}

func checkIDs(t *testing.T, who string, ids []string) {
	t.Helper()
	if len(ids) == 0 || repeats(ids) {
		t.Errorf("%s: it needs clauses, each once", who)
	}
	for _, id := range ids {
		if _, ok := ByID(id); !ok {
			t.Errorf("%s names %s, which there isn't", who, id)
		}
	}
}

// A component that is there only under a condition is the only kind whose clauses the
// minimal profile may shut, so what every cluster needs is listed by one that is always
// there.
func TestEssentialClausesAreAlwaysUsed(t *testing.T) {
	always := map[string]bool{}
	for _, c := range Components() {
		if c.Condition == Always {
			for _, id := range c.Clauses {
				always[id] = true
			}
		}
	}
	for _, id := range []string{
		"master.ingress.ssh", "master.ingress.api", "master.ingress.api-load-balancer", "master.ingress.api-users",
		"master.ingress.vxlan", "worker.ingress.vxlan", "infra.ingress.vxlan",
		"master.egress.vxlan", "worker.egress.vxlan", "infra.egress.vxlan",
		"master.egress.images", "worker.egress.images", "infra.egress.images",
		"master.egress.dns", "worker.egress.dns", "infra.egress.dns",
		"worker.ingress.kubelet", "master.egress.kubelet", "worker.ingress.node-ports",
	} {
		if !always[id] {
			t.Errorf("%s: only optional components list it", id)
		}
	}
	if i := slices.IndexFunc(Components(), func(c Component) bool { return c.Option != "" && c.Condition == Always }); i >= 0 {
		t.Errorf("component %s has an option but is always there", Components()[i].Name)
	}
}
