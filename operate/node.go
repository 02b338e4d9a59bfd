package operate

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/render/manifests/inventory"
)

const (
	// uninitialized is the taint with which every kubelet registers its Node.
	uninitialized = "craton.dev/uninitialized"
)

// The prefixes of labels and taints that are the platform's: nobody else's stay on a Node.
var platformPrefixes = []string{"node-role.kubernetes.io/", "craton.dev/"}

func platforms(key string) bool {
	return slices.ContainsFunc(platformPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// nodePatch is the JSON merge patch that makes a Node's platform labels and taints what the
// plan says, or nil where they are. Labels and taints of others stay as they are. Where the
// taints change, the patch holds for exactly this version of the Node: a list of taints is
// replaced as a whole.
func nodePatch(node *corev1.Node, m *inventory.Machine) ([]byte, error) {
	metadata := map[string]any{}
	labels := map[string]any{}
	for k, v := range m.Labels {
		if has, ok := node.Labels[k]; !ok || has != v {
			labels[k] = v
		}
	}
	for k := range node.Labels {
		if _, planned := m.Labels[k]; !planned && platforms(k) {
			labels[k] = nil
		}
	}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}
	patch := map[string]any{}
	if taints, changed := plannedTaints(node.Spec.Taints, m.Taints); changed {
		patch["spec"] = map[string]any{"taints": taints}
		metadata["resourceVersion"] = node.ResourceVersion
	}
	if len(metadata) > 0 {
		patch["metadata"] = metadata
	}
	if len(patch) == 0 {
		return nil, nil
	}
	return json.Marshal(patch)
}

// plannedTaints are the taints that a Node should have: others' first, as they are, then
// the plan's.
func plannedTaints(has []corev1.Taint, planned []string) (taints []corev1.Taint, changed bool) {
	want := map[string]corev1.Taint{}
	for _, text := range planned {
		t := parseTaint(text)
		want[t.Key+":"+string(t.Effect)] = t
	}
	taints = []corev1.Taint{}
	for _, t := range has {
		id := t.Key + ":" + string(t.Effect)
		w, ok := want[id]
		switch {
		case ok && w.Value == t.Value:
			taints = append(taints, t)
			delete(want, id)
		case ok, platforms(t.Key):
			changed = true
		default:
			taints = append(taints, t)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		taints = append(taints, want[id])
		changed = true
	}
	return taints, changed
}

// parseTaint reads the plan's form of a taint: "key=value:Effect" or "key:Effect".
func parseTaint(text string) corev1.Taint {
	key, effect, _ := strings.Cut(text, ":")
	key, value, _ := strings.Cut(key, "=")
	return corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
}
