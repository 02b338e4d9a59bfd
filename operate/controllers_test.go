package operate

import (
	"context"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"craton.dev/craton/render/manifests"
)

func planMap(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	data, err := testInventory().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: planKey.Namespace, Name: planKey.Name},
		Data:       map[string]string{manifests.PlanKey: string(data)},
	}
}

// world is a client on these objects. approvals collects what goes to the approval subresource.
func world(t *testing.T, approvals *[]certificatesv1.CertificateSigningRequestCondition, objects ...client.Object) client.Client {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		SubResourceUpdate: func(_ context.Context, _ client.Client, sub string, o client.Object, _ ...client.SubResourceUpdateOption) error {
			csr, ok := o.(*certificatesv1.CertificateSigningRequest)
			if !ok || sub != "approval" {
				t.Errorf("an update of %T's %s", o, sub)
				return nil
			}
			*approvals = append(*approvals, csr.Status.Conditions...)
			return nil
		},
	}).Build()
}

func run(t *testing.T, r reconcile.Reconciler, name string) error {
	t.Helper()
	_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
	return err
}

// TestApprover protects that a decision reaches the request, with its reason, and that
// without a plan nothing is decided.
func TestApprover(t *testing.T) {
	good := joining().csr(t)
	good.Name = "good"
	bad := joining()
	bad.user = "system:bootstrap:master"
	evil := bad.csr(t)
	evil.Name = "evil"
	for _, test := range []struct {
		name string
		plan bool
		want certificatesv1.RequestConditionType
		fail bool
	}{
		{"good", true, "Approved", false},
		{"evil", true, "Denied", false},
		{"gone", true, "", false},
		{"good", false, "", true},
		{"evil", false, "", true},
	} {
		var got []certificatesv1.CertificateSigningRequestCondition
		objects := []client.Object{good.DeepCopy(), evil.DeepCopy()}
		if test.plan {
			objects = append(objects, planMap(t))
		}
		c := world(t, &got, objects...)
		err := run(t, &approver{client: c, plans: &planSource{reader: c}}, test.name)
		if (err != nil) != test.fail {
			t.Errorf("%s: error %v", test.name, err)
		}
		if test.want == "" {
			if len(got) != 0 {
				t.Errorf("%s, plan %t: decided %v", test.name, test.plan, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Type != test.want || got[0].Message == "" || got[0].Status != corev1.ConditionTrue {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

// TestNodes protects that a Node of the plan is made what the plan says, one that is not
// keeps the taint that keeps pods away, and a new plan is followed at once.
func TestNodes(t *testing.T) {
	fresh := corev1.Taint{Key: uninitialized, Effect: corev1.TaintEffectNoSchedule}
	ours, stranger := node(nil, fresh), node(nil, fresh)
	ours.Name, stranger.Name = "demo-worker-1", "stranger"
	ours.ResourceVersion, stranger.ResourceVersion = "", ""
	held := planMap(t)
	c := world(t, nil, ours, stranger, held)
	n := &nodes{client: c, plans: &planSource{reader: c}}
	for _, name := range []string{"demo-worker-1", "stranger", "gone"} {
		if err := run(t, n, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	get := func(name string) *corev1.Node {
		out := &corev1.Node{}
		if err := c.Get(t.Context(), types.NamespacedName{Name: name}, out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := get("demo-worker-1"); got.Labels["node-role.kubernetes.io/node"] != "true" || len(got.Spec.Taints) != 0 {
		t.Errorf("labels %v, taints %v", got.Labels, got.Spec.Taints)
	}
	if got := get("stranger"); len(got.Labels) != 0 || len(got.Spec.Taints) != 1 {
		t.Errorf("a stranger: labels %v, taints %v", got.Labels, got.Spec.Taints)
	}

	inv := testInventory()
	inv.Machines[1].Labels = map[string]string{"node-role.kubernetes.io/infra": ""}
	data, err := inv.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), planKey, held); err != nil {
		t.Fatal(err)
	}
	held.Data[manifests.PlanKey] = string(data)
	if err := c.Update(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	if err := run(t, n, "demo-worker-1"); err != nil {
		t.Fatal(err)
	}
	if got := get("demo-worker-1").Labels; len(got) != 1 || got["node-role.kubernetes.io/infra"] != "" {
		t.Errorf("labels %v after a new plan", got)
	}
}

// TestBadPlan protects that a plan that cannot be read decides nothing.
func TestBadPlan(t *testing.T) {
	held := planMap(t)
	held.Data[manifests.PlanKey] = "{"
	good := joining().csr(t)
	good.Name = "good"
	var got []certificatesv1.CertificateSigningRequestCondition
	c := world(t, &got, good, held)
	if err := run(t, &approver{client: c, plans: &planSource{reader: c}}, "good"); err == nil || len(got) != 0 {
		t.Errorf("error %v, decided %v", err, got)
	}
}

// TestLightNode protects the cache's size without losing what nodePatch compares.
func TestLightNode(t *testing.T) {
	full := node(map[string]string{"a": "b"}, corev1.Taint{Key: "k", Effect: "NoSchedule"})
	full.Annotations = map[string]string{"big": "x"}
	full.Status.Images = []corev1.ContainerImage{{Names: []string{"x"}}}
	out, err := lightNode(full)
	if err != nil {
		t.Fatal(err)
	}
	light := out.(*corev1.Node)
	if light.Annotations != nil || light.Status.Images != nil {
		t.Errorf("%+v keeps what nobody reads", light)
	}
	if light.ResourceVersion != "7" || light.Labels["a"] != "b" || len(light.Spec.Taints) != 1 {
		t.Errorf("%+v lacks what nodePatch reads", light)
	}
}
