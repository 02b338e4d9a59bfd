package verify_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
	"craton.dev/craton/verify"
)

// What is used, by whom and since when, is told of the clause that let it through; what was never used is named;
// and of what was dropped stands there which operation it would have been, whether the clause is shut, is for
// others, or does not exist.
func TestTraffic(t *testing.T) {
	c, err := cluster.Parse("cluster.yaml", []byte("name: demo\nworkers: 2\nprofile: minimal\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]netip.Addr{}
	for _, m := range p.Machines {
		at[m.Name] = m.Address
	}
	master, worker, other := at["demo-master-1"], at["demo-worker-1"], at["demo-worker-2"]
	user := p.Network.User.Addr().Next().Next()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	drop := func(minutes int, rule string, from, to netip.Addr, protocol string, port uint16) local.Drop {
		return local.Drop{Time: noon.Add(time.Duration(minutes) * time.Minute), Rule: rule, Source: from, Destination: to, Protocol: protocol, Port: port}
	}
	got, err := verify.Traffics(p, verify.Seen{
		Since:   noon,
		Clauses: map[string]nftables.Count{"master.ingress.ssh": {Packets: 7}, "worker.ingress.vxlan": {Packets: 3}},
		Flows: []local.Flow{
			{Source: worker, Destination: other, Protocol: contract.UDP, Port: 4789, Began: noon.Add(2 * time.Minute)},
			{Source: worker, Destination: other, Protocol: contract.UDP, Port: 4789, Began: noon.Add(time.Minute)},
			{Source: user, Destination: master, Protocol: contract.TCP, Port: 22},
			{Source: worker, Destination: master, Protocol: contract.TCP, Port: 7}, // the plan does not have it
		},
		Drops: []local.Drop{
			drop(-5, "worker.ingress", master, worker, "tcp", 1), // of the fabric before this one
			drop(1, "worker.ingress", user, worker, "tcp", 10250),
			drop(2, "worker.ingress", user, worker, "tcp", 10250),
			drop(3, "master.ingress", worker, master, "tcp", 9100),
			drop(4, "worker.egress", worker, master, "tcp", 81),
			drop(5, "spoofed", user, master, "tcp", 22),
			drop(6, "worker.ingress", user, worker, "other", 0),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	used := func(id string) verify.Used {
		i := slices.IndexFunc(got.Clauses, func(u verify.Used) bool { return u.Clause == id })
		if i < 0 {
			t.Fatalf("%s is not there", id)
		}
		return got.Clauses[i]
	}
	if len(got.Clauses) != len(p.Opening()) {
		t.Errorf("%d clauses, and %d are open", len(got.Clauses), len(p.Opening()))
	}
	if u := used("worker.ingress.vxlan"); u.Connections != 3 || len(u.Now) != 1 || u.Now[0].Count != 2 || !u.Now[0].Since.Equal(noon.Add(time.Minute)) ||
		u.Now[0].Source != "demo-worker-1" || u.Now[0].Destination != "demo-worker-2" {
		t.Errorf("%+v", u)
	}
	if u := used("master.ingress.ssh"); u.Connections != 7 || len(u.Now) != 1 || u.Now[0].Source != "user-network" {
		t.Errorf("%+v", u)
	}
	want := []struct{ port, clause, operation, detail string }{
		{"10250", "worker.ingress.kubelet", "a user reads the log of a pod", "it is for masters"},
		{"9100", "master.ingress.node-exporter", "Prometheus reads the metrics of machines", "profile minimal"},
		{"81", "", "", "no clause names this port"},
		{"22", "", "", "its sender's address is not that of the machine"},
		{"0", "", "", "no clause is about protocols other"},
	}
	if len(got.Dropped) != len(want) || got.Dropped[0].Count != 2 || !got.Dropped[0].Last.Equal(noon.Add(2*time.Minute)) {
		t.Fatalf("%+v", got.Dropped)
	}
	for i, w := range want {
		r := got.Dropped[i]
		if w.clause != "" && !slices.Contains(r.Clauses, w.clause) || w.operation != "" && !slices.Contains(r.Operations, w.operation) || !strings.Contains(r.Detail, w.detail) {
			t.Errorf("%s: %+v", w.port, r)
		}
	}
	var b bytes.Buffer
	if err := verify.WriteTraffic(&b, got); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"2× demo-worker-1 to demo-worker-2 udp 4789 since 2026-01-02 12:01:00 UTC", "master.egress.dns", "tcp 10250  2      2026-01-02 12:02:00 UTC",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("%q is missing in\n%s", line, b.String())
		}
	}
}
