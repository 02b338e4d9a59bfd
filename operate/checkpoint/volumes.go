package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// podObjects are secrets and config maps by name, with their keys.
type podObjects struct {
	Secrets, ConfigMaps map[string]map[string][]byte
}

// needs are the names of the secrets and config maps that a pod's stand-in is made with,
// sorted.
func needs(pod *corev1.Pod) (secrets, configMaps []string) {
	spec := pod.Spec.DeepCopy()
	dropTokens(spec)
	for _, v := range spec.Volumes {
		for _, p := range parts(v) {
			if p.Secret != nil {
				secrets = append(secrets, p.Secret.Name)
			}
			if p.ConfigMap != nil {
				configMaps = append(configMaps, p.ConfigMap.Name)
			}
		}
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil {
				configMaps = append(configMaps, from.ConfigMapRef.Name)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
				configMaps = append(configMaps, e.ValueFrom.ConfigMapKeyRef.Name)
			}
		}
	}
	for _, names := range []*[]string{&secrets, &configMaps} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return secrets, configMaps
}

// parts are a volume's secrets and config maps, in the one form that projected volumes have.
func parts(v corev1.Volume) []corev1.VolumeProjection {
	switch {
	case v.Secret != nil:
		return []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: v.Secret.SecretName}, Items: v.Secret.Items, Optional: v.Secret.Optional,
		}}}
	case v.ConfigMap != nil:
		return []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: v.ConfigMap.LocalObjectReference, Items: v.ConfigMap.Items, Optional: v.ConfigMap.Optional,
		}}}
	case v.Projected != nil:
		return v.Projected.Sources
	}
	return nil
}

// root is the folder of a volume, below the checkpoint's, and its files' mode where an item
// has none. ok is false where the volume holds no secret or config map.
func root(v corev1.Volume) (folder string, mode *int32, ok bool) {
	switch {
	case v.Secret != nil:
		return path.Join("secrets", v.Name), v.Secret.DefaultMode, true
	case v.ConfigMap != nil:
		return path.Join("configmaps", v.Name), v.ConfigMap.DefaultMode, true
	case v.Projected != nil:
		return path.Join("projected", v.Name), v.Projected.DefaultMode, true
	}
	return "", nil, false
}

// volumeFiles are the files of all volumes of secrets and config maps. Two volumes of one
// object are two folders: each may choose among the keys and name them as it likes.
func volumeFiles(spec *corev1.PodSpec, have podObjects) ([]file, error) {
	var files []file
	for _, v := range spec.Volumes {
		folder, mode, ok := root(v)
		if !ok {
			continue
		}
		if who, ok := otherUser(spec); ok {
			return nil, fmt.Errorf("volume %s: %s does not run as root, and the files of a checkpoint are only root's", v.Name, who)
		}
		// An empty object has a folder too: it is mounted.
		byPath := map[string]file{}
		for _, p := range parts(v) {
			var err error
			switch {
			case p.Secret != nil:
				err = project(byPath, "secret "+p.Secret.Name, have.Secrets[p.Secret.Name], p.Secret.Items, mode, p.Secret.Optional)
			case p.ConfigMap != nil:
				err = project(byPath, "config map "+p.ConfigMap.Name, have.ConfigMaps[p.ConfigMap.Name], p.ConfigMap.Items, mode, p.ConfigMap.Optional)
			default:
				err = fmt.Errorf("it projects something that only the API can give; secrets and config maps can be kept")
			}
			if err != nil {
				return nil, fmt.Errorf("volume %s: %w", v.Name, err)
			}
		}
		files = append(files, file{Path: folder + "/"})
		for _, name := range sortedKeys(byPath) {
			f := byPath[name]
			f.Path = path.Join(folder, name)
			files = append(files, f)
		}
	}
	return files, nil
}

// project adds an object's keys, as the kubelet would lay them out; a later one of the same
// name wins. Modes keep what the owner may do: nobody else is let in.
func project(into map[string]file, what string, data map[string][]byte, items []corev1.KeyToPath, mode *int32, optional *bool) error {
	if data == nil {
		if isTrue(optional) {
			return nil
		}
		return fmt.Errorf("%s is not there", what)
	}
	if len(items) == 0 {
		for key := range data {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if isTrue(optional) {
				continue
			}
			return fmt.Errorf("%s has no key %s", what, item.Key)
		}
		if name := path.Clean(item.Path); name != item.Path || path.IsAbs(name) || name == "." || name == ".." || strings.HasPrefix(name, "../") {
			return fmt.Errorf("%s: key %s: path %q leads out of the volume", what, item.Key, item.Path)
		}
		bits := int32(0o600)
		if item.Mode != nil {
			bits = *item.Mode
		} else if mode != nil {
			bits = *mode
		}
		into[item.Path] = file{Mode: uint32(bits) & 0o700, Data: value}
	}
	return nil
}

// otherUser names a container that runs as another user than root.
func otherUser(spec *corev1.PodSpec) (string, bool) {
	var user *int64
	var nonRoot *bool
	if p := spec.SecurityContext; p != nil {
		user, nonRoot = p.RunAsUser, p.RunAsNonRoot
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		u, n := user, nonRoot
		if s := c.SecurityContext; s != nil {
			if s.RunAsUser != nil {
				u = s.RunAsUser
			}
			if s.RunAsNonRoot != nil {
				n = s.RunAsNonRoot
			}
		}
		if u != nil && *u != 0 || isTrue(n) {
			return "container " + c.Name, true
		}
	}
	return "", false
}

// hostVolumes makes the volumes those that a static pod may have. dir is the checkpoint's
// folder on the machine.
func hostVolumes(spec *corev1.PodSpec, tokens []string, dir string) error {
	var readOnly []string
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if folder, _, ok := root(*v); ok {
			v.VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{
				Path: path.Join(dir, folder), Type: new(corev1.HostPathDirectory),
			}}
			readOnly = append(readOnly, v.Name)
			continue
		}
		if v.HostPath == nil && v.EmptyDir == nil && v.DownwardAPI == nil && v.Image == nil {
			return fmt.Errorf("volume %s is of a kind that needs the API: a checkpoint can have files of the machine, images, empty folders, secrets and config maps", v.Name)
		}
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return slices.Contains(tokens, m.Name) })
			for j := range c.VolumeMounts {
				if slices.Contains(readOnly, c.VolumeMounts[j].Name) {
					c.VolumeMounts[j].ReadOnly = true
				}
			}
		}
	}
	return nil
}

// digest names the contents of files. Lengths go in, so that no two lists run into one.
func digest(files []file) string {
	if len(files) == 0 {
		return ""
	}
	h := sha256.New()
	write := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, f := range files {
		write([]byte(f.Path))
		write(binary.BigEndian.AppendUint32(nil, f.Mode))
		write(f.Data)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
