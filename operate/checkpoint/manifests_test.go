package checkpoint

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
)

// rendered are what a cluster's masters start with, and the pods that its controllers would
// make, by component.
func rendered(t *testing.T, etcd string) (first map[string][]byte, pods map[string]*corev1.Pod) {
	t.Helper()
	c := cluster.Default("demo")
	c.Masters, c.Etcd = 3, etcd
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	image := func(component string) string { return "example.com/" + component + ":1" }
	files, err := manifests.MasterFiles(p, p.Machines[0].Name, image, manifests.Bring{})
	if err != nil {
		t.Fatal(err)
	}
	first = map[string][]byte{}
	for _, f := range files {
		if filepath.Dir(f.Path) == manifests.CheckpointDir {
			first[strings.TrimSuffix(filepath.Base(f.Path), ".yaml")] = f.Contents
		}
	}
	secrets, err := pki.Ensure(t.TempDir(), p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifests.Objects(p, secrets, image, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pods = map[string]*corev1.Pod{}
	for _, o := range objects {
		template, ok, err := unstructured.NestedMap(o.Object, "spec", "template")
		if err != nil || !ok {
			continue
		}
		pod := &corev1.Pod{}
		if err := kuberuntime.DefaultUnstructuredConverter.FromUnstructured(template, pod); err != nil {
			t.Fatal(err)
		}
		pod.Namespace, pod.Name = o.GetNamespace(), o.GetName()+"-x"
		// As the API makes it: the class's value, by admission.
		pod.Spec.Priority = new(int32(2000001000))
		pods[o.GetName()] = pod
	}
	return first, pods
}

// TestAgreesWithManifests protects the hand-over between what the first boot brings and
// what the checkpointer makes later: for each component there is a checkpoint of the first
// boot, it is what standInOf makes of the real pod, and both go by the same labels.
func TestAgreesWithManifests(t *testing.T) {
	for _, etcd := range []string{"internal", "selfHosted"} {
		t.Run(etcd, func(t *testing.T) { agree(t, etcd) })
	}
	for ours, theirs := range map[string]string{
		componentLabel: manifests.ComponentLabel,
		standInLabel:   manifests.StandInLabel,
		standInSuffix:  manifests.StandInSuffix,

		addressEnv:        manifests.AddressEnv,
		standInAddressEnv: manifests.StandInAddressEnv,
	} {
		if ours != theirs {
			t.Errorf("%q here is %q there", ours, theirs)
		}
	}
}

func agree(t *testing.T, etcd string) {
	first, pods := rendered(t, etcd)
	components := components()
	if etcd == "selfHosted" {
		components = append(components, etcdComponent("/data"))
		// As the operator makes it.
		others := []string{"https://10.32.0.11:2379", "https://10.32.0.12:2379", "https://10.32.0.10:12379"}
		if err := manifests.WithOthers(&pods["etcd"].Spec, others); err != nil {
			t.Fatal(err)
		}
		pods["etcd"].Spec.Containers[0].Image += ":1"
	}
	for _, c := range components {
		pod := pods[c.Name]
		if pod == nil || first[c.Name] == nil {
			t.Errorf("%s: a pod: %t, a checkpoint of the first boot: %t", c.Name, pod != nil, first[c.Name] != nil)
			continue
		}
		if pod.Labels[componentLabel] != c.Name || pod.Labels[standInLabel] == "true" {
			t.Errorf("%s: the real pod's labels are %v", c.Name, pod.Labels)
		}
		if !slices.ContainsFunc(pod.Spec.Containers, func(x corev1.Container) bool { return x.Name == c.Name }) {
			t.Errorf("%s: no container of the real pod has its name", c.Name)
		}
		made, err := standInOf(c.Name, pod, podObjects{}, filepath.Join(manifests.CheckpointDir, c.Name))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if diff := cmp.Diff(read(t, first[c.Name]), read(t, made.Manifest)); diff != "" {
			t.Errorf("%s: the first boot's checkpoint (-) is not that of the real pod (+):\n%s", c.Name, diff)
		}
	}
	if len(first) != len(components) {
		t.Errorf("%d checkpoints of the first boot, %d components", len(first), len(components))
	}
}

// read is a manifest as the kubelet reads it, without what does not matter to it.
func read(t *testing.T, data []byte) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(data, pod); err != nil {
		t.Fatal(err)
	}
	pod.Status = corev1.PodStatus{}
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways // the default
	// Controllers add to them, and who places a pod by a file has no use for them.
	pod.Spec.Tolerations = nil
	return pod
}
