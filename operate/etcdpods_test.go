package operate

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/operate/etcd"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

func etcdSpec(size int64, version string) *inventory.EtcdSpec {
	return &inventory.EtcdSpec{Size: size, Version: version, Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{manifests.ComponentLabel: "etcd", manifests.StandInLabel: "false"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "etcd", Image: "registry:5000/etcd", Command: []string{"/tools/craton-operator", "join-etcd", "--", "/etcd"},
		}}},
	}}
}

// settled is a view of a cluster that is as it should be.
func settledEtcd(masters ...string) etcdView {
	v := etcdView{spec: etcdSpec(int64(len(masters)), "v3.7.3"), masters: masters, joined: map[string]bool{}}
	v.status.Leader = masters[0]
	for _, m := range masters {
		v.joined[m] = true
		pod, err := etcdPod(v.spec, "v3.7.3", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m, UID: "u"}}, nil)
		if err != nil {
			panic(err)
		}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		v.pods = append(v.pods, *pod)
		v.status.Members = append(v.status.Members, etcd.MemberStatus{Name: m, Healthy: true})
	}
	return v
}

// TestDecideEtcdPods protects the members' pods: none is missing for longer than it takes to see
// it, and none that works is ended but to be made anew, one at a time.
func TestDecideEtcdPods(t *testing.T) {
	newer := func(v *etcdView) { v.spec.Version = "v3.7.4" }
	for name, test := range map[string]struct {
		change  func(v *etcdView)
		want    []string
		refusal string
	}{
		"all is well":      {},
		"a pod is missing": {change: func(v *etcdView) { v.pods = v.pods[1:] }, want: []string{"make a v3.7.3"}},
		"all are missing, and etcd does not answer": {change: func(v *etcdView) {
			v.pods, v.status = nil, etcd.Status{Problem: "no answer"}
		}, want: []string{"make a v3.7.3", "make b v3.7.3", "make c v3.7.3"}},
		"its machine has not joined": {change: func(v *etcdView) { v.pods, v.joined["a"] = v.pods[1:], false }},
		"one is being deleted":       {change: func(v *etcdView) { v.pods[0].DeletionTimestamp = &metav1.Time{} }},
		"one was evicted": {change: func(v *etcdView) {
			v.pods[1].Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}
		}, want: []string{"end etcd-b"}},
		"a stand-in is no pod":          {change: func(v *etcdView) { v.pods[1].Labels[manifests.StandInLabel] = "true" }, want: []string{"make b v3.7.3"}},
		"masters that are to go":        {change: func(v *etcdView) { v.masters, v.spec.Size = v.masters[:1], 1 }},
		"a size that is not the plan's": {change: func(v *etcdView) { v.spec.Size = 5 }, refusal: "spec.size is 5, but the plan has 3 masters"},

		"a new version: the leader last":       {change: newer, want: []string{"end etcd-b"}},
		"a new version, and one does not work": {change: func(v *etcdView) { newer(v); v.status.Members[2].Healthy = false }},
		"a new version, and one complains":     {change: func(v *etcdView) { newer(v); v.status.Members[2].Problem = "NOSPACE" }},
		"a new version, and one learns":        {change: func(v *etcdView) { newer(v); v.status.Members[2].Learner = true }},
		"a new version, and one is not ready":  {change: func(v *etcdView) { newer(v); v.pods[2].Status.Conditions = nil }},
		"a new version, and a member too many": {change: func(v *etcdView) {
			newer(v)
			v.status.Members = append(v.status.Members, etcd.MemberStatus{Name: "a-seed", Healthy: true})
		}},
		"a new version, and a stand-in runs": {change: func(v *etcdView) {
			newer(v)
			standIn := v.pods[0].DeepCopy()
			standIn.Labels[manifests.StandInLabel] = "true"
			v.pods = append(v.pods, *standIn)
		}},
		"a new version, and nobody knows":   {change: func(v *etcdView) { newer(v); v.status.Problem = "no answer" }},
		"a new version, and one is missing": {change: func(v *etcdView) { newer(v); v.pods = v.pods[1:] }, want: []string{"make a v3.7.4"}},
		"only the leader is left to renew": {change: func(v *etcdView) {
			newer(v)
			for i := range v.pods[1:] {
				v.pods[i+1].Annotations = map[string]string{manifests.EtcdTemplateAnnotation: templateHash(v.spec, "v3.7.4")}
			}
		}, want: []string{"end etcd-a"}},
		"another template": {change: func(v *etcdView) { v.spec.Template.Spec.PriorityClassName = "x" }, want: []string{"end etcd-b"}},
		"an older version": {change: func(v *etcdView) { v.spec.Version, v.pods = "v3.6.9", v.pods[1:] }, want: []string{"make a v3.7.3"},
			refusal: "do not go back"},
		"no version":                       {change: func(v *etcdView) { v.spec.Version = "latest" }, refusal: `"latest" is no version`},
		"no version, and nothing to go by": {change: func(v *etcdView) { v.spec.Version, v.pods = "latest", nil }, refusal: `"latest" is no version`},
	} {
		v := settledEtcd("a", "b", "c")
		if test.change != nil {
			test.change(&v)
		}
		changes, refusal := decideEtcdPods(v)
		var got []string
		for _, c := range changes {
			if c.end != "" {
				got = append(got, "end "+c.end)
			} else {
				got = append(got, "make "+c.make+" "+c.version)
			}
			if c.why == "" {
				t.Errorf("%s: no reason for %v", name, c)
			}
		}
		if !slices.Equal(got, test.want) || test.refusal == "" != (refusal == "") || !strings.Contains(refusal, test.refusal) {
			t.Errorf("%s: %v, %q, want %v, %q", name, got, refusal, test.want, test.refusal)
		}
	}
}

