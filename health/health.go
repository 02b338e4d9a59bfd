// Package health says how the parts of a cluster are, in sentences: `craton status` and the
// Console show the same ones. Its functions judge objects that somebody else has read; it
// reads nothing itself and mends nothing.
package health

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/render/manifests/inventory"
)

// Node is "" where the node is ready, and otherwise what keeps it. A report from
// before its machine was started is no news of it.
func Node(n *corev1.Node, started time.Time) string {
	for _, cond := range n.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			switch {
			case cond.LastHeartbeatTime.Time.Before(started.Truncate(time.Second)):
				return "its kubelet has not reported since the machine was started"
			case cond.Status == corev1.ConditionTrue:
				return ""
			}
			return cond.Message
		}
	}
	return "its kubelet has not reported yet"
}

// Pods is "" where the kubelet of a machine has reported on all of these pods that run there since
// the machine was started, and otherwise the first on which it has not: until the kubelet has found
// a pod's containers gone with the power, the API goes on calling the pod ready.
func Pods(pods []corev1.Pod, machine string, started time.Time) string {
	for _, p := range pods {
		if p.Spec.NodeName != machine || p.DeletionTimestamp != nil {
			continue
		}
		for _, c := range p.Status.ContainerStatuses {
			if r := c.State.Running; r != nil && r.StartedAt.Time.Before(started.Truncate(time.Second)) {
				return fmt.Sprintf("its kubelet has not reported on pod %s since the machine was started", p.Name)
			}
		}
	}
	return ""
}

// Etcd is "" where etcd's members are as they should be, and otherwise what is wrong, as the
// operator sees it.
func Etcd(status *inventory.EtcdStatus) string {
	problem := cmp.Or(strings.Join(status.Alarms, "; "), status.Refusal, status.Problem)
	for _, m := range status.Members {
		switch {
		case problem != "":
		case !m.Healthy:
			problem = fmt.Sprintf("member %s is not healthy: %s", cmp.Or(m.Name, m.PeerURL), m.Problem)
		case m.Learner:
			problem = fmt.Sprintf("member %s still learns what the others know", cmp.Or(m.Name, m.PeerURL))
		}
	}
	return problem
}
