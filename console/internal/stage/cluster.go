package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// Name is the cluster's.
const Name = "demo"

// Cluster is a cluster of three masters and two workers as the API would show it some time
// after `craton up`: all is well but one pod. It returns the plan.
func (s *Stage) Cluster(t testing.TB) *plan.Plan {
	t.Helper()
	file, err := cluster.Parse("cluster.yaml", []byte("name: "+Name+"\nmasters: 3\nworkers: 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	s.Namespace(t, manifests.System)
	for _, m := range p.Machines {
		s.Node(t, m, "")
	}
	tokens := map[string]string{}
	for i, m := range p.Machines {
		tokens[m.Name] = fmt.Sprintf("token%d", i)
	}
	text, err := inventory.From(p, tokens).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, manifests.PlanConfigMap, manifests.PlanKey, text)
	held, err := inventory.ContractOf(p)
	if err != nil {
		t.Fatal(err)
	}
	s.Publish(t, manifests.ContractConfigMap, manifests.ContractKey, held)
	s.publishStatus(t, p)
	s.platform(t, p)
	s.users(t)
	return p
}

// publishStatus is what the operator and `up` write while a cluster runs.
func (s *Stage) publishStatus(t testing.TB, p *plan.Plan) {
	now := time.Now().UTC().Truncate(time.Second)
	etcd := inventory.EtcdStatus{Time: now, Leader: "demo-master-1"}
	certificates := inventory.Certificates{Certificates: []inventory.Certificate{
		{Name: "kubernetes-ca", Authority: "kubernetes", Begins: now, Ends: now.AddDate(10, 0, 0)},
		{Name: "etcd-ca", Authority: "etcd", Begins: now, Ends: now.AddDate(10, 0, 0)},
	}}
	for _, i := range p.Identities {
		certificates.Certificates = append(certificates.Certificates, inventory.Certificate{
			Name: i.Name, Machine: i.Machine, Authority: i.CA, Usages: i.Usages, Begins: now, Ends: now.AddDate(1, 0, 0),
		})
	}
	for _, m := range p.Machines {
		if m.Role == contract.Master {
			etcd.Members = append(etcd.Members, inventory.EtcdMember{ID: "8e9e05c52164694d", Name: m.Name, Healthy: true, Bytes: 24 << 20})
		}
	}
	s.Publish(t, manifests.EtcdConfigMap, manifests.EtcdStatusKey, etcd)
	s.Publish(t, manifests.CertificatesConfigMap, manifests.CertificatesKey, certificates)
	steps := []string{"payload", "secrets", "record", "plan", "surroundings", "machines", "api", "objects", "ready"}
	s.Publish(t, manifests.OperationsConfigMap, manifests.OperationsKey, inventory.Operations{Operations: []inventory.Operation{
		{ID: "2", What: "replace demo-worker-2", Began: now.Add(-2 * time.Hour), Ended: now.Add(-2*time.Hour + 95*time.Second), Steps: []string{"drain", "remove", "machines", "ready"}, Step: 4},
		{ID: "1", What: "up", Began: now.Add(-50 * time.Hour), Ended: now.Add(-50*time.Hour + 84*time.Second), Steps: steps, Step: len(steps)},
	}})
	s.Publish(t, manifests.CountersConfigMap, manifests.CountersKey, Counted(p, now, 0))
}

// Counted are counters as a fabric has them after some time.
func Counted(p *plan.Plan, now time.Time, more uint64) *inventory.Counters {
	clauses := map[string]inventory.Count{}
	for i, r := range p.Rules {
		for _, id := range r.Clauses {
			if i%5 == 3 {
				clauses[id] = inventory.Count{}
				continue
			}
			n := uint64(i*i*7919+137) + more
			clauses[id] = inventory.Count{Packets: n, Bytes: n * 812, Used: now.Add(-time.Duration(i) * 17 * time.Second)}
		}
	}
	return &inventory.Counters{Time: now, Clauses: clauses, Drops: map[string]inventory.Count{
		"master.ingress": {Packets: 214, Bytes: 12840}, "worker.ingress": {Packets: 96, Bytes: 5760}, "worker.egress": {Packets: 7, Bytes: 420},
	}}
}

// Publish writes one of the things that people look at.
func (s *Stage) Publish(t testing.TB, name, key string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, name, key, text)
}

func (s *Stage) publish(t testing.TB, name, key string, text []byte) {
	t.Helper()
	maps := s.Admin.CoreV1().ConfigMaps(manifests.System)
	held := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{manifests.PlatformLabel: "true"}},
		Data:       map[string]string{key: string(text)},
	}
	if _, err := maps.Update(t.Context(), held, metav1.UpdateOptions{}); err == nil {
		return
	}
	must[*corev1.ConfigMap](t)(maps.Create(t.Context(), held, metav1.CreateOptions{}))
}

// Node makes a machine's node, or says how it is now: why names what is wrong.
func (s *Stage) Node(t testing.TB, m plan.Machine, why string) {
	t.Helper()
	nodes, now := s.Admin.CoreV1().Nodes(), metav1.Now()
	must[*corev1.Node](t)(nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m.Name, Labels: m.Labels}}, metav1.CreateOptions{}))
	node := must[*corev1.Node](t)(nodes.Get(t.Context(), m.Name, metav1.GetOptions{}))
	if why == "" && len(node.Spec.Taints) > 0 { // nobody else is here who takes away what the API gives each new node
		node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeNotReady })
		node = must[*corev1.Node](t)(nodes.Update(t.Context(), node, metav1.UpdateOptions{}))
	}
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status", LastHeartbeatTime: now, LastTransitionTime: now}
	if why != "" {
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "KubeletNotReady", why
	}
	node.Status = corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available", LastHeartbeatTime: now, LastTransitionTime: now},
			{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure", LastHeartbeatTime: now, LastTransitionTime: now},
			ready,
		},
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: m.Address.String()}, {Type: corev1.NodeHostName, Address: m.Name}, {Type: corev1.NodeExternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: s.kubelet}},
		Allocatable:     corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("7836Mi"), corev1.ResourcePods: resource.MustParse("110")},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: "v1.37.2", OSImage: "Debian GNU/Linux 12 (bookworm)", KernelVersion: "6.18.0", ContainerRuntimeVersion: "containerd://2.4.2", OperatingSystem: "linux", Architecture: "amd64",
		},
	}
	must[*corev1.Node](t)(nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}))
}

