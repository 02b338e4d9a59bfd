package manifests

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests/inventory"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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

// pods are a founding master's static pods, by component, read as strictly as can be.
func pods(t *testing.T, p *plan.Plan, machine string) map[string]*corev1.Pod {
	t.Helper()
	return podsIn(t, p, machine, firstboot.ManifestDir, true)
}

func podsIn(t *testing.T, p *plan.Plan, machine, dir string, founding bool) map[string]*corev1.Pod {
	t.Helper()
	files, err := MasterFiles(p, machine, image, Bring{Founding: founding})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*corev1.Pod{}
	for _, f := range files {
		if !strings.HasPrefix(f.Path, dir) {
			continue
		}
		if f.Mode != 0o600 {
			t.Errorf("%s: mode %o", f.Path, f.Mode)
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(f.Contents, pod); err != nil {
			t.Fatalf("%s: %v", f.Path, err)
		}
		name := pod.Spec.Containers[0].Name
		if want := dir + "/" + name + ".yaml"; f.Path != want {
			t.Errorf("pod %s is in %s, want %s", pod.Name, f.Path, want)
		}
		out[name] = pod
	}
	return out
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

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: write it with go test ./render/manifests -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestCommands protects each program's flags: they are most of what the control plane is.
func TestCommands(t *testing.T) {
	var b bytes.Buffer
	all := pods(t, makePlan(t, 3, 1), "demo-master-2")
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "craton-operator", "craton-checkpointer"} {
		pod := all[name]
		if pod == nil {
			t.Fatalf("there is no static pod %s", name)
		}
		fmt.Fprintln(&b, strings.Join(pod.Spec.Containers[0].Command, "\n  "))
		for _, e := range pod.Spec.Containers[0].Env {
			if e.ValueFrom != nil {
				fmt.Fprintf(&b, "  env %s=<%s>\n", e.Name, e.ValueFrom.FieldRef.FieldPath)
				continue
			}
			fmt.Fprintf(&b, "  env %s=%s\n", e.Name, e.Value)
		}
	}
	if len(all) != 6 {
		t.Errorf("%d static pods, want 6", len(all))
	}
	golden(t, "commands.txt", b.Bytes())
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
	golden(t, "access.yaml", b.Bytes())
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

// TestMounts protects that a static pod sees the files that it names and no others, and that
// each is on the machine: with a plan of etcd inside and one of etcd outside.
func TestMounts(t *testing.T) {
	inside := makePlan(t, 3, 1)
	outside := external(t)
	for name, p := range map[string]*plan.Plan{"internal": inside, "external": outside, "self-hosted": selfHostedEtcd(t, 3, false)} {
		t.Run(name, func(t *testing.T) {
			files, err := MasterFiles(p, "demo-master-1", image, Bring{})
			if err != nil {
				t.Fatal(err)
			}
			config, err := firstboot.For(p, "demo-master-1", secrets(p), firstboot.Options{Manifests: files, PauseImage: "p"})
			if err != nil {
				t.Fatal(err)
			}
			there := map[string]bool{}
			for _, f := range config.Files {
				there[f.Path] = true
			}
			for _, pod := range pods(t, p, "demo-master-1") {
				mounted := map[string]bool{}
				for _, v := range pod.Spec.Volumes {
					if v.Image != nil {
						continue
					}
					mounted[v.HostPath.Path] = true
					if *v.HostPath.Type == corev1.HostPathFile && !there[v.HostPath.Path] {
						t.Errorf("%s: nobody puts %s on the machine", pod.Name, v.HostPath.Path)
					}
				}
				named := map[string]bool{}
				args := pod.Spec.Containers[0].Command[1:]
				for _, arg := range args {
					if flag, value, _ := strings.Cut(arg, "="); strings.HasPrefix(flag, "--") && strings.HasPrefix(value, "/") {
						named[value] = true
						if !mounted[value] && !slices.ContainsFunc(slices.Collect(maps.Keys(mounted)), func(dir string) bool { return strings.HasPrefix(value, dir+"/") }) {
							t.Errorf("%s: %s is not mounted", pod.Name, arg)
						}
					}
				}
				for path := range mounted {
					used := false
					for value := range named {
						used = used || value == path || strings.HasPrefix(value, path+"/")
					}
					if !used {
						t.Errorf("%s: it sees %s and does not use it", pod.Name, path)
					}
				}
			}
		})
	}
}

func external(t *testing.T) *plan.Plan {
	t.Helper()
	c := cluster.Default("demo")
	c.Etcd = "external"
	c.ExternalEtcd = &cluster.ExternalEtcd{Endpoints: []string{"https://10.9.0.1:2379", "https://10.9.0.2:2379"}}
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestExternalEtcd protects that there is no second etcd beside the user's.
func TestExternalEtcd(t *testing.T) {
	all := pods(t, external(t), "demo-master-1")
	if all["etcd"] != nil {
		t.Error("there is an etcd pod")
	}
	if c := all["kube-apiserver"].Spec.Containers[0].Command; !slices.Contains(c, "--etcd-servers=https://10.9.0.1:2379,https://10.9.0.2:2379") {
		t.Errorf("the API server's etcd is not the user's: %v", c)
	}
}

// TestPods protects every pod's confinement: no capability but those named here, no way to
// more, a read-only root, and no port on an address that the plan's rules are not about.
func TestPods(t *testing.T) {
	keeps := map[string][]corev1.Capability{
		"kube-apiserver": {"NET_BIND_SERVICE"}, "coredns": {"NET_BIND_SERVICE"},
		"kube-proxy": {"NET_ADMIN"}, "flannel": {"NET_ADMIN"},
	}
	p := makePlan(t, 1, 1)
	specs := map[string]corev1.PodSpec{}
	for name, pod := range pods(t, p, "demo-master-1") {
		specs["static "+name] = pod.Spec
	}
	for _, u := range objects(t, p) {
		if u.GetKind() != "DaemonSet" && u.GetKind() != "Deployment" {
			continue
		}
		raw, _, err := unstructured.NestedMap(u.Object, "spec", "template", "spec")
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		var spec corev1.PodSpec
		if err := json.Unmarshal(data, &spec); err != nil {
			t.Fatal(err)
		}
		specs[u.GetName()] = spec
	}
	if len(specs) != 6+6 {
		t.Fatalf("%d pods, want 6 static ones and 6 of DaemonSets and Deployments", len(specs))
	}
	for key, spec := range specs {
		name := strings.TrimPrefix(key, "static ")
		c := spec.Containers[0]
		s := c.SecurityContext
		if s == nil || s.Privileged != nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem ||
			!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || !slices.Equal(s.Capabilities.Add, keeps[name]) {
			t.Errorf("%s: security context %+v", name, s)
		}
		if spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: no seccomp profile", name)
		}
		if !strings.HasSuffix(spec.PriorityClassName, "-critical") {
			t.Errorf("%s: priority class %q", name, spec.PriorityClassName)
		}
		for _, arg := range c.Command {
			if strings.Contains(arg, "0.0.0.0") || strings.Contains(arg, "[::]") {
				t.Errorf("%s: %s listens everywhere", name, arg)
			}
		}
		from := name
		if name == checkpointerName {
			from = operatorName // they are in one image
		}
		if c.Image != image(from) {
			t.Errorf("%s: image %q", name, c.Image)
		}
	}
	// Machines wait for these, so no taint may keep them away.
	for _, name := range []string{"kube-proxy", "flannel"} {
		if want := []corev1.Toleration{{Operator: corev1.TolerationOpExists}}; !slices.Equal(specs[name].Tolerations, want) {
			t.Errorf("%s: tolerations %v", name, specs[name].Tolerations)
		}
	}
}

// TestSelfHosted protects that a stand-in is the same program as the real pod, that each
// can run while the other does, and that no DaemonSet or Deployment takes a stand-in for
// a pod of its own.
func TestSelfHosted(t *testing.T) {
	p := makePlan(t, 3, 1)
	standIns := podsIn(t, p, "demo-master-2", CheckpointDir, false)
	active := podsIn(t, p, "demo-master-2", firstboot.ManifestDir, false)
	if active["kube-apiserver"] == nil || active["kube-scheduler"] != nil || active["kube-controller-manager"] != nil {
		t.Error("of a machine that joins, the API server's stand-in runs from the start, and no other")
	}
	found := 0
	for _, o := range typed(t, objects(t, p)) {
		var template corev1.PodTemplateSpec
		var selector *metav1.LabelSelector
		switch o := o.(type) {
		case *appsv1.DaemonSet:
			template, selector = o.Spec.Template, o.Spec.Selector
		case *appsv1.Deployment:
			template, selector = o.Spec.Template, o.Spec.Selector
			if standIns[o.Name] != nil && *o.Spec.Replicas != 3 {
				t.Errorf("%s: %d pods, want one a master", o.Name, *o.Spec.Replicas)
			}
		default:
			continue
		}
		standIn := standIns[template.Labels[ComponentLabel]]
		if standIn == nil {
			continue
		}
		found++
		apart(t, standIn, &template.Spec)
		if diff := cmp.Diff(standIn.Spec.Containers, template.Spec.Containers); diff != "" {
			t.Errorf("%s: (-stand-in +pod)\n%s", standIn.Name, diff)
		}
		if !slices.Contains(template.Spec.Containers[0].Command, "--permit-port-sharing=true") {
			t.Errorf("%s: it cannot run beside its stand-in", standIn.Name)
		}
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		if s.Matches(labels.Set(standIn.Labels)) || !s.Matches(labels.Set(template.Labels)) {
			t.Errorf("%s: the selector %s", standIn.Name, s)
		}
		for _, taint := range p.Machines[0].Taints {
			key, effect, _ := strings.Cut(taint, ":")
			key, _, _ = strings.Cut(key, "=")
			if !slices.ContainsFunc(template.Spec.Tolerations, func(t corev1.Toleration) bool {
				return t.ToleratesTaint(logr.Discard(), &corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)}, false)
			}) {
				t.Errorf("%s: it does not tolerate the taint %s of masters", standIn.Name, taint)
			}
		}
		if len(template.Spec.NodeSelector) != 1 || !labels.SelectorFromSet(template.Spec.NodeSelector).Matches(labels.Set(p.Machines[0].Labels)) {
			t.Errorf("%s: node selector %v, but masters have %v", standIn.Name, template.Spec.NodeSelector, p.Machines[0].Labels)
		}
	}
	if found != 3 || len(standIns) != 3 {
		t.Errorf("%d self-hosted components with %d stand-ins, want 3", found, len(standIns))
	}
}

