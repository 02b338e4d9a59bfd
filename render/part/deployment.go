package part

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
)

// Nobody is a user who owns nothing.
const Nobody = 65532

// acceptsOn is how many seconds a pod that is to end goes on taking connections: the ingress, kube-proxy and
// API servers learn of its successor a moment later, and what they send here till then would be refused.
const acceptsOn = 5

// OnMasters is the Deployment of a program that serves on masters: two pods where there are
// masters for two. At an update the next pod is there before the last one goes, and no request
// is lost between them.
func OnMasters(in Input, name string, pod corev1.PodSpec) *appsv1.Deployment {
	labels := map[string]string{"k8s-app": name}
	pod.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: acceptsOn}}}
	return &appsv1.Deployment{TypeMeta: Kind("apps/v1", "Deployment"), ObjectMeta: Meta(name), Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(min(2, len(in.Plan.OfRole(contract.Master))))),
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Strategy: appsv1.DeploymentStrategy{
			Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromInt32(1)),
			},
		},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": name, PlatformLabel: "true"}},
			Spec:       pod,
		},
	}}
}
