package plan

import (
	"slices"
	"testing"

	"craton.dev/craton/cluster"
)

// TestEtcdClauses protects that each kind of etcd opens just its own clauses of those that are
// about etcd, and that those of the temporary member are shut when it is gone.
func TestEtcdClauses(t *testing.T) {
	about := []string{
		"master.ingress.etcd-client", "master.egress.etcd-client", "master.ingress.etcd-peer", "master.egress.etcd-peer",
		"master.ingress.etcd-pods", "master.egress.etcd-pods", "worker.ingress.etcd-pods", "worker.egress.etcd-pods",
		"master.ingress.etcd-seed", "master.egress.etcd-seed", "master.egress.external-etcd",
	}
	clients, peers, pods, seed := about[:2], about[2:4], about[4:8], about[8:10]
	for name, test := range map[string]struct {
		etcd    string
		masters int
		settled bool
		want    []string
	}{
		"internal, one master": {"internal", 1, false, nil},
		"internal":             {"internal", 3, false, slices.Concat(clients, peers)},
		"internal, settled":    {"internal", 3, true, slices.Concat(clients, peers)},
		"external":             {"external", 3, false, about[10:]},
		"one master begins":    {"selfHosted", 1, false, slices.Concat(pods, seed)},
		"one master":           {"selfHosted", 1, true, pods},
		"three masters begin":  {"selfHosted", 3, false, slices.Concat(clients, pods, seed)},
		"three masters":        {"selfHosted", 3, true, slices.Concat(clients, pods)},
	} {
		c := cluster.Default("demo")
		c.Masters, c.Etcd = test.masters, test.etcd
		if c.Etcd == "external" {
			c.ExternalEtcd = &cluster.ExternalEtcd{Endpoints: []string{"https://10.9.0.1:2379"}}
		}
		p, err := Make(c)
		if test.settled {
			p, err = Settled(c)
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range p.Rules {
			for _, id := range r.Clauses {
				if slices.Contains(about, id) {
					got = append(got, id)
				}
			}
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(test.want)); !slices.Equal(slices.Compact(got), want) {
			t.Errorf("%s: open are %v, want %v", name, got, want)
		}
		if p.Seed != (test.etcd == "selfHosted" && !test.settled) {
			t.Errorf("%s: it says that there is a seed: %t", name, p.Seed)
		}
	}
}