// apart checks that a real pod and its stand-in listen, and are asked by the kubelet, each
// at an address where the other is not heard; then it makes these addresses the same. One
// that hangs would otherwise be called alive by the other's answers.
func apart(t *testing.T, standIn *corev1.Pod, pod *corev1.PodSpec) {
	t.Helper()
	// By address at which one listens: at which of them a kubelet's probe hears it alone,
	// whatever the other does. "" is the pod's, which is the machine's.
	heard := map[string]string{"0.0.0.0": "127.0.0.1", "$(HOST_IP)": "", "127.0.0.1": "127.0.0.1", "127.0.0.2": "127.0.0.2"}
	seen := map[string]bool{}
	for _, spec := range []*corev1.PodSpec{pod, &standIn.Spec} {
		c := &spec.Containers[0]
		if !slices.Contains(c.Command, "--bind-address=$(ADDRESS)") {
			t.Errorf("%s: it does not listen at its address", c.Name)
		}
		i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == AddressEnv })
		if i < 0 {
			t.Fatalf("%s has no %s", c.Name, AddressEnv)
		}
		address := c.Env[i].Value
		want, known := heard[address]
		if !known || seen[address] {
			t.Errorf("%s: it listens at %q", c.Name, address)
		}
		seen[address], c.Env[i].Value = true, ""
		for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if p == nil {
				continue
			}
			if p.HTTPGet.Host != want {
				t.Errorf("%s listens at %q, but is asked at %q, where another may answer", c.Name, address, p.HTTPGet.Host)
			}
			p.HTTPGet.Host = ""
		}
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
