package part

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/contract"
)

// On keeps a pod to machines of these roles, by the labels that the contract gives them. A
// master that is a worker as well has both labels, and is a master.
func On(roles ...contract.Role) (*corev1.Affinity, error) {
	label := func(role contract.Role) (string, error) {
		id := map[contract.Role]string{
			contract.Master: "master.machine.kubelet", contract.Infra: "infra.machine.label", contract.Worker: "worker.machine.kubelet",
		}[role]
		c, ok := contract.ByID(id)
		if !ok || len(c.Labels) != 1 {
			return "", fmt.Errorf("manifests: the contract has no clause %s with one label", id)
		}
		key, _, _ := strings.Cut(c.Labels[0], "=")
		return key, nil
	}
	master, err := label(contract.Master)
	if err != nil {
		return nil, err
	}
	var terms []corev1.NodeSelectorTerm
	for _, role := range roles {
		key, err := label(role)
		if err != nil {
			return nil, err
		}
		has := []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpExists}}
		if role == contract.Worker {
			has = append(has, corev1.NodeSelectorRequirement{Key: master, Operator: corev1.NodeSelectorOpDoesNotExist})
		}
		terms = append(terms, corev1.NodeSelectorTerm{MatchExpressions: has})
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}, nil
}
