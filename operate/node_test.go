package operate

import (
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"craton.dev/craton/render/manifests/inventory"
)

func node(labels map[string]string, taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: "7", Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}}
}

// TestNodePatch protects that what is the platform's on a Node becomes what the plan says,
// and what is others' stays.
func TestNodePatch(t *testing.T) {
	worker := &inventory.Machine{Labels: map[string]string{"node-role.kubernetes.io/node": "true"}}
	master := &inventory.Machine{
		Labels: map[string]string{"node-role.kubernetes.io/master": ""},
		Taints: []string{"node-role.kubernetes.io/master:NoSchedule", "dedicated=infra:NoExecute"},
	}
	fresh := corev1.Taint{Key: uninitialized, Effect: corev1.TaintEffectNoSchedule}
	notReady := corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoExecute}
	for name, test := range map[string]struct {
		node    *corev1.Node
		machine *inventory.Machine
		want    string
	}{
		"a new worker": {node(map[string]string{"kubernetes.io/os": "linux"}, fresh, notReady), worker,
			`{"metadata":{"labels":{"node-role.kubernetes.io/node":"true"},"resourceVersion":"7"},"spec":{"taints":[{"effect":"NoExecute","key":"node.kubernetes.io/not-ready"}]}}`},
		"a new master": {node(nil, fresh), master,
			`{"metadata":{"labels":{"node-role.kubernetes.io/master":""},"resourceVersion":"7"},"spec":{"taints":[{"effect":"NoExecute","key":"dedicated","value":"infra"},{"effect":"NoSchedule","key":"node-role.kubernetes.io/master"}]}}`},
		"as it should be": {node(map[string]string{"node-role.kubernetes.io/node": "true", "mine": "1"}, notReady), worker, ``},
		"a changed label": {node(map[string]string{"node-role.kubernetes.io/node": "no"}), worker,
			`{"metadata":{"labels":{"node-role.kubernetes.io/node":"true"}}}`},
		"a stolen role": {node(map[string]string{"node-role.kubernetes.io/node": "true", "node-role.kubernetes.io/master": ""}), worker,
			`{"metadata":{"labels":{"node-role.kubernetes.io/master":null}}}`},
		"a changed taint": {node(master.Labels, corev1.Taint{Key: "node-role.kubernetes.io/master", Effect: "NoSchedule"}, corev1.Taint{Key: "dedicated", Value: "all", Effect: "NoExecute"}), master,
			`{"metadata":{"resourceVersion":"7"},"spec":{"taints":[{"effect":"NoSchedule","key":"node-role.kubernetes.io/master"},{"effect":"NoExecute","key":"dedicated","value":"infra"}]}}`},
		"the last taint goes": {node(worker.Labels, fresh), worker,
			`{"metadata":{"resourceVersion":"7"},"spec":{"taints":[]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nodePatch(test.node, test.machine)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "" {
				var v any
				if err := json.Unmarshal(got, &v); err != nil {
					t.Fatal(err)
				}
				if got, err = json.Marshal(v); err != nil {
					t.Fatal(err)
				}
			}
			if string(got) != test.want {
				t.Errorf("patch %s\nwant  %s", got, test.want)
			}
		})
	}
}

// TestNodePatchConverges protects against a controller that never comes to rest: over any
// Node, a patch applied leaves nothing to patch, and others' labels and taints as they were.
func TestNodePatchConverges(t *testing.T) {
	keys := []string{"node-role.kubernetes.io/master", "node-role.kubernetes.io/node", "craton.dev/uninitialized", "a", "example.com/b"}
	effects := []corev1.TaintEffect{"NoSchedule", "NoExecute"}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SampledFrom([]string{"", "true", "x"})
		labels := rapid.MapOf(rapid.SampledFrom(keys), values)
		taint := rapid.Custom(func(t *rapid.T) corev1.Taint {
			return corev1.Taint{Key: rapid.SampledFrom(keys).Draw(t, "key"), Value: values.Draw(t, "value"), Effect: rapid.SampledFrom(effects).Draw(t, "effect")}
		})
		taints := rapid.SliceOfNDistinct(taint, 0, 5, func(t corev1.Taint) string { return t.Key + string(t.Effect) })
		n := node(labels.Draw(t, "labels"), taints.Draw(t, "taints")...)
		m := &inventory.Machine{Labels: labels.Draw(t, "planned")}
		for _, p := range taints.Draw(t, "planned taints") {
			text := p.Key
			if p.Value != "" {
				text += "=" + p.Value
			}
			m.Taints = append(m.Taints, text+":"+string(p.Effect))
		}
		patch, err := nodePatch(n, m)
		if err != nil {
			t.Fatal(err)
		}
		after := n.DeepCopy()
		if patch != nil {
			before, err := json.Marshal(n)
			if err != nil {
				t.Fatal(err)
			}
			data, err := jsonpatch.MergePatch(before, patch)
			if err != nil {
				t.Fatal(err)
			}
			after = &corev1.Node{}
			if err := json.Unmarshal(data, after); err != nil {
				t.Fatal(err)
			}
		}
		if again, err := nodePatch(after, m); err != nil || again != nil {
			t.Fatalf("patch %s leaves %s (%v)", patch, again, err)
		}
		for k, v := range m.Labels {
			if after.Labels[k] != v {
				t.Errorf("label %s is %q, want %q", k, after.Labels[k], v)
			}
		}
		for k, v := range n.Labels {
			if _, planned := m.Labels[k]; !planned && !platforms(k) && after.Labels[k] != v {
				t.Errorf("somebody else's label %s is gone", k)
			}
		}
		count := 0
		for _, x := range after.Spec.Taints {
			if platforms(x.Key) {
				count++
			}
		}
		for _, text := range m.Taints {
			if platforms(parseTaint(text).Key) {
				count--
			}
		}
		if count != 0 {
			t.Errorf("taints %v, planned %v", after.Spec.Taints, m.Taints)
		}
	})
}

// TestParseTaint protects the plan's two forms.
func TestParseTaint(t *testing.T) {
	for text, want := range map[string]corev1.Taint{
		"a:NoSchedule":     {Key: "a", Effect: "NoSchedule"},
		"a/b=c:NoExecute":  {Key: "a/b", Value: "c", Effect: "NoExecute"},
		"a=:PreferNoSched": {Key: "a", Effect: "PreferNoSched"},
	} {
		if got := parseTaint(text); got != want {
			t.Errorf("%s is %+v, want %+v", text, got, want)
		}
	}
	if !strings.HasPrefix(uninitialized, "craton.dev/") || !platforms(uninitialized) {
		t.Error("the taint of new Nodes is not among the platform's: it would stay")
	}
}
