package part

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
)

// Exporter is a program that serves the metrics of its machine, at a clause's port of the
// machine's own address.
type Exporter struct {
	// Name is the component's, in the contract and in the payload.
	Name    string
	Command []string
	// Roles are those whose machines have it.
	Roles []contract.Role
	Port  int
	// Health is a path at that port which answers while the program works.
	Health string
	// Memory is what it asks the scheduler for.
	Memory string
}

// DaemonSet is the exporter on every machine of its roles, whatever its taints. It is in the
// machine's network, for the port to be the machine's, asks nothing of the API, and has no
// capability.
func (e Exporter) DaemonSet(in Input) (*appsv1.DaemonSet, error) {
	image, err := in.Image(e.Name)
	if err != nil {
		return nil, err
	}
	affinity, err := On(e.Roles...)
	if err != nil {
		return nil, err
	}
	get := func() corev1.HTTPGetAction { return Get(corev1.URISchemeHTTP, "", e.Port, e.Health) }
	labels := map[string]string{"k8s-app": e.Name}
	return &appsv1.DaemonSet{
		TypeMeta: Kind("apps/v1", "DaemonSet"), ObjectMeta: Meta(e.Name),
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: new(intstr.FromString("10%"))},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": e.Name, PlatformLabel: "true"}},
				Spec: corev1.PodSpec{
					HostNetwork: true, DNSPolicy: corev1.DNSDefault,
					PriorityClassName:            NodeCritical,
					SecurityContext:              Seccomp(),
					EnableServiceLinks:           new(false),
					AutomountServiceAccountToken: new(false),
					// The port shuts as soon as the pod is told to go.
					TerminationGracePeriodSeconds: new(int64(1)),
					Affinity:                      affinity,
					Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers: []corev1.Container{{
						Name: e.Name, Image: image, Command: e.Command,
						ImagePullPolicy: corev1.PullIfNotPresent,
						SecurityContext: Restricted(),
						Env: []corev1.EnvVar{
							FieldEnv("HOST_IP", "status.hostIP"),
							// The collector is asked to trade some time for memory.
							{Name: "GOGC", Value: "50"},
						},
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
							corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse(e.Memory),
						}},
						ReadinessProbe: Probe(get(), 2, 3),
						LivenessProbe:  Probe(get(), 10, 5),
					}},
				},
			},
		},
	}, nil
}

// HostPath gives the pod's first container a folder or file of its machine, to read.
func HostPath(pod *corev1.PodSpec, name, path, at string, kind corev1.HostPathType) {
	Mount(pod, name, at, true, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: new(kind)}})
	mounts := pod.Containers[0].VolumeMounts
	// Also what is mounted below it later.
	mounts[len(mounts)-1].MountPropagation = new(corev1.MountPropagationHostToContainer)
}
