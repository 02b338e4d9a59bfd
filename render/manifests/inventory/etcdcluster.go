package inventory

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// EtcdCluster is the custom resource of a self-hosted etcd. Its definition is in package
// manifests.
var EtcdCluster = schema.GroupVersionKind{Group: "craton.dev", Version: "v1alpha1", Kind: "EtcdCluster"}

// EtcdClusterName, in kube-system, is the one object of that kind.
const EtcdClusterName = "etcd"

// EtcdSpec is what a self-hosted etcd is to be.
type EtcdSpec struct {
	// Size is the number of members: that of masters.
	Size int64 `json:"size"`
	// Version is etcd's, such as v3.7.3: the tag of its image.
	Version string `json:"version"`
	// Seed is the client URL of the temporary member, while there is one.
	Seed string `json:"seed,omitempty"`
	// Template is a member's pod, but for its machine, the image's tag and where the others
	// are (see WithOthers).
	Template corev1.PodTemplateSpec `json:"template"`
}

// EtcdClusterStatus is what of EtcdStatus is in the custom resource.
type EtcdClusterStatus struct {
	Ready int `json:"ready"`
	// Also where it is empty: what was written before would stay otherwise.
	Leader  string       `json:"leader"`
	Action  string       `json:"action"`
	Refusal string       `json:"refusal"`
	Problem string       `json:"problem"`
	Members []EtcdMember `json:"members"`
}

// Object is the custom resource with this spec.
func (s EtcdSpec) Object() (*unstructured.Unstructured, error) {
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&s)
	if err != nil {
		return nil, fmt.Errorf("the spec of EtcdCluster %s: %w", EtcdClusterName, err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(EtcdCluster)
	u.SetNamespace(metav1.NamespaceSystem)
	u.SetName(EtcdClusterName)
	return u, nil
}

// ParseEtcdSpec reads what Object has written.
func ParseEtcdSpec(u *unstructured.Unstructured) (*EtcdSpec, error) {
	content, _, err := unstructured.NestedMap(u.Object, "spec")
	s := &EtcdSpec{}
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(content, s)
	}
	if err != nil {
		return nil, fmt.Errorf("the spec of EtcdCluster %s: %w: run craton up, which writes it anew", u.GetName(), err)
	}
	return s, nil
}

// Status is what of the operator's status goes into the custom resource. Sizes and times,
// which always change, are left out.
func (s EtcdStatus) Status() EtcdClusterStatus {
	out := EtcdClusterStatus{
		Leader: s.Leader, Action: s.Action, Refusal: s.Refusal, Problem: s.Problem, Members: make([]EtcdMember, 0, len(s.Members)),
	}
	for _, m := range s.Members {
		if m.Healthy && !m.Learner {
			out.Ready++
		}
		m.Bytes = 0
		out.Members = append(out.Members, m)
	}
	return out
}
