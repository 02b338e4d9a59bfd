package operate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/operate/etcd"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// etcdView is what there is when somebody asks which pods of a self-hosted etcd to make or end.
type etcdView struct {
	spec *inventory.EtcdSpec
	// masters are the plan's; joined are the machines that have a Node.
	masters []string
	joined  map[string]bool
	// pods are all of etcd's, stand-ins too.
	pods []corev1.Pod
	// status is what was last seen of the members. It has a problem where nobody knows.
	status etcd.Status
}

// etcdChange is one pod to make or to end.
type etcdChange struct {
	// make is the machine that gets a pod, of etcd's version.
	make, version string
	// end is the name of a pod.
	end string
	why string
}

// decideEtcdPods says which pods to make and to end, and why the spec is not followed, or "".
//
// Each of the plan's masters has one, made as soon as its machine has joined: it asks the
// other members to let it in, and goes on with its data where it has some. So making one is never
// wrong. One is ended only where it has ended itself, or to be made anew from another template: then one
// at a time, while all members work. That of a machine that leaves the plan goes with the machine.
func decideEtcdPods(v etcdView) (changes []etcdChange, refusal string) {
	version, refusal := v.version()
	if int64(len(v.masters)) != v.spec.Size {
		refusal = fmt.Sprintf("spec.size is %d, but the plan has %d masters, and each has one member: change masters in the cluster file, then run craton up",
			v.spec.Size, len(v.masters))
	}
	byNode := map[string]*corev1.Pod{}
	for i := range v.pods {
		p := &v.pods[i]
		if isStandIn(p) || p.Spec.NodeName == "" {
			continue
		}
		byNode[p.Spec.NodeName] = p
		switch {
		case p.DeletionTimestamp != nil:
		case p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded:
			changes = append(changes, etcdChange{end: p.Name, why: "it has ended: " + cmp.Or(p.Status.Reason, string(p.Status.Phase))})
		}
	}
	for _, m := range v.masters {
		// A pod without a Node would be ended as an orphan.
		if byNode[m] == nil && v.joined[m] && version != "" {
			changes = append(changes, etcdChange{make: m, version: version, why: "master " + m + " has none"})
		}
	}
	if len(changes) == 0 {
		if p := v.outdated(version); p != nil {
			changes = append(changes, etcdChange{end: p.Name, why: "it is to be made anew from what EtcdCluster " + inventory.EtcdClusterName + " says now"})
		}
	}
	return changes, refusal
}

func isStandIn(p *corev1.Pod) bool { return p.Labels[manifests.StandInLabel] == "true" }

// outdated is the next pod that is to be made anew, or nil: of the leader last, and none while any
// member or pod is not well. A new version may leave the quorum with one member less.
func (v etcdView) outdated(version string) *corev1.Pod {
	if version == "" || v.status.Problem != "" || v.status.Refusal != "" || len(v.status.Members) != len(v.masters) {
		return nil
	}
	for _, m := range v.status.Members {
		if m.Learner || !m.Healthy || m.Problem != "" {
			return nil
		}
	}
	want := templateHash(v.spec, version)
	var next *corev1.Pod
	for i := range v.pods {
		p := &v.pods[i]
		if isStandIn(p) || !ready(p) {
			return nil
		}
		if p.Annotations[manifests.EtcdTemplateAnnotation] != want && (next == nil || next.Spec.NodeName == v.status.Leader) {
			next = p
		}
	}
	if len(v.pods) != len(v.masters) {
		return nil
	}
	return next
}

func ready(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// version is what new pods get: the spec's, where etcd can go there from what runs. It goes up by
// one minor version at a time, and never down.
func (v etcdView) version() (version, refusal string) {
	for _, p := range v.pods {
		if len(p.Spec.Containers) == 0 {
			continue
		}
		_, tag, _ := strings.Cut(p.Spec.Containers[0].Image, v.spec.Template.Spec.Containers[0].Image+":")
		if why := mayBecome(tag, v.spec.Version); why != "" {
			return tag, why
		}
	}
	if !versionForm.MatchString(v.spec.Version) {
		return "", fmt.Sprintf("spec.version %q is no version of etcd: expected one such as v3.7.3", v.spec.Version)
	}
	return v.spec.Version, ""
}

var versionForm = regexp.MustCompile(`^v(\d+)\.(\d+)\.(\d+)$`)

// mayBecome says why members cannot be brought from one version to another, or "".
func mayBecome(from, to string) string {
	a, b := versionForm.FindStringSubmatch(from), versionForm.FindStringSubmatch(to)
	if a == nil || from == to {
		return ""
	}
	if b == nil {
		return fmt.Sprintf("spec.version %q is no version of etcd: expected one such as %s", to, from)
	}
	n := func(s string) int { i, _ := strconv.Atoi(s); return i } // digits, by versionForm
	switch step := n(b[2]) - n(a[2]); {
	case a[1] != b[1] || step > 1:
		return fmt.Sprintf("spec.version is %s, but members of %s run: etcd is brought forward by one minor version at a time", to, from)
	case step < 0 || step == 0 && n(b[3]) < n(a[3]):
		return fmt.Sprintf("spec.version is %s, but members of %s run: etcd's data do not go back to an older version", to, from)
	}
	return ""
}

// templateHash names what a pod is made from, apart from what differs between machines.
func templateHash(spec *inventory.EtcdSpec, version string) string {
	text, _ := json.Marshal(spec.Template) // it came as JSON: it does not fail
	sum := sha256.Sum256(append(text, version...))
	return hex.EncodeToString(sum[:8])
}

// etcdPod is a machine's pod. Its Node owns it: it goes with the machine, and a drain, which moves
// pods to other machines, leaves it alone.
func etcdPod(spec *inventory.EtcdSpec, version string, node *corev1.Node, others []string) (*corev1.Pod, error) {
	pod := &corev1.Pod{ObjectMeta: *spec.Template.ObjectMeta.DeepCopy(), Spec: *spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = etcdClusterKey.Namespace, inventory.EtcdClusterName+"-"+node.Name
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[manifests.EtcdTemplateAnnotation] = templateHash(spec, version)
	pod.OwnerReferences = ownedBy(node)
	pod.Spec.NodeName = node.Name
	pod.Spec.Containers[0].Image += ":" + version
	return pod, manifests.WithOthers(&pod.Spec, others)
}
