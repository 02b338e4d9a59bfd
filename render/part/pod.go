package part

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// Restricted is a container that can become no more than it is: no capability but those
// named, nothing of its image to write to.
func Restricted(add ...corev1.Capability) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: add},
	}
}

// Seccomp keeps a pod from the system calls that the runtime's own profile leaves out.
func Seccomp() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
}

// AsNobody is Seccomp of a pod without root's rights, which may write to the volumes that are its own.
func AsNobody() *corev1.PodSecurityContext {
	as := Seccomp()
	as.RunAsNonRoot, as.RunAsUser, as.RunAsGroup, as.FSGroup = new(true), new(int64(Nobody)), new(int64(Nobody)), new(int64(Nobody))
	return as
}

// Probe asks every so many seconds; so many failures count.
func Probe(get corev1.HTTPGetAction, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &get},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 15,
	}
}

// PodProbe asks a pod on its own address, in plain HTTP.
func PodProbe(path string, port, period int32) *corev1.Probe {
	p := Probe(Get(corev1.URISchemeHTTP, "", int(port), path), period, 5)
	p.TimeoutSeconds = 5
	return p
}

// Get is a question of a probe; without a host it goes to the pod's address.
func Get(scheme corev1.URIScheme, host string, port int, path string) corev1.HTTPGetAction {
	return corev1.HTTPGetAction{Scheme: scheme, Host: host, Port: intstr.FromInt32(int32(port)), Path: path}
}

// APIEnv sends a program's in-cluster client to the API's name rather than to the service's
// address, which works only once kube-proxy does.
func APIEnv(p *plan.Plan) []corev1.EnvVar {
	env := []corev1.EnvVar{
		{Name: "KUBERNETES_SERVICE_HOST", Value: p.Network.APIServer},
		{Name: "KUBERNETES_SERVICE_PORT", Value: strconv.Itoa(int(p.Network.APIPort))},
	}
	for _, v := range firstboot.ImpatientClient(p) {
		env = append(env, corev1.EnvVar{Name: v[0], Value: v[1]})
	}
	return env
}

// FieldEnv is a variable whose value is a field of the pod.
func FieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}

// Mount gives the pod's first container a volume.
func Mount(pod *corev1.PodSpec, name, path string, readOnly bool, source corev1.VolumeSource) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	c := &pod.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: readOnly})
}

// ConfigVolume is a volume with a config map's values as files.
func ConfigVolume(configMap string) corev1.VolumeSource {
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: configMap},
	}}
}

// Tolerations let pods of the platform run on masters and infra machines, whatever taints
// the plan gives those to keep the user's pods away.
func Tolerations(p *plan.Plan) []corev1.Toleration {
	seen := map[string]bool{}
	var out []corev1.Toleration
	for _, m := range p.Machines {
		if m.Role == contract.Worker {
			continue
		}
		for _, taint := range m.Taints {
			key, _, _ := strings.Cut(taint, ":")
			key, _, _ = strings.Cut(key, "=")
			if !seen[key] {
				seen[key] = true
				out = append(out, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists})
			}
		}
	}
	return out
}
