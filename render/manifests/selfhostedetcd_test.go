package manifests

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests/inventory"
	"craton.dev/craton/render/part"
)

// selfHostedEtcd is a plan, of a cluster that begins or of one that is settled.
func selfHostedEtcd(t *testing.T, masters int, settled bool) *plan.Plan {
	t.Helper()
	c := cluster.Default("demo")
	c.Masters, c.Etcd = masters, etcdSelfHosted
	made := plan.Make
	if settled {
		made = plan.Settled
	}
	p, err := made(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func flagOf(t *testing.T, pod *corev1.Pod, flag string) string {
	t.Helper()
	if pod == nil {
		t.Fatalf("no pod to look for %s in", flag)
	}
	for _, arg := range pod.Spec.Containers[0].Command {
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return value
		}
	}
	return ""
}

// TestSeed protects the beginning of a self-hosted etcd: exactly one machine begins it, on the
// seed's ports; there the temporary API server uses it, which nobody else does; and all members
// ask it to be let in.
func TestSeed(t *testing.T) {
	p := selfHostedEtcd(t, 3, false)
	const seed = "https://10.32.0.10:12379"
	founding := pods(t, p, "demo-master-1")
	s := founding[SeedName]
	for flag, want := range map[string]string{
		"--name": "demo-master-1-seed", "--first": "true", "--client-url": seed, "--peer-url": "https://10.32.0.10:12380",
		"--others":   "https://10.32.0.10:2379,https://10.32.0.11:2379,https://10.32.0.12:2379",
		"--data-dir": "/var/lib/etcd/seed", "--manifest": firstboot.ManifestDir + "/etcd-seed.yaml",
	} {
		if got := flagOf(t, s, flag); got != want {
			t.Errorf("the seed's %s is %q, want %q", flag, got, want)
		}
	}
	if got := flagOf(t, founding["kube-apiserver"], "--etcd-servers"); got != seed {
		t.Errorf("the temporary API server uses %q", got)
	}
	if founding[etcdName] != nil {
		t.Error("a member runs as a static pod")
	}
	kept := podsIn(t, p, "demo-master-1", CheckpointDir, true)
	if got := flagOf(t, kept["kube-apiserver"], "--etcd-servers"); got != seed {
		t.Errorf("the temporary API server's checkpoint uses %q", got)
	}
	if got := flagOf(t, kept[etcdName], "--others"); got != "https://10.32.0.11:2379,https://10.32.0.12:2379,"+seed {
		t.Errorf("a member asks %q", got)
	}
	if got := flagOf(t, kept[etcdName], "--first"); got != "" {
		t.Errorf("a member may begin the cluster: %q", got)
	}

	if s := podsIn(t, p, "demo-master-2", firstboot.ManifestDir, false)[etcdName]; s == nil || s.Labels[StandInLabel] != "true" {
		t.Error("the stand-in of another master's member, on which its API server depends, does not run from the first boot on")
	}
	for name, pods := range map[string]map[string]*corev1.Pod{
		"another master": podsIn(t, p, "demo-master-2", firstboot.ManifestDir, false),
		"made later":     podsIn(t, p, "demo-master-1", firstboot.ManifestDir, false),
		"settled":        podsIn(t, selfHostedEtcd(t, 3, true), "demo-master-1", firstboot.ManifestDir, false),
	} {
		if pods[SeedName] != nil || flagOf(t, pods["kube-apiserver"], "--etcd-servers") != "https://$(HOST_IP):2379" {
			t.Errorf("%s: a seed: %t, and the API server uses %s", name, pods[SeedName] != nil, flagOf(t, pods["kube-apiserver"], "--etcd-servers"))
		}
	}
}

// TestEtcdCluster protects what the operator makes members from: the custom resource, which is
// there before the plan for which it waits, and is put back with its definition.
func TestEtcdCluster(t *testing.T) {
	for _, settled := range []bool{false, true} {
		list := objects(t, selfHostedEtcd(t, 3, settled))
		at := func(kind, name string) int {
			return slices.IndexFunc(list, func(u *unstructured.Unstructured) bool { return u.GetKind() == kind && u.GetName() == name })
		}
		custom, definition, role := at("EtcdCluster", "etcd"), at("CustomResourceDefinition", "etcdclusters.craton.dev"), at("RoleBinding", operatorEtcdRole)
		if custom < 0 || definition < 0 || definition > custom || custom > at("ConfigMap", PlanConfigMap) || role < 0 || role > at("ConfigMap", PlanConfigMap) {
			t.Fatalf("the definition is at %d, the object at %d, the rights at %d, the plan at %d", definition, custom, role, at("ConfigMap", PlanConfigMap))
		}
		spec, err := inventory.ParseEtcdSpec(list[custom])
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "https://10.32.0.10:12379", true: ""}[settled]
		if spec.Size != 3 || spec.Version != "1" || spec.Seed != want || spec.Template.Spec.Containers[0].Image != "example.com/etcd" {
			t.Errorf("settled: %t: %+v", settled, spec)
		}
		pod := &corev1.Pod{Spec: spec.Template.Spec}
		for flag, want := range map[string]string{"--name": "$(NODE_NAME)", "--client-url": "https://$(HOST_IP):2379", "--peer-url": "https://$(HOST_IP):2380", "--first": ""} {
			if got := flagOf(t, pod, flag); got != want {
				t.Errorf("%s is %q, want %q", flag, got, want)
			}
		}
		if spec.Template.Labels[ComponentLabel] != etcdName || spec.Template.Labels[StandInLabel] != "false" {
			t.Errorf("labels %v", spec.Template.Labels)
		}
		kept, _, _ := unstructured.NestedString(list[at("ConfigMap", ObjectsConfigMap)].Object, "data", ObjectsKey)
		for _, kind := range []string{`"kind":"EtcdCluster"`, `"kind":"CustomResourceDefinition"`} {
			if !strings.Contains(kept, kind) {
				t.Errorf("the operator does not put %s back", kind)
			}
		}
	}
	for _, u := range objects(t, makePlan(t, 3, 1)) {
		if u.GetKind() == "EtcdCluster" || strings.Contains(u.GetName(), operatorEtcdRole) || u.GetKind() == "CustomResourceDefinition" {
			t.Errorf("an etcd of static pods comes with %s %s", u.GetKind(), u.GetName())
		}
	}
}

