package part

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// TestOn protects that a part is on the machines of its roles and on no others, by the labels
// that the plan gives them, also where masters are workers as well.
func TestOn(t *testing.T) {
	for _, schedulable := range []bool{false, true} {
		file := cluster.Default("demo")
		file.Masters, file.Workers, file.Infra, file.SchedulableMasters = 1, 1, 1, schedulable
		p, err := plan.Make(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, roles := range [][]contract.Role{{contract.Master}, {contract.Worker}, {contract.Infra}, {contract.Master, contract.Worker}} {
			affinity, err := On(roles...)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range p.Machines {
				want := false
				for _, role := range roles {
					want = want || m.Role == role
				}
				if got := selects(affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution, m.Labels); got != want {
					t.Errorf("masters schedulable %t: a part of %v is on %s: %t, expected %t", schedulable, roles, m.Name, got, want)
				}
			}
		}
	}
}

func selects(s *corev1.NodeSelector, labels map[string]string) bool {
	for _, term := range s.NodeSelectorTerms {
		all := true
		for _, r := range term.MatchExpressions {
			_, has := labels[r.Key]
			all = all && has == (r.Operator == corev1.NodeSelectorOperator(metav1.LabelSelectorOpExists))
		}
		if all {
			return true
		}
	}
	return false
}
