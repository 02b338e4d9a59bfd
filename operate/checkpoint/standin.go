package checkpoint

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// checkpoint is what is kept of a pod.
type checkpoint struct {
	// Manifest is the stand-in, as YAML.
	Manifest []byte
	// Folder is the name of the folder that holds Files; "" where there are none. It follows
	// from what is in them: other contents are in another folder.
	Folder string
	Files  []file
}

// file is a key of a secret or a config map. Path is below the checkpoint's folder.
type file struct {
	Path string
	Mode uint32
	Data []byte
}

// manifest is a pod without a status.
type manifest struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   metadata       `json:"metadata"`
	Spec       corev1.PodSpec `json:"spec"`
}

type metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// standInOf makes the checkpoint of a real pod: a pod that the kubelet can run from a file,
// without the API, and that is in nobody's way. dir is where the component's checkpoints
// will be on the machine. What the pod reads of secrets and config maps has to be among the
// objects; see needs. It is an error where the pod needs something that cannot be had
// without the API: what is kept would not run when it is needed.
func standInOf(name string, pod *corev1.Pod, have podObjects, dir string) (checkpoint, error) {
	c, err := standIn(name, pod, have, dir)
	if err != nil {
		return checkpoint{}, fmt.Errorf("pod %s/%s cannot be kept as a checkpoint: %w", pod.Namespace, pod.Name, err)
	}
	return c, nil
}

func standIn(name string, pod *corev1.Pod, have podObjects, dir string) (checkpoint, error) {
	spec := pod.Spec.DeepCopy()
	tokens := dropTokens(spec)
	files, err := volumeFiles(spec, have)
	if err != nil {
		return checkpoint{}, err
	}
	folder := digest(files)
	if err := hostVolumes(spec, tokens, path.Join(dir, folder)); err != nil {
		return checkpoint{}, err
	}
	if len(spec.ResourceClaims) > 0 {
		return checkpoint{}, fmt.Errorf("resource claim %q is allocated by the API", spec.ResourceClaims[0].Name)
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			if err := ownEnv(&containers[i], have); err != nil {
				return checkpoint{}, err
			}
			ownAddress(&containers[i])
			// The kubelet admits no second pod with a port of the machine, nor does the
			// scheduler place one: the real pod would wait for the stand-in for ever.
			containers[i].Ports = nil
			// Nobody has to be given time when it is ended: somebody waits for it to.
			containers[i].Lifecycle = nil
			containers[i].ImagePullPolicy = corev1.PullIfNotPresent
		}
	}
	unbind(spec)
	data, err := yaml.Marshal(manifest{
		APIVersion: "v1", Kind: "Pod",
		Metadata: metadata{Name: name + standInSuffix, Namespace: pod.Namespace, Labels: standInLabels(pod.Labels)},
		Spec:     *spec,
	})
	if err != nil {
		return checkpoint{}, err
	}
	return checkpoint{Manifest: data, Folder: folder, Files: files}, nil
}

// samePrograms says whether two manifests run the same images with the same commands. What
// else differs is what the API fills in.
func samePrograms(a, b []byte) bool {
	var x, y manifest
	if yaml.Unmarshal(a, &x) != nil || yaml.Unmarshal(b, &y) != nil || len(x.Spec.Containers) == 0 {
		return false
	}
	return slices.EqualFunc(x.Spec.Containers, y.Spec.Containers, func(c, d corev1.Container) bool {
		return c.Image == d.Image && slices.Equal(c.Command, d.Command) && slices.Equal(c.Args, d.Args)
	})
}

// standInLabels are the real pod's but for its controller's. What selects real pods has to
// ask for standInLabel too, or a stand-in would be found among them.
func standInLabels(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	for _, k := range []string{"pod-template-hash", "controller-revision-hash", "pod-template-generation"} {
		delete(out, k)
	}
	out[standInLabel] = "true"
	return out
}

