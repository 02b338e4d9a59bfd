package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/payload"
)

// A canary is a Deployment with one pod. That it gets its pod, and that this runs, takes a
// controller manager, a scheduler and a kubelet that do their work.

// canaries are made one after another, all the time.
type canaries struct {
	play *play
	done chan struct{}

	mu    sync.Mutex
	waits []canaryWait
}

type canaryWait struct {
	made, ready time.Time // ready is zero while it waits
}

const canaryLabel = "craton-faults-canary"

func startCanaries(ctx context.Context, p *play) *canaries {
	c := &canaries{play: p, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for n := 0; ctx.Err() == nil; n++ {
			c.mu.Lock()
			c.waits = append(c.waits, canaryWait{made: time.Now()})
			c.mu.Unlock()
			if !c.fly(ctx, fmt.Sprintf("canary-%08x-%d", uint32(p.seed), n)) {
				return
			}
			c.mu.Lock()
			c.waits[n].ready = time.Now()
			c.mu.Unlock()
			sleep(ctx, 2*time.Second)
		}
	}()
	return c
}

// fly makes one and waits for its pod; false where ctx ended before.
func (c *canaries) fly(ctx context.Context, name string) bool {
	client := c.play.client
	labels := map[string]string{canaryLabel: name}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: new(int64(0)),
					// Every machine has this image already.
					Containers: []corev1.Container{{Name: "pause", Image: payload.Image("pause"), ImagePullPolicy: corev1.PullIfNotPresent}},
				},
			},
		},
	}
	made := false
	for {
		if !made {
			_, err := client.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, deployment, metav1.CreateOptions{})
			made = err == nil || apierrors.IsAlreadyExists(err)
		}
		if made {
			pods, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: canaryLabel + "=" + name})
			if err == nil && len(pods.Items) > 0 && ready(&pods.Items[0]) {
				_ = client.AppsV1().Deployments(metav1.NamespaceDefault).Delete(ctx, name, metav1.DeleteOptions{}) // clean does so too
				return true
			}
		}
		if !sleep(ctx, 250*time.Millisecond) {
			return false
		}
	}
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// await waits, so long at most, until no canary waits that was made by now.
func (c *canaries) await(ctx context.Context, limit time.Duration) {
	now := time.Now()
	for end := now.Add(limit); time.Now().Before(end); {
		c.mu.Lock()
		last := c.waits[len(c.waits)-1]
		c.mu.Unlock()
		if !last.ready.IsZero() || last.made.After(now) || !sleep(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// longest is how long one waited at most, not counting what was before from.
func (c *canaries) longest(from time.Time) (longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.waits {
		made, ready := w.made, w.ready
		if made.Before(from) {
			made = from
		}
		if ready.IsZero() {
			ready = time.Now()
		}
		longest = max(longest, ready.Sub(made))
	}
	return longest
}

// clean removes them.
func (c *canaries) clean(ctx context.Context) error {
	<-c.done
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); sleep(ctx, 500*time.Millisecond) {
		err = c.play.client.AppsV1().Deployments(metav1.NamespaceDefault).DeleteCollection(ctx, metav1.DeleteOptions{},
			metav1.ListOptions{LabelSelector: canaryLabel})
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return errors.Join(errors.New("remove the canaries"), err)
	}
	return nil
}
