package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/golden"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests/inventory"
)

var expire = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)

func image(component string) string { return "example.com/" + component + ":1" }

func makePlan(t *testing.T, masters, workers int) *plan.Plan {
	t.Helper()
	c := cluster.Default("demo")
	c.Masters, c.Workers = masters, workers
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// secrets say what they are; only their form matters here.
func secrets(p *plan.Plan) *pki.Secrets {
	s := &pki.Secrets{
		Authorities: map[string]pki.Pair{}, Pairs: map[string]pki.Pair{}, BootstrapTokens: map[string]string{},
		ServiceAccount: pki.Pair{Cert: []byte("sa public"), Key: []byte("sa key")}, EncryptionKey: "encryption key",
	}
	for _, name := range []string{plan.KubernetesCA, plan.EtcdCA, plan.FrontProxyCA, pki.ExternalEtcd} {
		s.Authorities[name] = pki.Pair{Cert: []byte(name + " certificate"), Key: []byte(name + " key")}
	}
	for _, id := range p.Identities {
		s.Pairs[id.Name] = pki.Pair{Cert: []byte(id.Name + " certificate"), Key: []byte(id.Name + " key")}
	}
	s.Pairs[pki.ExternalEtcd] = pki.Pair{Cert: []byte("external certificate"), Key: []byte("external key")}
	for i, m := range p.Machines {
		s.BootstrapTokens[m.Name] = fmt.Sprintf("token%d.secretsecretsec%d", i, i)
	}
	return s
}

func objects(t *testing.T, p *plan.Plan) []*unstructured.Unstructured {
	t.Helper()
	out, err := Objects(p, secrets(p), image, expire)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// typed are the objects as Kubernetes' own scheme reads them, which refuses an unknown or
// repeated field.
func typed(t *testing.T, list []*unstructured.Unstructured) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var out []runtime.Object
	for _, u := range list {
		data, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		o, _, err := decoder.Decode(data, nil, nil)
		if err != nil {
			t.Fatalf("%s %s: %v", u.GetKind(), u.GetName(), err)
		}
		out = append(out, o)
	}
	return out
}

// TestAccess protects who may do what.
func TestAccess(t *testing.T) {
	var b bytes.Buffer
	for _, o := range objects(t, makePlan(t, 1, 1)) {
		if strings.Contains(o.GetAPIVersion(), rbacv1.GroupName) {
			data, err := yaml.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "---\n%s", data)
		}
	}
	golden.Check(t, "access.yaml", b.Bytes())
}

// TestObjectsStrict protects against fields that Kubernetes does not know and would drop
// or refuse when it is too late, and against owning what is the cluster's.
func TestObjectsStrict(t *testing.T) {
	list := objects(t, makePlan(t, 3, 2))
	if n := len(typed(t, list)); n < 20 {
		t.Errorf("%d objects: some are missing", n)
	}
	seen := map[string]bool{}
	for _, u := range list {
		id := u.GetKind() + " " + u.GetNamespace() + "/" + u.GetName()
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		if u.GetLabels()[PlatformLabel] != "true" {
			t.Errorf("%s is not marked as the platform's", id)
		}
		if _, ok := u.Object["status"]; ok {
			t.Errorf("%s has a status", id)
		}
		if data, _ := u.MarshalJSON(); bytes.Contains(data, []byte("null")) {
			t.Errorf("%s has a null in it: %s", id, data)
		}
	}
}

// TestOrder protects the applying of the objects one after another: a namespace comes
// before what is in it, and the operator's rights before the plan that it waits for.
func TestOrder(t *testing.T) {
	list := objects(t, makePlan(t, 1, 1))
	at := func(kind, name string) int {
		i := slices.IndexFunc(list, func(u *unstructured.Unstructured) bool { return u.GetKind() == kind && u.GetName() == name })
		if i < 0 {
			t.Fatalf("there is no %s %s", kind, name)
		}
		return i
	}
	if at("Namespace", System) != 0 {
		t.Error("the namespace is not the first")
	}
	plan := at("ConfigMap", PlanConfigMap)
	for _, u := range list[plan:] {
		if strings.Contains(u.GetName(), "operator") {
			t.Errorf("%s %s comes after the plan", u.GetKind(), u.GetName())
		}
	}
	if at("RoleBinding", operatorRole) > plan {
		t.Error("the operator's binding comes after the plan")
	}
}