// unbind takes away what ties a pod to objects of the API, or would keep the kubelet from
// running it where the Node's labels are not known.
func unbind(spec *corev1.PodSpec) {
	spec.NodeName = ""
	spec.NodeSelector = nil
	spec.Affinity = nil
	spec.TopologySpreadConstraints = nil
	spec.SchedulingGates = nil
	spec.ReadinessGates = nil
	spec.EphemeralContainers = nil
	spec.ImagePullSecrets = nil
	spec.ServiceAccountName = ""
	spec.DeprecatedServiceAccount = ""
	spec.AutomountServiceAccountToken = new(false)
	spec.EnableServiceLinks = new(false)
	spec.RestartPolicy = corev1.RestartPolicyAlways
}

// dropTokens takes away the volume by which a pod gets its service account's token, and
// returns the names of such. There is no token without the API, and what speaks with the
// API from a stand-in has a key of its own.
func dropTokens(spec *corev1.PodSpec) (names []string) {
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool {
		token := v.Projected != nil && strings.HasPrefix(v.Name, "kube-api-access-") &&
			slices.ContainsFunc(v.Projected.Sources, func(p corev1.VolumeProjection) bool { return p.ServiceAccountToken != nil })
		if token {
			names = append(names, v.Name)
		}
		return token
	})
	return names
}

// ownEnv gives a container the values of config maps themselves.
func ownEnv(c *corev1.Container, have podObjects) error {
	var env []corev1.EnvVar
	for _, from := range c.EnvFrom {
		if from.SecretRef != nil {
			return fmt.Errorf("container %s: environment from secret %s: its values would be readable in the manifest: mount it as files", c.Name, from.SecretRef.Name)
		}
		if from.ConfigMapRef == nil {
			return fmt.Errorf("container %s: environment from something that is no config map", c.Name)
		}
		data, ok := have.ConfigMaps[from.ConfigMapRef.Name]
		if !ok && !isTrue(from.ConfigMapRef.Optional) {
			return fmt.Errorf("container %s: environment from config map %s, which is not there", c.Name, from.ConfigMapRef.Name)
		}
		for _, key := range sortedKeys(data) {
			env = append(env, corev1.EnvVar{Name: from.Prefix + key, Value: verbatim(data[key])})
		}
	}
	for _, e := range c.Env {
		from := e.ValueFrom
		switch {
		case from == nil, from.FieldRef != nil, from.ResourceFieldRef != nil:
		case from.SecretKeyRef != nil:
			return fmt.Errorf("container %s: variable %s is from secret %s: its value would be readable in the manifest: mount it as a file", c.Name, e.Name, from.SecretKeyRef.Name)
		case from.ConfigMapKeyRef != nil:
			ref := from.ConfigMapKeyRef
			value, ok := have.ConfigMaps[ref.Name][ref.Key]
			if !ok && isTrue(ref.Optional) {
				continue
			}
			if !ok {
				return fmt.Errorf("container %s: variable %s is key %s of config map %s, which is not there", c.Name, e.Name, ref.Key, ref.Name)
			}
			e = corev1.EnvVar{Name: e.Name, Value: verbatim(value)}
		default:
			return fmt.Errorf("container %s: variable %s has a source that is not known here", c.Name, e.Name)
		}
		env = append(env, e)
	}
	c.Env, c.EnvFrom = env, nil
	return nil
}

// ownAddress has a container listen, and be asked, where a stand-in does. One that names no
// such place stays as it is.
func ownAddress(c *corev1.Container) {
	i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == standInAddressEnv })
	if i < 0 {
		return
	}
	address := c.Env[i].Value
	for i := range c.Env {
		if c.Env[i].Name == addressEnv {
			c.Env[i].Value = address
		}
	}
	if strings.Contains(address, "$") {
		address = "" // the machine's own, where the kubelet asks if it is told nothing
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p != nil && p.HTTPGet != nil {
			p.HTTPGet.Host = address
		}
	}
}

// verbatim keeps the kubelet from taking a value's $(NAME) for a reference, which it does
// in values, but not in those of config maps. To it, "$$" is "$".
func verbatim(value []byte) string { return strings.ReplaceAll(string(value), "$", "$$") }

func isTrue(b *bool) bool { return b != nil && *b }
