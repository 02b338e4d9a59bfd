package stage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// must fails the test.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		return v
	}
}

// Bind lets a group have a cluster role, as the cluster file's groups do.
func (s *Stage) Bind(t testing.TB, group, role string) {
	t.Helper()
	must[*rbacv1.ClusterRoleBinding](t)(s.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "stage:" + group + ":" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
	}, metav1.CreateOptions{}))
}

// View gives a group what the role view of a cluster's people sees: Kubernetes' own role of
// that name, which a controller would put together, and what belongs to no namespace.
func (s *Stage) View(t testing.TB, group string) {
	t.Helper()
	must[*rbacv1.ClusterRole](t)(s.Admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "view-more"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch"}}},
	}, metav1.CreateOptions{}))
	s.Bind(t, group, "view-more")
	s.Bind(t, group, "system:aggregate-to-view")
}

// Namespace makes one.
func (s *Stage) Namespace(t testing.TB, name string) {
	t.Helper()
	must[*corev1.Namespace](t)(s.Admin.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
}

// Pod is one that runs on a node, as a kubelet would report it.
func (s *Stage) Pod(ctx context.Context, namespace, name, node string, change func(*corev1.Pod)) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"app": "web", "pod-template-hash": "7c5ddbdf54"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-7c5ddbdf54", UID: "11111111-2222-3333-4444-555555555555", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{
			NodeName: node, TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{
				Name: "web", Image: "registry.k8s.io/e2e-test-images/agnhost:2.59",
				Ports: []corev1.ContainerPort{{ContainerPort: 8080, Name: "http"}},
				// What nobody must see in the Console.
				Env:       []corev1.EnvVar{{Name: "API_TOKEN", Value: SecretValue}},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}},
			}},
		},
	}
	if change != nil {
		change(pod)
	}
	made, err := s.Admin.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Status = pod.Status
	if made.Status.Phase == "" {
		since := metav1.NewTime(time.Now().Add(-time.Hour))
		made.Status = corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.64.1.7", HostIP: "10.32.1.0", StartTime: &since,
			PodIPs: []corev1.PodIP{{IP: "10.64.1.7"}},
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: since},
				{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: since},
				{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: since},
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: since},
			},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "web", Ready: true, Image: pod.Spec.Containers[0].Image, ImageID: "sha256:0f3c5f6f6d3f7d3a",
				ContainerID: "containerd://6d2e0a5c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
			}},
		}
	}
	_, err = s.Admin.CoreV1().Pods(namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{})
	return err
}

// SecretValue stands in an object where no page may show it.
const SecretValue = "hunter2-do-not-show"

// ManyPods makes n running pods, spread over some namespaces and nodes.
func (s *Stage) ManyPods(t testing.TB, n int) {
	t.Helper()
	const namespaces = 5
	for i := range namespaces {
		s.Namespace(t, fmt.Sprintf("team-%d", i))
	}
	work, ctx := errgroup.WithContext(t.Context())
	work.SetLimit(16)
	for i := range n {
		work.Go(func() error {
			return s.Pod(ctx, fmt.Sprintf("team-%d", i%namespaces), fmt.Sprintf("web-7c5ddbdf54-%05d", i), fmt.Sprintf("demo-worker-%d", i%2+1), nil)
		})
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
}
