package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// Component is how one program of the platform is, over all machines. Problem is a
// sentence, "" where nothing is wrong.
type Component struct {
	Name    string `json:"name"`
	Want    int    `json:"want"`
	Ready   int    `json:"ready"`
	Problem string `json:"problem,omitempty"`
}

// Objects are the platform's own of a cluster: those with its label.
type Objects struct {
	Pods        []corev1.Pod
	DaemonSets  []appsv1.DaemonSet
	Deployments []appsv1.Deployment
}

// Components are the platform's programs: the static pods and those of a self-hosted etcd by their label, and its
// DaemonSets and Deployments. A stand-in is a problem of its component: the hand-over to
// the real pod is under way, or something keeps that one from its work. Pods on other
// machines than these are of machines that are gone.
func Components(o Objects, machines map[string]bool) []Component {
	var out []Component
	index, standIns := map[string]int{}, map[string][]string{}
	for _, pod := range o.Pods {
		name := pod.Labels[manifests.ComponentLabel]
		if _, static := pod.Annotations[corev1.MirrorPodAnnotationKey]; !static && name != inventory.EtcdClusterName {
			continue // counted below, with its DaemonSet or Deployment
		}
		if !machines[pod.Spec.NodeName] {
			continue // its machine is gone, and it soon will be
		}
		if pod.Labels[manifests.StandInLabel] == "true" {
			standIns[name] = append(standIns[name], pod.Spec.NodeName)
			continue
		}
		i, ok := index[name]
		if !ok {
			i = len(out)
			index[name] = i
			out = append(out, Component{Name: name})
		}
		out[i].Want++
		if podReady(&pod) {
			out[i].Ready++
		} else {
			out[i].Problem = fmt.Sprintf("pod %s is not ready: %s", pod.Name, podProblem(&pod))
		}
	}
	for _, d := range o.DaemonSets {
		want := int(d.Status.DesiredNumberScheduled)
		comp := Component{d.Name, want, ready(d.Status.NumberReady, want, of(d.Namespace, d.Spec.Selector, o.Pods, machines)), ""}
		if d.Status.ObservedGeneration < d.Generation || comp.Ready < comp.Want || comp.Want == 0 {
			comp.Problem = fmt.Sprintf("%s: %d of %d pods are ready", d.Name, comp.Ready, comp.Want)
		} else if old := comp.Want - int(d.Status.UpdatedNumberScheduled); old > 0 {
			comp.Problem = fromBefore(d.Name, old, comp.Want)
		}
		out = append(out, comp)
	}
	for _, d := range o.Deployments {
		want, pods := int(*d.Spec.Replicas), of(d.Namespace, d.Spec.Selector, o.Pods, machines)
		comp := Component{d.Name, want, ready(d.Status.ReadyReplicas, want, pods), ""}
		if d.Status.ObservedGeneration < d.Generation || comp.Ready < comp.Want {
			comp.Problem = fmt.Sprintf("%s: %d of %d pods are ready", d.Name, comp.Ready, comp.Want)
		} else if old := int(d.Status.Replicas - d.Status.UpdatedReplicas); old > 0 {
			comp.Problem = fromBefore(d.Name, old, int(d.Status.Replicas))
		} else if old := ending(pods); old > 0 {
			comp.Problem = fromBefore(d.Name, old, old+int(d.Status.Replicas))
		}
		out = append(out, comp)
	}
	for i := range out {
		if on := standIns[out[i].Name]; len(on) > 0 && out[i].Problem == "" {
			slices.Sort(on)
			out[i].Problem = fmt.Sprintf("a stand-in still runs on %s", strings.Join(on, ", "))
		}
		delete(standIns, out[i].Name)
	}
	for _, name := range slices.Sorted(maps.Keys(standIns)) {
		out = append(out, Component{Name: name, Problem: fmt.Sprintf("only stand-ins run, on %s", strings.Join(standIns[name], ", "))})
	}
	return out
}

// fromBefore says that some pods do what was asked before: users that the file no longer has still
// sign in there.
func fromBefore(name string, old, all int) string {
	return fmt.Sprintf("%s: %d of %d pods are still those from before", name, old, all)
}

// of are the pods of a DaemonSet or a Deployment that are on these machines.
func of(namespace string, selector *metav1.LabelSelector, pods []corev1.Pod, machines map[string]bool) (its []corev1.Pod) {
	selects, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil // the API takes no such
	}
	for _, pod := range pods {
		if pod.Namespace == namespace && machines[pod.Spec.NodeName] && selects.Matches(labels.Set(pod.Labels)) {
			its = append(its, pod)
		}
	}
	return its
}

// ready is how many of a component's pods are: as many as its controller says, but none that its kubelet
// does not call so. A controller's status is older than that, by half a minute where the machine of the leading
// controller manager was lost.
func ready(said int32, want int, pods []corev1.Pod) int {
	unready := 0
	for _, pod := range pods {
		over := pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		if !over && !podReady(&pod) {
			unready++
		}
	}
	return min(int(said), max(0, want-unready))
}

// ending counts those of a Deployment's pods that are of an earlier template, and are told to end and go on
// answering meanwhile. Its status does not count them. One of today's template that ends is no problem.
func ending(pods []corev1.Pod) (old int) {
	const template = appsv1.DefaultDeploymentUniqueLabelKey
	today, ends := map[string]bool{}, []string{}
	for _, pod := range pods {
		if hash := pod.Labels[template]; pod.DeletionTimestamp == nil {
			today[hash] = true
		} else {
			ends = append(ends, hash)
		}
	}
	for _, hash := range ends {
		if !today[hash] {
			old++
		}
	}
	return old
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podProblem is what the kubelet says of the first container that does not run.
func podProblem(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			return strings.TrimSpace(w.Reason + " " + w.Message)
		}
		if t := c.State.Terminated; t != nil {
			return fmt.Sprintf("it ended with code %d", t.ExitCode)
		}
	}
	return strings.ToLower(string(p.Status.Phase))
}
