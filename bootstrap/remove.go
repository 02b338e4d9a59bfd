package bootstrap

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/machines"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
	"craton.dev/craton/render/part"
)

// platform selects what belongs to the platform.
const platform = manifests.PlatformLabel + "=true"

// drainTime is how long the pods of a machine that is to go have to leave it.
const drainTime = time.Minute

// surplus are the machines that the plan no longer has.
func (c *Cluster) surplus(ctx context.Context) ([]machines.State, error) {
	states, err := c.Platform.States(ctx)
	return slices.DeleteFunc(states, func(s machines.State) bool {
		return slices.ContainsFunc(c.Plan.Machines, func(m plan.Machine) bool { return m.Name == s.Name })
	}), err
}

// removeSurplus drains and removes the machines that the plan no longer has.
func (c *Cluster) removeSurplus(ctx context.Context) error {
	surplus, err := c.surplus(ctx)
	if err != nil {
		return err
	}
	for _, s := range surplus {
		c.opt.say("removing %s", s.Name)
		client, err := c.clientset()
		if err != nil {
			return err
		}
		master, err := isMaster(ctx, client, s.Name)
		if err != nil {
			return err
		}
		switch {
		case master:
			// The operator lets nobody go of whom it has not been told; the step "plan" could
			// not tell it where the API was just coming back.
			if err = c.partWithMasters(ctx); err == nil {
				err = c.awaitLeft(ctx, client, s.Name)
			}
		case s.Running:
			err = c.drain(ctx, client, s.Name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w; the machine is still there", s.Name, err)
		}
		if err := c.Platform.Remove(ctx, s.Name); err != nil {
			return err
		}
		err = client.CoreV1().Nodes().Delete(ctx, s.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete node %s: %w", s.Name, err)
		}
	}
	return nil
}

// isMaster tells what the machine was, by its Node: the plan has forgotten it.
func isMaster(ctx context.Context, client kubernetes.Interface, name string) (bool, error) {
	label, err := part.MasterLabel()
	if err != nil {
		return false, err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil // it never joined
	}
	if err != nil {
		return false, err
	}
	_, master := node.Labels[label]
	return master, nil
}

// partWithMasters tells the operator that it may let masters go that the plan no longer has. The
// load balancer is told before: an API server whose member has left can do nothing for its clients.
func (c *Cluster) partWithMasters(ctx context.Context) error {
	if err := c.Platform.Balance(ctx, c.Plan); err != nil {
		return err
	}
	if err := c.awaitAPI(ctx); err != nil {
		return err
	}
	return c.apply(ctx, wait)
}

// leaveTime is how long the members of etcd may take to part with one.
const leaveTime = time.Minute

// awaitLeft waits until the machine's member has no vote in etcd any more. The operator
// removes it where the others can do without. The machine, which does not know why, asks to
// be let in again as a learner; that one goes after the machine has gone.
func (c *Cluster) awaitLeft(ctx context.Context, client kubernetes.Interface, name string) error {
	if c.Plan.File.Etcd == etcdExternal {
		return nil
	}
	return wait(ctx, leaveTime, 500*time.Millisecond, func(ctx context.Context) (string, error) {
		status, err := etcdStatus(ctx, client)
		if err != nil {
			return "the state of etcd's members cannot be read: " + err.Error(), nil
		}
		if !slices.ContainsFunc(status.Members, func(m inventory.EtcdMember) bool { return m.Name == name && !m.Learner }) {
			return "", nil
		}
		return "its member of etcd still has its vote: " + cmp.Or(status.Refusal, status.Problem, status.Action), nil
	})
}

// drain keeps new pods off the node and evicts those that a controller makes elsewhere.
func (c *Cluster) drain(ctx context.Context, client kubernetes.Interface, node string) error {
	return c.drainWithin(ctx, client, node, drainTime)
}

func (c *Cluster) drainWithin(ctx context.Context, client kubernetes.Interface, node string, limit time.Duration) error {
	_, err := client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType,
		[]byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil // it never joined
	}
	if err != nil {
		return err
	}
	return wait(ctx, limit, 500*time.Millisecond, c.telling(func(ctx context.Context) (string, error) {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			return "the API does not say which pods it has: " + err.Error(), nil
		}
		there, kept := "", ""
		for _, pod := range pods.Items {
			if stays(&pod) {
				continue
			}
			there = cmp.Or(there, fmt.Sprintf("pod %s/%s is still there", pod.Namespace, pod.Name))
			err := client.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
				ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}})
			switch {
			case apierrors.IsTooManyRequests(err):
				kept = cmp.Or(kept, fmt.Sprintf("a disruption budget keeps pod %s/%s", pod.Namespace, pod.Name))
			case err != nil && !apierrors.IsNotFound(err):
				there = fmt.Sprintf("evict pod %s/%s: %v", pod.Namespace, pod.Name, err)
			}
		}
		// A pod that is ending does so without anybody's help.
		return cmp.Or(kept, there), nil
	}))
}

// stays tells whether a drain leaves the pod alone: a DaemonSet's or the kubelet's own.
func stays(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return true
	}
	for _, o := range p.OwnerReferences {
		if o.Kind == "DaemonSet" || o.Kind == "Node" {
			return true
		}
	}
	return false
}