// TestMayBecome protects etcd's data from a version that cannot read them.
func TestMayBecome(t *testing.T) {
	for step, allowed := range map[string]bool{
		"v3.7.3 v3.7.3": true, "v3.7.3 v3.7.4": true, "v3.7.3 v3.8.0": true, "v3.7.10 v3.8.0": true, "v3.9.1 v3.10.0": true,
		"v3.7.3 v3.7.2": false, "v3.7.3 v3.6.9": false, "v3.7.3 v3.9.0": false, "v3.7.3 v4.0.0": false, "v3.7.3 latest": false, "v3.7.3 ": false,
	} {
		from, to, _ := strings.Cut(step, " ")
		if why := mayBecome(from, to); (why == "") != allowed {
			t.Errorf("%s: %q", step, why)
		}
	}
}

// TestEtcdPod protects what is added to the template: the machine, the version, the others, and an owner
// with which it goes, so that neither a scheduler nor a garbage collector has a say.
func TestEtcdPod(t *testing.T) {
	spec := etcdSpec(1, "v3.7.3")
	before := spec.Template.DeepCopy()
	pod, err := etcdPod(spec, "v3.7.3", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "m", UID: "u"}}, []string{"https://a:1", "https://b:2"})
	if err != nil {
		t.Fatal(err)
	}
	c := pod.Spec.Containers[0]
	if pod.Name != "etcd-m" || pod.Namespace != "kube-system" || pod.Spec.NodeName != "m" || c.Image != "registry:5000/etcd:v3.7.3" ||
		!slices.Equal(c.Command, []string{"/tools/craton-operator", "join-etcd", "--others=https://a:1,https://b:2", "--", "/etcd"}) ||
		len(pod.OwnerReferences) != 1 || pod.OwnerReferences[0].Kind != "Node" || pod.OwnerReferences[0].UID != "u" {
		t.Errorf("%+v", pod)
	}
	if diff := cmp.Diff(*before, spec.Template); diff != "" {
		t.Errorf("the template has changed:\n%s", diff)
	}
}

// TestUsesSeed protects from removing the temporary member under an API server that has no other
// etcd: the proof is a real one on its machine that is ready, and none that names the member.
func TestUsesSeed(t *testing.T) {
	server := func(name, servers string, standIn, ready bool) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{manifests.StandInLabel: fmt.Sprint(standIn)}}}
		p.Spec.Containers = []corev1.Container{{Command: []string{"kube-apiserver", "--etcd-servers=" + servers}}}
		p.Status.HostIP = "10.0.0.1"
		if ready {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		return p
	}
	const seed, own = "https://10.0.0.1:12379", "https://$(HOST_IP):2379"
	elsewhere := server("c", own, false, true)
	elsewhere.Status.HostIP = "10.0.0.2"
	at, err := url.Parse(seed)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"nothing is known":              {nil, "not ready yet"},
		"the stand-in still runs":       {[]corev1.Pod{server("a", seed, true, true), server("b", own, false, true)}, "API server a uses it"},
		"the real one is not ready":     {[]corev1.Pod{server("b", own, false, false)}, "not ready yet"},
		"a stand-in is no real one":     {[]corev1.Pod{server("b", own, true, true)}, "not ready yet"},
		"another machine's says little": {[]corev1.Pod{elsewhere}, "not ready yet"},
		"the real one is ready":         {[]corev1.Pod{server("b", own, false, true), elsewhere}, ""},
	} {
		if got := usesSeed(test.pods, at); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