// TestPorts protects that the ports are the contract's and the plan's.
func TestPorts(t *testing.T) {
	p := makePlan(t, 1, 1)
	p.Network.APIPort = 6443
	clause, ok := contract.ByID("master.ingress.vxlan")
	if !ok {
		t.Fatal("no clause")
	}
	data, err := json.Marshal(objects(t, p))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"-port=` + clause.Ports[0].String() + `"`, `{"name":"KUBERNETES_SERVICE_PORT","value":"6443"}`} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("no %s in the objects", want)
		}
	}
	api := pods(t, p, "demo-master-1")["kube-apiserver"].Spec.Containers[0]
	if !slices.Contains(api.Command, "--secure-port=6443") || api.ReadinessProbe.HTTPGet.Port.IntValue() != 6443 {
		t.Error("the API server is not on the plan's port")
	}
}

// TestSecretsStayHome protects against keys and tokens in what anybody may read.
func TestSecretsStayHome(t *testing.T) {
	p := makePlan(t, 1, 1)
	s := secrets(p)
	tokens := 0
	for _, o := range typed(t, objects(t, p)) {
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if secret, ok := o.(*corev1.Secret); ok {
			tokens++
			if got := string(secret.Data["expiration"]); got != "2026-03-01T13:00:00Z" {
				t.Errorf("%s ends %s", secret.Name, got)
			}
			continue
		}
		for machine, token := range s.BootstrapTokens {
			if _, secret, _ := strings.Cut(token, "."); bytes.Contains(data, []byte(secret)) {
				t.Errorf("the token of %s is in %s", machine, data)
			}
		}
		if bytes.Contains(data, []byte(" key")) && bytes.Contains(data, []byte("certificate key")) {
			t.Errorf("a key is in %s", data)
		}
	}
	if tokens != len(p.Machines) {
		t.Errorf("%d token secrets, want one a machine", tokens)
	}
}

// TestOperatorPlan protects what the operator reads: the plan's machines, each with its token's id.
func TestOperatorPlan(t *testing.T) {
	p := makePlan(t, 1, 1)
	for _, u := range objects(t, p) {
		if u.GetKind() != "ConfigMap" || u.GetNamespace() != System {
			continue
		}
		text, _, err := unstructured.NestedString(u.Object, "data", PlanKey)
		if err != nil {
			t.Fatal(err)
		}
		inv, err := inventory.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range p.Machines {
			got := inv.Machine(m.Name)
			if got == nil || got.Address != m.Address || got.TokenID != fmt.Sprintf("token%d", i) || !cmp.Equal(got.Labels, m.Labels) {
				t.Errorf("machine %s: %+v", m.Name, got)
			}
		}
		return
	}
	t.Error("there is no plan among the objects")
}

// TestRefusals protects that what cannot be run is said, by name, and not half rendered.
func TestRefusals(t *testing.T) {
	noEndpoint := external(t)
	noEndpoint.File.ExternalEtcd.Endpoints = nil
	none := func(string) string { return "" }
	for name, test := range map[string]struct {
		p       *plan.Plan
		machine string
		images  Images
		want    string
	}{
		"a worker":    {makePlan(t, 1, 1), "demo-worker-1", image, "no master"},
		"nobody":      {makePlan(t, 1, 1), "x", image, `"x"`},
		"no endpoint": {noEndpoint, "demo-master-1", image, "externalEtcd.endpoints"},
		"no image":    {makePlan(t, 1, 1), "demo-master-1", none, "no image for kube-apiserver"},
	} {
		if _, err := MasterFiles(test.p, test.machine, test.images, Bring{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
	p := makePlan(t, 1, 1)
	s := secrets(p)
	delete(s.BootstrapTokens, "demo-worker-1")
	if _, err := Objects(p, s, image, expire); err == nil || !strings.Contains(err.Error(), "demo-worker-1") {
		t.Errorf("no token: error %v", err)
	}
	if _, err := Objects(p, secrets(p), none, expire); err == nil || !strings.Contains(err.Error(), "no image for") {
		t.Errorf("no image: error %v", err)
	}
}

// TestSame protects idempotence: one plan, one text.
func TestSame(t *testing.T) {
	p := makePlan(t, 3, 2)
	a, err := json.Marshal(objects(t, p))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		b, err := json.Marshal(objects(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Fatal("two renderings of one plan differ")
		}
	}
}