// TestEtcdRights protects from an operator that may do more: it makes and ends pods, and writes the one
// custom resource.
func TestEtcdRights(t *testing.T) {
	objects, err := etcdObjects(selfHostedEtcd(t, 1, true), image)
	if err != nil {
		t.Fatal(err)
	}
	var got []rbacv1.PolicyRule
	for _, o := range objects {
		switch o := o.(type) {
		case *rbacv1.Role:
			got = append(got, o.Rules...)
			if o.Namespace != part.Namespace {
				t.Errorf("%s is in %q", o.Name, o.Namespace)
			}
		case *rbacv1.ClusterRole:
			got = append(got, o.Rules...)
		}
	}
	want := []rbacv1.PolicyRule{
		part.Rule("apiextensions.k8s.io", []string{"customresourcedefinitions"}, "create"),
		part.Named(part.Rule("apiextensions.k8s.io", []string{"customresourcedefinitions"}, "get", "patch"), "etcdclusters.craton.dev"),
		part.Rule("", []string{"pods"}, "get", "list", "watch", "create", "delete"),
		part.Rule("craton.dev", []string{"etcdclusters"}, "get", "create", "patch"),
		part.Rule("craton.dev", []string{"etcdclusters/status"}, "patch"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWithOthers protects that a pod which does not join is not made.
func TestWithOthers(t *testing.T) {
	if err := WithOthers(&corev1.PodSpec{Containers: []corev1.Container{{Command: []string{"etcd"}}}}, nil); err == nil {
		t.Error("no error")
	}
}
