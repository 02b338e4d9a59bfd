package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/cluster"
	"craton.dev/craton/golden"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

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
	golden.Check(t, "commands.txt", b.Bytes())
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
		t.Error("of a machine that may be alone, the API server's stand-in runs from the start, and no other")
	}
	joins, err := MasterFiles(p, "demo-master-2", image, Bring{Joining: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range joins {
		if f.Path == path.Join(firstboot.ManifestDir, "kube-apiserver.yaml") {
			t.Error("of a machine that joins, no stand-in runs from the start: those that are there give it its API server")
		}
	}
	if !slices.ContainsFunc(joins, func(f firstboot.File) bool { return f.Path == path.Join(CheckpointDir, "kube-apiserver.yaml") }) {
		t.Error("a machine that joins keeps no checkpoint of its API server: it could not come back")
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