// platform is the platform's own programs.
func (s *Stage) platform(t testing.TB, p *plan.Plan) {
	ours := func(name string) map[string]string {
		return map[string]string{manifests.PlatformLabel: "true", manifests.ComponentLabel: name}
	}
	const system = metav1.NamespaceSystem
	s.Namespace(t, system)
	everywhere, onMasters := int32(len(p.Machines)), int32(3)
	for name, n := range map[string]int32{"kube-proxy": everywhere, "flannel": everywhere, "kube-apiserver": onMasters} {
		set := must[*appsv1.DaemonSet](t)(s.Admin.AppsV1().DaemonSets(system).Create(t.Context(), &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: ours(name)},
			Spec:       appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: ours(name)}, Template: template(name, ours(name))},
		}, metav1.CreateOptions{}))
		set.Status = appsv1.DaemonSetStatus{ObservedGeneration: set.Generation, DesiredNumberScheduled: n, CurrentNumberScheduled: n, NumberReady: n, UpdatedNumberScheduled: n, NumberAvailable: n}
		must[*appsv1.DaemonSet](t)(s.Admin.AppsV1().DaemonSets(system).UpdateStatus(t.Context(), set, metav1.UpdateOptions{}))
		for _, m := range p.Machines[:n] {
			s.must(t, s.Pod(t.Context(), system, name+"-"+m.Name[len(Name)+1:], m.Name, func(pod *corev1.Pod) { pod.Labels, pod.OwnerReferences = ours(name), nil }))
		}
	}
	for name, n := range map[string]int32{"coredns": 2, "kube-scheduler": onMasters, "kube-controller-manager": onMasters} {
		s.Deployment(t, system, name, ours(name), n)
		for _, m := range p.Machines[:n] {
			s.must(t, s.Pod(t.Context(), system, name+"-6f9b8c7d5-"+m.Name[len(m.Name)-1:]+"x2kq", m.Name, func(pod *corev1.Pod) { pod.Labels, pod.OwnerReferences = ours(name), nil }))
		}
	}
	for _, name := range []string{"etcd", "craton-operator", "craton-checkpointer"} {
		for _, m := range p.Machines[:onMasters] {
			s.must(t, s.Pod(t.Context(), system, name+"-"+m.Name, m.Name, func(pod *corev1.Pod) {
				pod.Labels, pod.OwnerReferences = ours(name), nil
				pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "static"}
			}))
		}
	}
}

func (s *Stage) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Deployment is one of which all pods are ready.
func (s *Stage) Deployment(t testing.TB, namespace, name string, labels map[string]string, n int32) {
	t.Helper()
	d := must[*appsv1.Deployment](t)(s.Admin.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       appsv1.DeploymentSpec{Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(name, labels)},
	}, metav1.CreateOptions{}))
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, ReadyReplicas: n, UpdatedReplicas: n, AvailableReplicas: n,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", Message: "Deployment has minimum availability."}}}
	must[*appsv1.Deployment](t)(s.Admin.AppsV1().Deployments(namespace).UpdateStatus(t.Context(), d, metav1.UpdateOptions{}))
}

func template(name string, labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: name, Image: "registry.k8s.io/" + name + ":v1", Env: []corev1.EnvVar{{Name: "API_TOKEN", Value: SecretValue}}}}}}
}

// users are the users' workloads: a shop whose one pod does not start.
func (s *Stage) users(t testing.TB) {
	s.Namespace(t, "shop")
	web := map[string]string{"app": "web"}
	s.Deployment(t, "shop", "web", web, 3)
	for i := range 3 {
		s.must(t, s.Pod(t.Context(), "shop", fmt.Sprintf("web-7c5ddbdf54-%d8zq%d", i, i), fmt.Sprintf("demo-worker-%d", i%2+1), nil))
	}
	s.must(t, s.Broken(t.Context(), "shop", "payments-5d9f7b6c4-x8k2p"))
}

// Broken is a pod that cannot get its image, with the event that says so.
func (s *Stage) Broken(ctx context.Context, namespace, name string) error {
	err := s.Pod(ctx, namespace, name, "demo-worker-1", func(pod *corev1.Pod) {
		pod.Labels, pod.OwnerReferences[0].Name = map[string]string{"app": "payments"}, "payments-5d9f7b6c4"
		pod.Spec.Containers[0].Name, pod.Spec.Containers[0].Image = "payments", "registry.example.org/payments:9"
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "payments", Image: "registry.example.org/payments:9",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "registry.example.org/payments:9"`}},
		}}}
	})
	if err != nil {
		return err
	}
	pod, err := s.Admin.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	now := metav1.Now()
	_, err = s.Admin.CoreV1().Events(namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: name + ".1"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: name, UID: pod.UID},
		Type:           corev1.EventTypeWarning, Reason: "Failed", Message: `Failed to pull image "registry.example.org/payments:9": not found`,
		FirstTimestamp: now, LastTimestamp: now, Count: 14, Source: corev1.EventSource{Component: "kubelet", Host: "demo-worker-1"},
	}, metav1.CreateOptions{})
	return err
}
