package manifests

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

// program is a program of the control plane, as far as the programs differ. It is the same
// as a static pod, a stand-in and a pod of a DaemonSet or Deployment: what differs from
// machine to machine is a file of the machine, or its address, which the kubelet puts in
// the place of hostIP.
type program struct {
	name    string
	image   string
	command []string
	env     map[string]string
	// tools is an image whose programs it can run, in toolsDir.
	tools string
	// files are the files of the machine that it reads, and nothing else does it see.
	files []string
	// dirs are folders of the machine that it sees.
	dirs []dir
	// aliases are names that lead elsewhere than the resolver says.
	aliases []corev1.HostAlias
	// add are the capabilities that it keeps; all others are dropped.
	add         []corev1.Capability
	cpu, memory string
	startup     corev1.HTTPGetAction
	liveness    *corev1.HTTPGetAction // startup where nil
	readiness   *corev1.HTTPGetAction
	// patience is for how many seconds an answer is waited for, and how often it is asked
	// whether it hangs; 5 where it is 0.
	patience int32
	// address is where it listens, and standIn where its stand-in does, for programs that
	// have one. No two processes share an address and a port: who asks there, as the
	// kubelet does, is to hear from that process or from none.
	address, standIn string
}

// The kinds of etcd that a cluster file can ask for.
const (
	etcdInternal   = "internal"
	etcdExternal   = "external"
	etcdSelfHosted = "selfHosted"
)

func etcdKind(p *plan.Plan) string {
	if p.File == nil || p.File.Etcd == "" {
		return etcdInternal
	}
	return p.File.Etcd
}

// dir is a folder of a machine, made where it is missing.
type dir struct {
	path     string
	readOnly bool
}

// staying tolerates all that befalls a machine, since that is no reason for its control plane
// to leave it; but a machine that is being drained gets nothing new.
var staying = []corev1.Toleration{
	{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists},
	{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists},
	{Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists},
	{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists},
	{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists},
	{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists},
}

// toolsDir is where a program finds the image tools.
const toolsDir = "/tools"

// hostIP and nodeName stand for the machine's address and name in a command, and serveOn for
// program.address.
const (
	hostIP   = "$(HOST_IP)"
	nodeName = "$(NODE_NAME)"
	serveOn  = "$(" + AddressEnv + ")"
)

// pod runs it as root, whose files it has to read, with no capability that it does not
// need, and it starts as soon as it can: the kubelet looks every second.
func (s program) pod() (corev1.PodTemplateSpec, error) {
	masters, err := part.MasterLabel()
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	container := corev1.Container{
		Name: s.name, Image: s.image, Command: s.command,
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: part.Restricted(s.add...),
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(s.cpu), corev1.ResourceMemory: resource.MustParse(s.memory),
		}},
		// Two minutes to start: a busy machine, or an etcd that has much to read.
		StartupProbe: part.Probe(s.startup, 1, 120),
	}
	alive := s.startup
	if s.liveness != nil {
		alive = *s.liveness
	}
	// One that hangs is ended within 20 s: nothing but that brings it back.
	patience := cmp.Or(s.patience, 5)
	container.LivenessProbe = part.Probe(alive, patience, 3)
	container.LivenessProbe.TimeoutSeconds = patience
	// Who hangs does not hear that it is to end: the usual half a minute would be lost.
	container.LivenessProbe.TerminationGracePeriodSeconds = new(int64(1))
	if s.readiness != nil {
		container.ReadinessProbe = part.Probe(*s.readiness, 1, 3)
		container.ReadinessProbe.TimeoutSeconds = 5
	}
	for _, machine := range []struct{ used, name, field string }{{hostIP, "HOST_IP", "status.hostIP"}, {nodeName, "NODE_NAME", "spec.nodeName"}} {
		if slices.ContainsFunc(s.command, func(arg string) bool { return strings.Contains(arg, machine.used) }) {
			container.Env = append(container.Env, part.FieldEnv(machine.name, machine.field))
		}
	}
	if s.address != "" {
		container.Env = append(container.Env,
			corev1.EnvVar{Name: AddressEnv, Value: s.address}, corev1.EnvVar{Name: StandInAddressEnv, Value: s.standIn})
	}
	for _, name := range sortedKeys(s.env) {
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: s.env[name]})
	}
	spec := corev1.PodSpec{
		HostNetwork: true, DNSPolicy: corev1.DNSDefault,
		PriorityClassName: part.NodeCritical,
		SecurityContext:   part.Seccomp(),
		// An API client that is not there cannot mount a token.
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
		HostAliases:                  s.aliases,
		// Masters that take no users' pods are tainted by the name of their label.
		Tolerations: append(slices.Clone(staying), corev1.Toleration{Key: masters, Operator: corev1.TolerationOpExists}),
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
	for _, d := range s.dirs {
		mount(d.path, corev1.HostPathDirectoryOrCreate, d.readOnly)
	}
	if s.tools != "" {
		const name = "tools"
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: s.tools, PullPolicy: corev1.PullIfNotPresent},
		}})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: toolsDir, ReadOnly: true})
	}
	spec.Containers = []corev1.Container{container}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
			ComponentLabel: s.name, PlatformLabel: "true",
		}},
		Spec: spec,
	}, nil
}

// standInOf is the program as its stand-in: it listens, and is asked, at another address.
func (s program) standInOf() program {
	s.address = s.standIn
	at := func(get corev1.HTTPGetAction) corev1.HTTPGetAction {
		get.Host = s.standIn
		if s.standIn == hostIP {
			get.Host = "" // the kubelet asks at the pod's address, which is the machine's
		}
		return get
	}
	s.startup = at(s.startup)
	if s.liveness != nil {
		s.liveness = new(at(*s.liveness))
	}
	if s.readiness != nil {
		s.readiness = new(at(*s.readiness))
	}
	return s
}

// static is the program as a file for the kubelet.
func (s program) static(name string, labels map[string]string) ([]byte, error) {
	template, err := s.pod()
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: template.ObjectMeta, Spec: template.Spec,
	}
	pod.Name, pod.Namespace = name, part.Namespace
	maps.Copy(pod.Labels, labels)
	// Static pods do not pass the admission that would look the class up.
	pod.Spec.Priority = new(int32(criticalPriority))
	return yaml.Marshal(pod)
}
