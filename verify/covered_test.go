package verify

import (
	"slices"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
)

// TestCovered protects from a verdict by experiment about what no experiment can show: a clause
// whose packets another one lets through as well breaks nothing when it is taken out.
func TestCovered(t *testing.T) {
	for _, test := range []struct {
		file, clause string
		covered      bool
		by           []string
	}{
		{"workers: 1\n", "worker.ingress.kubelet", true, []string{"worker.ingress.masters-all"}},
		{"workers: 1\n", "worker.ingress.masters-all", false, nil},
		{"workers: 1\n", "worker.ingress.vxlan", true, []string{"worker.ingress.masters-all"}}, // no worker is another one's peer
		{"workers: 2\n", "worker.ingress.vxlan", false, nil},
		{"workers: 1\nprofile: minimal\n", "worker.ingress.kubelet", false, nil},
		{"workers: 1\nprofile: minimal\n", "worker.ingress.vxlan", false, nil},
		{"workers: 1\noptions:\n  nodePortRange: true\n", "master.ingress.tectonic", false, nil}, // from all, not from users only
		{"workers: 0\nschedulableMasters: true\n", "master.ingress.api", true, nil},
	} {
		file, err := cluster.Parse("test.yaml", []byte("name: demo\nmasters: 1\n"+test.file))
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Make(file)
		if err != nil {
			t.Fatal(err)
		}
		covered, by, err := Covered(p, test.clause)
		if err != nil || covered != test.covered || !slices.Equal(by, test.by) {
			t.Errorf("%q: %s: covered %v by %v, %v; expected %v by %v", test.file, test.clause, covered, by, err, test.covered, test.by)
		}
	}
}
