package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/golden"
)

// objects are what the test's pods read.
func objects() podObjects {
	return podObjects{
		Secrets: map[string]map[string][]byte{
			"keys": {"tls.key": []byte("KEY\n"), "tls.crt": []byte("CERT\n")},
		},
		ConfigMaps: map[string]map[string][]byte{
			"settings": {"LEVEL": []byte("2"), "MOTTO": []byte("$(LEVEL), $$(LEVEL) and 5$")},
			"policy":   {"a.yaml": []byte("a: 1\n"), "b.yaml": []byte("b: 2\n")},
		},
	}
}

func readPod(t *testing.T, file string) *corev1.Pod {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(data, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// render shows a checkpoint as one text.
func render(c checkpoint) string {
	var b strings.Builder
	b.Write(c.Manifest)
	for _, f := range c.Files {
		fmt.Fprintf(&b, "# %s/%s %04o %q\n", c.Folder, f.Path, f.Mode, f.Data)
	}
	return b.String()
}

// TestStandIn protects what becomes of a pod of the API: in testdata, pod-*.yaml is the pod
// as the API has it, stand-in-*.yaml the checkpoint.
func TestStandIn(t *testing.T) {
	files, err := filepath.Glob("testdata/pod-*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d pods in testdata: %v", len(files), err)
	}
	for _, file := range files {
		c, err := standInOf("kube-apiserver", readPod(t, file), objects(), "/etc/kubernetes/checkpoints/kube-apiserver")
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		standIn := strings.Replace(file, "pod-", "stand-in-", 1)
		golden.Check(t, filepath.Base(standIn), render(c))
		// What a static pod may not have, the API would refuse the mirror pod for.
		made := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(c.Manifest, made); err != nil {
			t.Fatal(err)
		}
		secrets, maps := needs(made)
		if len(secrets)+len(maps) > 0 || made.Spec.ServiceAccountName != "" || made.Spec.NodeName != "" || len(made.OwnerReferences) > 0 {
			t.Errorf("%s still refers to the API: %v %v %+v", standIn, secrets, maps, made)
		}
		for _, c := range made.Spec.Containers {
			if len(c.Ports) > 0 {
				t.Errorf("%s: container %s has ports, for which the real pod would wait", standIn, c.Name)
			}
		}
	}
}

// TestStandInFollowsContents protects that a checkpoint of other contents is in another
// folder, however little differs: disk never changes a folder.
func TestStandInFollowsContents(t *testing.T) {
	pod := readPod(t, "testdata/pod-volumes.yaml")
	seen := map[string]string{}
	for what, change := range map[string]func(*podObjects, *corev1.Pod){
		"as it is":  func(*podObjects, *corev1.Pod) {},
		"a value":   func(o *podObjects, _ *corev1.Pod) { o.Secrets["keys"]["tls.key"] = []byte("OTHER") },
		"a new key": func(o *podObjects, _ *corev1.Pod) { o.ConfigMaps["policy"]["c.yaml"] = nil },
		"values move": func(o *podObjects, _ *corev1.Pod) {
			o.ConfigMaps["policy"]["a.yaml"], o.ConfigMaps["policy"]["b.yaml"] = o.ConfigMaps["policy"]["b.yaml"], o.ConfigMaps["policy"]["a.yaml"]
		},
		"a mode": func(_ *podObjects, p *corev1.Pod) {
			for i := range p.Spec.Volumes {
				if p.Spec.Volumes[i].Secret != nil {
					p.Spec.Volumes[i].Secret.DefaultMode = new(int32(0o500))
				}
			}
		},
	} {
		have, p := objects(), pod.DeepCopy()
		change(&have, p)
		c, err := standInOf("kube-apiserver", p, have, "/dir")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if other, ok := seen[c.Folder]; ok {
			t.Errorf("%q and %q are in one folder", what, other)
		}
		seen[c.Folder] = what
	}
}

// TestStandInRefuses protects from a checkpoint that would not run when it is needed, or
// would show a secret: the error names what it is about.
func TestStandInRefuses(t *testing.T) {
	ref := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	volume := func(v corev1.VolumeSource) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "odd", VolumeSource: v})
		}
	}
	env := func(v corev1.EnvVarSource) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "ODD", ValueFrom: &v})
		}
	}
	for _, test := range []struct {
		name   string
		change func(*corev1.Pod)
		want   []string
	}{
		{"a claim", volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "x"}}), []string{"volume odd", "needs the API"}},
		{"csi", volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "x"}}), []string{"volume odd", "needs the API"}},
		{"a token of its own", volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", Path: "token"}},
		}}}), []string{"volume odd", "only the API can give"}},
		{"no such secret", volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "gone"}}), []string{"volume odd", "secret gone is not there"}},
		{"no such key", volume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref("policy"), Items: []corev1.KeyToPath{{Key: "z", Path: "z"}}}}), []string{"config map policy has no key z"}},
		{"out of the volume", volume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref("policy"), Items: []corev1.KeyToPath{{Key: "a.yaml", Path: "../../x"}}}}), []string{"leads out of the volume"}},
		{"a secret variable", env(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref("keys"), Key: "tls.key"}}), []string{"variable ODD", "secret keys", "mount it as a file"}},
		{"no such variable", env(corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref("settings"), Key: "NONE"}}), []string{"variable ODD", "key NONE of config map settings"}},
		{"all of a secret", func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("keys")}}}
		}, []string{"secret keys", "mount it as files"}},
		{"all of no map", func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("gone")}}}
		}, []string{"config map gone"}},
		{"another user", func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: new(int64(1000))}
		}, []string{"does not run as root"}},
		{"a claimed resource", func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}} }, []string{"resource claim", "gpu"}},
	} {
		pod := readPod(t, "testdata/pod-volumes.yaml")
		test.change(pod)
		_, err := standInOf("kube-apiserver", pod, objects(), "/dir")
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		for _, want := range append(test.want, "pod kube-system/") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q lacks %q", test.name, err, want)
			}
		}
		for _, secret := range []string{"KEY", "CERT"} {
			if strings.Contains(err.Error(), secret+"\n") {
				t.Errorf("%s: the error %q shows a secret", test.name, err)
			}
		}
	}
}

// TestSamePrograms protects that only a pod which runs what its stand-in has run is trusted
// sooner: another image or argument is another program, and what the API fills in is not.
func TestSamePrograms(t *testing.T) {
	const base = "spec: {containers: [{name: a, image: i:1, command: [x, --y]}]}"
	for other, want := range map[string]bool{
		base: true,
		"spec: {terminationGracePeriodSeconds: 30, containers: [{name: a, image: i:1, command: [x, --y], terminationMessagePath: /p}]}": true,
		"spec: {containers: [{name: a, image: i:2, command: [x, --y]}]}":                                                                false,
		"spec: {containers: [{name: a, image: i:1, command: [x, --z]}]}":                                                                false,
		"spec: {containers: [{name: a, image: i:1, command: [x, --y], args: [b]}]}":                                                     false,
		"spec: {containers: []}": false,
		"":                       false,
		"\t":                     false,
	} {
		if got := samePrograms([]byte(base), []byte(other)); got != want {
			t.Errorf("%s: %t", other, got)
		}
		if other != base && samePrograms([]byte(other), nil) {
			t.Errorf("%s is the same as nothing", other)
		}
	}
}
