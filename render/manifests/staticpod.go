package manifests

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// AuthenticationPath is where the API server's AuthenticationConfiguration is on a master.
const AuthenticationPath = "/etc/kubernetes/authentication.yaml"

// staticPod is a program of the control plane, as far as the programs differ.
type staticPod struct {
	name    string
	image   string
	command []string
	env     map[string]string
	// files are the files of the machine that it reads, and nothing else does it see.
	files []string
	// data is a folder that it writes, "" for none.
	data string
	// add are the capabilities that it keeps; all others are dropped.
	add         []corev1.Capability
	cpu, memory string
	startup     corev1.HTTPGetAction
	liveness    *corev1.HTTPGetAction // startup where nil
	readiness   *corev1.HTTPGetAction
}

// MasterFiles are the static pods of one master and what else they read that is not in
// package firstboot. It is an error where the machine is no master of the plan.
func MasterFiles(p *plan.Plan, machine string, images Images) ([]firstboot.File, error) {
	var m *plan.Machine
	for i := range p.Machines {
		if p.Machines[i].Name == machine {
			m = &p.Machines[i]
		}
	}
	if m == nil || m.Role != contract.Master {
		return nil, fmt.Errorf("manifests: %q is no master of cluster %s: only masters run static pods", machine, p.Cluster)
	}
	makers := []func(*plan.Plan, *plan.Machine) (staticPod, error){apiServer, controllerManager, scheduler, operator}
	switch etcdKind(p) {
	case "internal":
		makers = append(makers, etcd)
	case "external":
	default:
		return nil, fmt.Errorf("manifests: etcd: %q cannot be run yet: expected internal or external", etcdKind(p))
	}
	files := []firstboot.File{{Path: AuthenticationPath, Mode: 0o644, Contents: []byte(authentication)}}
	for _, maker := range makers {
		s, err := maker(p, m)
		if err != nil {
			return nil, err
		}
		s.image = images(s.name)
		if s.image == "" {
			return nil, fmt.Errorf("manifests: there is no image for %s", s.name)
		}
		data, err := yaml.Marshal(s.pod())
		if err != nil {
			return nil, err
		}
		files = append(files, firstboot.File{Path: path.Join(firstboot.ManifestDir, s.name+".yaml"), Mode: 0o600, Contents: data})
	}
	return files, nil
}

func etcdKind(p *plan.Plan) string {
	if p.File == nil || p.File.Etcd == "" {
		return "internal"
	}
	return p.File.Etcd
}

// pod is the static pod. It runs as root, whose files it has to read, with no capability
// that it does not need, and it starts as soon as it can: the kubelet looks every second.
func (s staticPod) pod() *corev1.Pod {
	container := corev1.Container{
		Name: s.name, Image: s.image, Command: s.command,
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: restricted(s.add...),
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(s.cpu), corev1.ResourceMemory: resource.MustParse(s.memory),
		}},
		// Two minutes to start: a busy machine, or an etcd that has much to read.
		StartupProbe:  probe(s.startup, 1, 120),
		LivenessProbe: probe(s.startup, 10, 8),
	}
	if s.liveness != nil {
		container.LivenessProbe = probe(*s.liveness, 10, 8)
	}
	if s.readiness != nil {
		container.ReadinessProbe = probe(*s.readiness, 1, 3)
	}
	for _, name := range sortedKeys(s.env) {
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: s.env[name]})
	}
	spec := corev1.PodSpec{
		HostNetwork: true, DNSPolicy: corev1.DNSDefault,
		PriorityClassName: nodeCritical,
		// Static pods do not pass the admission that would look the class up.
		Priority:        new(int32(criticalPriority)),
		SecurityContext: seccomp(),
		// An API client that is not there cannot mount a token.
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
	}
	mount := func(hostPath string, kind corev1.HostPathType, readOnly bool) {
		name := strings.NewReplacer("/", "-", ".", "-").Replace(strings.TrimPrefix(hostPath, "/"))
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: hostPath, Type: &kind},
		}})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: hostPath, ReadOnly: readOnly})
	}
	for _, f := range s.files {
		mount(f, corev1.HostPathFile, true)
	}
	if s.data != "" {
		mount(s.data, corev1.HostPathDirectoryOrCreate, false)
	}
	spec.Containers = []corev1.Container{container}
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: kubeSystem, Labels: map[string]string{
			"component": s.name, "tier": "control-plane", PlatformLabel: "true",
		}},
		Spec: spec,
	}
}

func probe(get corev1.HTTPGetAction, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &get},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 15,
	}
}

func get(scheme corev1.URIScheme, host string, port int, path string) corev1.HTTPGetAction {
	return corev1.HTTPGetAction{Scheme: scheme, Host: host, Port: intstr.FromInt32(int32(port)), Path: path}
}

func restricted(add ...corev1.Capability) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: add},
	}
}

func seccomp() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
}
