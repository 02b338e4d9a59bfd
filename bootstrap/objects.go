package bootstrap

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/parts"
)

// joinTime is how long a machine has to join with its bootstrap token.
const joinTime = time.Hour

// loadSecrets takes the secrets as they are: to issue certificates anew is for Up, which brings
// them where they are used.
func (c *Cluster) loadSecrets() (err error) {
	c.Secrets, err = pki.Held(filepath.Join(c.Dir, "pki"), c.Plan, time.Now())
	return err
}

// applyObjects applies what runs on the cluster from the start: kube-proxy, flannel,
// CoreDNS, the rights of kubelets and operator, the plan, and the join tokens.
func (c *Cluster) applyObjects(ctx context.Context) error {
	return c.apply(ctx, c.await)
}

// apply is applyObjects with a way to wait for the API.
func (c *Cluster) apply(ctx context.Context, await func(ctx context.Context, limit, pause time.Duration, check func(context.Context) (string, error)) error) error {
	if c.told {
		return nil
	}
	objects, err := manifests.Objects(c.Plan, c.Secrets, payload.Image, time.Now().Add(joinTime))
	if err != nil {
		return err
	}
	if err := c.tellMasters(ctx); err != nil {
		return err
	}
	if err := c.tellKubelets(ctx); err != nil {
		return err
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	c.opt.say("applying %d objects", len(objects))
	for _, o := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
		// The API has just come up: what it makes itself (namespaces, default roles) may
		// be missing for a moment.
		if err := await(ctx, time.Minute, 100*time.Millisecond, func(ctx context.Context) (string, error) {
			_, err := client.Resource(resource).Namespace(o.GetNamespace()).
				Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manifests.FieldManager, Force: true})
			if err != nil {
				return fmt.Sprintf("apply %s %s/%s: %v", o.GetKind(), o.GetNamespace(), o.GetName(), err), nil
			}
			return "", nil
		}); err != nil {
			return err
		}
	}
	// After a loss of power a member of a self-hosted etcd is handed over just then, and what the API
	// asks of it meanwhile may fail.
	if err := await(ctx, time.Minute, 100*time.Millisecond, func(ctx context.Context) (string, error) {
		if err := removeOthers(ctx, client, objects); err != nil {
			return err.Error(), nil
		}
		return "", nil
	}); err != nil {
		return err
	}
	c.told = true
	return nil
}

// removeOthers removes the objects of parts that are not among these, whichever craton applied
// them: those of parts that are off, and those that a part has under another name by now.
func removeOthers(ctx context.Context, client dynamic.Interface, objects []*unstructured.Unstructured) error {
	type id struct{ kind, namespace, name string }
	ours := map[id]bool{}
	for _, o := range objects {
		ours[id{o.GetKind(), o.GetNamespace(), o.GetName()}] = true
	}
	for _, kind := range parts.Kinds() {
		resource, _ := meta.UnsafeGuessKindToResource(kind)
		list, err := client.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: part.Label})
		if err != nil {
			return fmt.Errorf("list what is left of parts: %s: %w", kind.Kind, err)
		}
		for _, o := range list.Items {
			if ours[id{kind.Kind, o.GetNamespace(), o.GetName()}] {
				continue
			}
			err := client.Resource(resource).Namespace(o.GetNamespace()).
				Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("remove %s %s, which %s does not have any more: %w", kind.Kind, o.GetName(), o.GetLabels()[part.Label], err)
			}
		}
	}
	return nil
}

// awaitReady waits until every machine's node is ready, its pods of the platform run, and the API
// servers take those who may sign in.
func (c *Cluster) awaitReady(ctx context.Context) error {
	// Also those that were off when the others were told.
	if err := c.tellMasters(ctx); err != nil {
		return err
	}
	if err := c.tellKubelets(ctx); err != nil {
		return err
	}
	c.opt.say("looking whether all machines and components are ready")
	if err := c.await(ctx, 10*time.Minute, 200*time.Millisecond, c.telling(func(ctx context.Context) (string, error) {
		return c.notReady(ctx), nil
	})); err != nil {
		return err
	}
	return c.awaitTrust(ctx)
}
