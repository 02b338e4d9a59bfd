package bootstrap

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/render/manifests"
)

// platform selects what belongs to the platform.
const platform = manifests.PlatformLabel + "=true"

// drainTime is how long the pods of a machine that is to go have to leave it.
const drainTime = time.Minute

// removeSurplus drains and removes the machines that the plan no longer has.
func (c *Cluster) removeSurplus(ctx context.Context) error {
	planned := map[string]bool{}
	for _, m := range c.Plan.Machines {
		planned[m.Name] = true
	}
	states, err := c.Platform.States(ctx)
	if err != nil {
		return err
	}
	for _, s := range states {
		if planned[s.Name] {
			continue
		}
		c.opt.say("removing %s", s.Name)
		client, err := c.clientset()
		if err != nil {
			return err
		}
		if s.Running {
			if err := c.drain(ctx, client, s.Name); err != nil {
				return fmt.Errorf("drain %s: %w; the machine is still there", s.Name, err)
			}
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

// drain keeps new pods off the node and evicts those that a controller makes elsewhere.
func (c *Cluster) drain(ctx context.Context, client kubernetes.Interface, node string) error {
	_, err := client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType,
		[]byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil // it never joined
	}
	if err != nil {
		return err
	}
	return c.await(ctx, drainTime, 500*time.Millisecond, func(ctx context.Context) (string, error) {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			return "", err
		}
		wait := ""
		for _, pod := range pods.Items {
			if stays(&pod) {
				continue
			}
			wait = fmt.Sprintf("pod %s/%s is still there", pod.Namespace, pod.Name)
			err := client.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
				ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}})
			if apierrors.IsTooManyRequests(err) {
				wait = fmt.Sprintf("a disruption budget keeps pod %s/%s", pod.Namespace, pod.Name)
			} else if err != nil && !apierrors.IsNotFound(err) {
				return "", err
			}
		}
		return wait, nil
	})
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
