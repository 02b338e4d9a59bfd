package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// TestNode protects that only a recent word of the kubelet that it is ready counts.
func TestNode(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	node := func(status corev1.ConditionStatus, heard time.Time) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: status, Message: "the disk is away", LastHeartbeatTime: metav1.NewTime(heard)},
		}}}
	}
	for name, c := range map[string]struct {
		node *corev1.Node
		want string
	}{
		"ready":               {node(corev1.ConditionTrue, started.Add(time.Second)), ""},
		"in the same second":  {node(corev1.ConditionTrue, started.Truncate(time.Second)), ""},
		"ready before it was": {node(corev1.ConditionTrue, started.Add(-time.Minute)), "its kubelet has not reported since the machine was started"},
		"not ready":           {node(corev1.ConditionFalse, started.Add(time.Second)), "the disk is away"},
		"unknown":             {node(corev1.ConditionUnknown, started.Add(time.Second)), "the disk is away"},
		"silent":              {&corev1.Node{}, "its kubelet has not reported yet"},
	} {
		if got := Node(c.node, started); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestPods protects that a pod which the API calls ready from before its machine lost power is no
// pod that runs.
func TestPods(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	pod := func(node string, state corev1.ContainerState) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "flannel-x"}, Spec: corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: state}}},
		}
	}
	running := func(since time.Time) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)}}
	}
	before := pod("m1", running(started.Add(-time.Minute)))
	ending := *before.DeepCopy()
	ending.DeletionTimestamp = new(metav1.Now())
	for name, c := range map[string]struct {
		pod  corev1.Pod
		want string
	}{
		"since then":         {pod("m1", running(started.Add(time.Second))), ""},
		"in the same second": {pod("m1", running(started.Truncate(time.Second))), ""},
		"from before":        {before, "its kubelet has not reported on pod flannel-x since the machine was started"},
		"elsewhere":          {pod("m2", running(started.Add(-time.Minute))), ""},
		"told to end":        {ending, ""},
		"ended":              {pod("m1", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}), ""},
	} {
		if got := Pods([]corev1.Pod{c.pod}, "m1", started); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestComponents protects that each program that does not run everywhere it should has its
// sentence, and that a machine which is gone makes none.
func TestComponents(t *testing.T) {
	pod := func(component, node string, ready bool, labels ...string) corev1.Pod {
		p := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: component + "-" + node, Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"},
				Labels: map[string]string{manifests.ComponentLabel: component},
			},
			Spec: corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"}}},
			}},
		}
		if ready {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		for _, l := range labels {
			p.Labels[l] = "true"
		}
		return p
	}
	ours := pod("kube-apiserver", "m1", true)
	ours.Annotations = nil // not static: its DaemonSet counts it
	own := pod("etcd", "m1", true)
	own.Annotations = nil // not static either, but nothing else counts it
	set := func(name string, want, ready int32) appsv1.DaemonSet {
		return appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: appsv1.DaemonSetStatus{
			DesiredNumberScheduled: want, NumberReady: ready, UpdatedNumberScheduled: want,
		}}
	}
	rolling := set("kube-proxy", 3, 3)
	rolling.Status.UpdatedNumberScheduled = 1
	deployment := func(name string, replicas, updated int32) appsv1.Deployment {
		return appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": name}}},
			Status:     appsv1.DeploymentStatus{ReadyReplicas: 1, Replicas: replicas, UpdatedReplicas: updated},
		}
	}
	of := func(deployment, template, node string, ends bool) corev1.Pod {
		p := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": deployment, appsv1.DefaultDeploymentUniqueLabelKey: template}},
			Spec:       corev1.PodSpec{NodeName: node},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		}
		if ends {
			p.DeletionTimestamp = new(metav1.Now())
		}
		return p
	}
	lost := of("lost", "new", "m1", false)
	lost.Status = corev1.PodStatus{}
	o := Objects{
		Pods: []corev1.Pod{
			own, pod("etcd", "m2", false), pod("etcd", "gone", false), ours,
			pod("kube-apiserver", "m1", true, manifests.StandInLabel), pod("lonely", "m2", true, manifests.StandInLabel),
			of("ends", "new", "m1", false), of("ends", "old", "m1", true), of("ends", "old", "gone", true),
			of("moves", "new", "m1", false), of("moves", "new", "m2", true), lost,
		},
		DaemonSets: []appsv1.DaemonSet{set("kube-apiserver", 2, 2), set("flannel", 3, 2), set("nowhere", 0, 0), rolling},
		Deployments: []appsv1.Deployment{
			{ObjectMeta: metav1.ObjectMeta{Name: "coredns", Generation: 2}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))},
				Status: appsv1.DeploymentStatus{ObservedGeneration: 1, ReadyReplicas: 2}},
			deployment("dex", 2, 1), deployment("console", 1, 1), deployment("ends", 1, 1), deployment("moves", 1, 1), deployment("lost", 1, 1),
		},
	}
	want := []Component{
		{"etcd", 2, 1, "pod etcd-m2 is not ready: CrashLoopBackOff back-off"},
		{"kube-apiserver", 2, 2, "a stand-in still runs on m1"},
		{"flannel", 3, 2, "flannel: 2 of 3 pods are ready"},
		{"nowhere", 0, 0, "nowhere: 0 of 0 pods are ready"},
		{"kube-proxy", 3, 3, "kube-proxy: 2 of 3 pods are still those from before"},
		{"coredns", 2, 2, "coredns: 2 of 2 pods are ready"},
		{"dex", 1, 1, "dex: 1 of 2 pods are still those from before"},
		{"console", 1, 1, ""},
		{"ends", 1, 1, "ends: 1 of 2 pods are still those from before"},
		{"moves", 1, 1, ""},
		{"lost", 1, 0, "lost: 0 of 1 pods are ready"}, // whatever its controller still says
		{"lonely", 0, 0, "only stand-ins run, on m2"},
	}
	if diff := cmp.Diff(want, Components(o, map[string]bool{"m1": true, "m2": true})); diff != "" {
		t.Error(diff)
	}
}

// TestEtcd protects the order in which troubles are told: what stops writes comes first.
func TestEtcd(t *testing.T) {
	well := inventory.EtcdMember{Name: "m1", Healthy: true}
	for want, s := range map[string]inventory.EtcdStatus{
		"":                               {Members: []inventory.EtcdMember{well}},
		"member m2 is not healthy: away": {Members: []inventory.EtcdMember{well, {Name: "m2", Problem: "away"}}},
		"member https://m3 still learns what the others know": {Members: []inventory.EtcdMember{{PeerURL: "https://m3", Healthy: true, Learner: true}}},
		"no space":  {Alarms: []string{"no space"}, Refusal: "not now", Members: []inventory.EtcdMember{{Name: "m2"}}},
		"not now":   {Refusal: "not now", Problem: "no answer"},
		"no answer": {Problem: "no answer"},
	} {
		if got := Etcd(&s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
