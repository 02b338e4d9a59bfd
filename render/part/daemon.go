package part

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Daemon is the DaemonSet of a program of the network: on every machine, whatever its
// taints, in the machine's network, with no more than the right to change it. Most of all
// it runs on machines that are not ready yet, since it is what they wait for. Its service
// account has its name.
func Daemon(in Input, name string, command []string, health int) (*appsv1.DaemonSet, error) {
	image, err := in.Image(name)
	if err != nil {
		return nil, err
	}
	container := corev1.Container{
		Name: name, Image: image, Command: command,
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: Restricted("NET_ADMIN"),
		Env: append(APIEnv(in.Plan),
			FieldEnv("NODE_NAME", "spec.nodeName"),
			FieldEnv("HOST_IP", "status.hostIP"),
		),
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("40Mi"),
		}},
		ReadinessProbe: Probe(Get(corev1.URISchemeHTTP, Loopback, health, "/healthz"), 2, 3),
	}
	labels := map[string]string{"k8s-app": name}
	return &appsv1.DaemonSet{
		TypeMeta: Kind("apps/v1", "DaemonSet"), ObjectMeta: Meta(name),
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: new(intstr.FromString("10%"))},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": name, PlatformLabel: "true"}},
				Spec: corev1.PodSpec{
					HostNetwork: true, DNSPolicy: corev1.DNSDefault,
					ServiceAccountName: name,
					PriorityClassName:  NodeCritical,
					SecurityContext:    Seccomp(),
					EnableServiceLinks: new(false),
					Tolerations:        []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:         []corev1.Container{container},
				},
			},
		},
	}, nil
}
