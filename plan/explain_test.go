package plan

import (
	"bytes"
	"strings"
	"testing"

	"craton.dev/craton/contract"
	"craton.dev/craton/golden"
)

// TestExplain asks one cluster what is open and why.
func TestExplain(t *testing.T) {
	p := parse(t, smallest)
	for _, test := range []struct {
		query       string
		open, named bool
		first       string // the first clause that is open, or of all where none is
		says        string
	}{
		{"10250", true, true, "master.egress.kubelet", "kube-apiserver"},
		{"tcp/10250", true, true, "master.egress.kubelet", "exec"},
		{"udp/10250", false, false, "master.egress.workers-all", "profile minimal"},
		{"udp/4789", true, true, "master.ingress.vxlan", "masters (10.32.0.10/32), workers (10.32.1.0/32)"},
		{"4789/udp", true, true, "master.ingress.vxlan", "flannel"},
		{"tcp/4789", false, false, "master.egress.workers-all", "Nothing opens tcp/4789"},
		{"30000-32767", true, true, "worker.ingress.node-ports", "a user reaches a service on a node port"},
		{"32767", true, true, "worker.ingress.node-ports", "30000-32767"},
		{"32768", false, false, "master.egress.workers-all", "Nothing opens 32768"},
		{"10255", false, false, "master.ingress.kubelet-read-only", "which does not hold of this cluster"},
		{"master.ingress.ssh", true, true, "master.ingress.ssh", "document, line 25"},
		{"infra.ingress.console", false, false, "infra.ingress.console", "none uses it"},
		{"infra.egress.dns", false, false, "infra.egress.dns", "this cluster has no infra machines"},
		{"worker.machine.kubelet", true, true, "worker.machine.kubelet", "applies to this cluster"},
		{"master.machine.node", false, false, "master.machine.node", "does not apply to this cluster"},
	} {
		e, err := Explain(p, test.query)
		if err != nil {
			t.Errorf("%s: %v", test.query, err)
			continue
		}
		first := ""
		for _, c := range e.Clauses {
			if c.Open == e.Open && first == "" {
				first = c.Clause.ID
			}
			if c.Open != (c.WhyNot == "") {
				t.Errorf("%s: %s is open: %v, and says %q", test.query, c.Clause.ID, c.Open, c.WhyNot)
			}
		}
		var out bytes.Buffer
		if err := e.WriteTable(&out); err != nil {
			t.Fatal(err)
		}
		if e.Open != test.open || e.Named != test.named || first != test.first || !strings.Contains(out.String(), test.says) {
			t.Errorf("%s: open %v, named %v, first %q, want %v, %v, %q and to read %q:\n%s", test.query, e.Open, e.Named, first, test.open, test.named, test.first, test.says, out.String())
		}
	}
}

// TestExplainAgreesWithTheRules: a clause is open in an explanation exactly where a rule
// carries it.
func TestExplainAgreesWithTheRules(t *testing.T) {
	for _, text := range []string{small, smallest, infra, external} {
		p := parse(t, text)
		inRule := map[string]bool{}
		for _, r := range p.Rules {
			for _, id := range r.Clauses {
				inRule[id] = true
			}
		}
		e, err := Explain(p, "all")
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Clauses) < 40 {
			t.Fatalf("all is about %d clauses", len(e.Clauses))
		}
		for _, c := range e.Clauses {
			if c.Open != inRule[c.Clause.ID] {
				t.Errorf("%s: explained as open: %v, in a rule: %v", c.Clause.ID, c.Open, inRule[c.Clause.ID])
			}
			if c.Without == "" || len(c.From) == 0 || len(c.To) == 0 {
				t.Errorf("%s: %+v", c.Clause.ID, c)
			}
		}
	}
}

// TestExplainFollowsTheFile: the API's port is the file's.
func TestExplainFollowsTheFile(t *testing.T) {
	p := parse(t, external)
	e, err := Explain(p, "tcp/6443")
	if err != nil || !e.Open || e.Clauses[0].Ports[0] != (contract.PortRange{First: 6443, Last: 6443}) {
		t.Errorf("%v: %+v", err, e)
	}
	if e, err := Explain(parse(t, small), "9999"); err != nil || !e.Open || e.Named {
		t.Errorf("only the document's all-ports line opens 9999: %v: %+v", err, e)
	}
	// A clause names this one, and does not apply.
	var says strings.Builder
	if e, err := Explain(parse(t, small), "10255"); err != nil || e.WriteTable(&says) != nil || !strings.HasPrefix(says.String(), "No clause that applies names 10255:") {
		t.Errorf("%v: %s", err, says.String())
	}
}

// TestExplainRefuses: what is no query is an error that helps.
func TestExplainRefuses(t *testing.T) {
	p := parse(t, small)
	for query, want := range map[string]string{
		"":                   "want for instance 10250",
		"0":                  "not a port",
		"65536":              "not a port",
		"9-1":                "write 1-9",
		"sctp/22":            `"sctp" is no protocol`,
		"22/sctp":            `"sctp" is no protocol`,
		"tcp/":               "not a port",
		"ssh":                "want for instance",
		"master.ingress.shh": "did you mean master.ingress.ssh?",
	} {
		if _, err := Explain(p, query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", query, err, want)
		}
	}
	p.File = nil
	if _, err := Explain(p, "22"); err == nil {
		t.Error("a plan without its file can't be explained")
	}
}

// TestExplanations shows whole answers: an ingress and its egress, components that are
// off, and a port that nothing opens.
func TestExplanations(t *testing.T) {
	p := parse(t, smallest)
	var out bytes.Buffer
	for _, query := range []string{"tcp/10250", "32000", "worker.machine.kubelet", "50000"} {
		e, err := Explain(p, query)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("== " + query + "\n")
		if err := e.WriteTable(&out); err != nil {
			t.Fatal(err)
		}
	}
	golden.Check(t, "explanations.golden", out.Bytes())
}
