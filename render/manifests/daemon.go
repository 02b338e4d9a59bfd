package manifests

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// daemon is the DaemonSet of a program of the network: on every machine, whatever its
// taints, in the machine's network, with no more than the right to change it. Most of all
// it runs on machines that are not ready yet, since it is what they wait for.
func daemon(p *plan.Plan, images Images, name, account string, command []string, health int) (*appsv1.DaemonSet, error) {
	image := images(name)
	if image == "" {
		return nil, fmt.Errorf("manifests: there is no image for %s", name)
	}
	security := restricted("NET_ADMIN")
	container := corev1.Container{
		Name: name, Image: image, Command: command,
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: security,
		Env: append(apiEnv(p),
			fieldEnv("NODE_NAME", "spec.nodeName"),
			fieldEnv("HOST_IP", "status.hostIP"),
		),
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("40Mi"),
		}},
		ReadinessProbe: probe(get(corev1.URISchemeHTTP, loopback, health, "/healthz"), 2, 3),
	}
	labels := map[string]string{"k8s-app": name}
	return &appsv1.DaemonSet{
		TypeMeta: kind("apps/v1", "DaemonSet"), ObjectMeta: inSystem(name),
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
					ServiceAccountName: account,
					PriorityClassName:  nodeCritical,
					SecurityContext:    seccomp(),
					EnableServiceLinks: new(false),
					Tolerations:        []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:         []corev1.Container{container},
				},
			},
		},
	}, nil
}

// apiEnv sends a program's in-cluster client to the API's name rather than to the service's
// address, which works only once kube-proxy does.
func apiEnv(p *plan.Plan) []corev1.EnvVar {
	env := []corev1.EnvVar{
		{Name: "KUBERNETES_SERVICE_HOST", Value: p.Network.APIServer},
		{Name: "KUBERNETES_SERVICE_PORT", Value: apiPort(p)},
	}
	for _, v := range firstboot.ImpatientClient(p) {
		env = append(env, corev1.EnvVar{Name: v[0], Value: v[1]})
	}
	return env
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}

// mount gives the pod's one container a volume.
func mount(pod *corev1.PodSpec, name, path string, readOnly bool, source corev1.VolumeSource) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	c := &pod.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: readOnly})
}

func configVolume(configMap string) corev1.VolumeSource {
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: configMap},
	}}
}
