package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/console/kube"
)

// anyObject is what is shown of an object of any kind. Nothing of it holds a value that
// somebody may want to hide: no environment, no arguments, no annotations.
type anyObject struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Replicas *int32                `json:"replicas"`
		Selector *metav1.LabelSelector `json:"selector"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

// containerRow is what is shown of a container.
type containerRow struct {
	Name, Image, Detail string
	State               mark
	Restarts            int32
	Logs                string
}

// eventRow is one thing that the cluster has said about an object.
type eventRow struct {
	Type            mark
	Reason, Message string
	// About is the object, and Path its page; "" where it has none.
	About, Path string
	Count       int32
	Last        time.Time
}

// object shows one object: how it is, what it has said, and what belongs to it.
func (c *Console) object(a *asked) error {
	k, ok := kube.Workload(a.PathValue("kind"))
	if !ok || k.Name == kube.Events.Name {
		return errNowhere
	}
	ctx, namespace, name := a.Context(), a.PathValue("namespace"), a.PathValue("name")
	d := map[string]any{"Kind": k, "Namespace": namespace, "Name": name}
	live := []string{k.Name + "/" + namespace + "/" + name, "events/" + namespace}
	var meta metav1.ObjectMeta
	if k.Name == kube.Pods.Name {
		var pod corev1.Pod
		if err := a.person.Get(ctx, k, namespace, name, &pod); err != nil {
			return err
		}
		meta = pod.ObjectMeta
		d["Containers"], d["Phase"], d["Node"], d["Address"] = containers(&pod), string(pod.Status.Phase), pod.Spec.NodeName, pod.Status.PodIP
		d["Conditions"] = pod.Status.Conditions
	} else {
		var o anyObject
		if err := a.person.Get(ctx, k, namespace, name, &o); err != nil {
			return err
		}
		meta = o.ObjectMeta
		d["Conditions"] = o.Status.Conditions
		if o.Spec.Selector != nil {
			if selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector); err == nil {
				pods, err := a.person.Table(ctx, kube.Pods, kube.Ask{Namespace: namespace, Select: kube.Select{Labels: selector.String()}, Take: perPage, First: true})
				if err != nil && !apierrors.IsForbidden(err) {
					return err
				}
				if err == nil {
					d["Pods"] = listing(kube.Pods, pods, false).beginning(pods.Total, "/workloads?"+values("ns", namespace, "q", name))
					live = append(live, "pods/"+namespace)
				}
			}
		}
	}
	row, err := a.person.Table(ctx, k, kube.Ask{Namespace: namespace, Select: kube.Select{Fields: "metadata.name=" + name}, Take: 1})
	if err == nil && len(row.Rows) == 1 {
		row.Without("Name") // it is the page's title
		d["Summary"] = listing(k, row, false)
	}
	d["Labels"], d["Made"], d["Owner"] = pairs(meta.Labels), meta.CreationTimestamp.Time, owner(meta)
	events, err := eventsOf(ctx, a.person, namespace, meta.UID)
	if apierrors.IsForbidden(err) {
		d["EventsRefused"] = refused(err, a.session.Name)
	} else if err != nil {
		return err
	}
	d["Events"] = events
	return c.show(a, "object", frame{
		Title: name, Live: liveOf(live...), Data: d,
		Crumbs: []link{{Title: "Workloads", Path: "/workloads"}, {Title: k.Title, Path: "/workloads?" + values("kind", k.Name)},
			{Title: namespace, Path: "/workloads?" + values("kind", k.Name, "ns", namespace)}},
	})
}

func owner(m metav1.ObjectMeta) *link {
	for _, o := range m.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			return &link{
				Title: o.Kind + " " + o.Name,
				Path:  pathOf(corev1.ObjectReference{Kind: o.Kind, Namespace: m.Namespace, Name: o.Name}),
			}
		}
	}
	return nil
}

// pathOf is the page of an object, "" where there is none. Its kind is in any case of letters.
func pathOf(o corev1.ObjectReference) string {
	if strings.EqualFold(o.Kind, "Node") {
		return "/machines/" + o.Name
	}
	for _, k := range kube.Workloads() {
		if k.One != "" && strings.EqualFold(k.One, o.Kind) && o.Namespace != "" {
			return objectPath(k, o.Namespace, o.Name)
		}
	}
	return ""
}

func containers(pod *corev1.Pod) []containerRow {
	var rows []containerRow
	add := func(spec []corev1.Container, statuses []corev1.ContainerStatus) {
		for _, s := range spec {
			row := containerRow{Name: s.Name, Image: s.Image, State: state("warn", "Waiting"),
				Logs: "/logs/" + pod.Namespace + "/" + pod.Name + "?" + values("container", s.Name)}
			if i := slices.IndexFunc(statuses, func(st corev1.ContainerStatus) bool { return st.Name == s.Name }); i >= 0 {
				row.Restarts = statuses[i].RestartCount
				row.State, row.Detail = containerState(statuses[i])
			}
			rows = append(rows, row)
		}
	}
	add(pod.Spec.InitContainers, pod.Status.InitContainerStatuses)
	add(pod.Spec.Containers, pod.Status.ContainerStatuses)
	return rows
}

// containerState is the kubelet's word about a container.
func containerState(s corev1.ContainerStatus) (mark, string) {
	switch {
	case s.State.Running != nil && s.Ready:
		return state("ok", "Running"), "since " + ago(s.State.Running.StartedAt.Time)
	case s.State.Running != nil:
		return state("warn", "Running, not ready"), "since " + ago(s.State.Running.StartedAt.Time)
	case s.State.Waiting != nil:
		kind := "bad"
		if s.State.Waiting.Reason == "ContainerCreating" || s.State.Waiting.Reason == "PodInitializing" {
			kind = "warn"
		}
		return state(kind, s.State.Waiting.Reason), s.State.Waiting.Message
	case s.State.Terminated != nil && s.State.Terminated.ExitCode == 0:
		return state("ok", "Completed"), ago(s.State.Terminated.FinishedAt.Time)
	case s.State.Terminated != nil:
		return state("bad", s.State.Terminated.Reason), fmt.Sprintf("ended with code %d, %s", s.State.Terminated.ExitCode, ago(s.State.Terminated.FinishedAt.Time))
	}
	return state("warn", "Waiting"), ""
}

// eventsOf are the events about an object, the latest first.
func eventsOf(ctx context.Context, p *kube.Person, namespace string, about any) ([]eventRow, error) {
	return events(ctx, p, namespace, fmt.Sprintf("involvedObject.uid=%v", about))
}

func events(ctx context.Context, p *kube.Person, namespace, fields string) ([]eventRow, error) {
	var list corev1.EventList
	if err := p.List(ctx, kube.Events, namespace, kube.Select{Fields: fields, Limit: 200}, &list); err != nil {
		return nil, err
	}
	var rows []eventRow
	for _, e := range list.Items {
		row := eventRow{Type: *stateOf(kube.Events, "Type", e.Type), Reason: e.Reason, Message: e.Message, Count: max(1, e.Count), Last: lastSeen(&e)}
		row.About = e.InvolvedObject.Kind + " " + e.InvolvedObject.Name
		row.Path = pathOf(e.InvolvedObject)
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b eventRow) int { return b.Last.Compare(a.Last) })
	return rows, nil
}

// lastSeen is when an event was last the case, in whichever of its fields its maker says so.
func lastSeen(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
