package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"craton.dev/craton/render/manifests"
)

var objectsKey = types.NamespacedName{Namespace: manifests.System, Name: manifests.ObjectsConfigMap}

// putBackEvery is how often everything is looked at. What runs pods is seen at once when it
// is changed or deleted; the rest waits this long.
const putBackEvery = time.Minute

// objects puts the platform's objects back where somebody has deleted or changed them. A
// Deployment of the scheduler that is gone, for instance, cannot come back by itself.
type objects struct {
	client client.Client
}

func addObjects(m ctrl.Manager) error {
	o := &objects{client: m.GetClient()}
	// All of it is one piece of work, whatever it was that changed.
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: objectsKey}}
	})
	// Their status changes all the time.
	changed := builder.WithPredicates(predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(e event.UpdateEvent) bool { return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() },
		DeleteFunc:  func(event.DeleteEvent) bool { return true },
		GenericFunc: func(event.GenericEvent) bool { return false },
	})
	return ctrl.NewControllerManagedBy(m).Named("objects").
		For(&corev1.ConfigMap{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(c client.Object) bool {
			return client.ObjectKeyFromObject(c) == objectsKey
		}))).
		Watches(&appsv1.Deployment{}, one, changed).
		Watches(&appsv1.DaemonSet{}, one, changed).
		Complete(o)
}

// Reconcile applies every object that `up` has laid down, as `up` does. What is as it should
// be is not changed by that.
func (o *objects) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var held corev1.ConfigMap
	if err := o.client.Get(ctx, objectsKey, &held); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	var list []*unstructured.Unstructured
	if err := json.Unmarshal([]byte(held.Data[manifests.ObjectsKey]), &list); err != nil {
		return reconcile.Result{}, fmt.Errorf("the platform's objects in configmap %s: %w: run craton up, which writes it anew", objectsKey, err)
	}
	var failed []error
	for _, object := range list {
		if err := o.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
			client.FieldOwner(manifests.FieldManager), client.ForceOwnership); err != nil {
			failed = append(failed, fmt.Errorf("put %s %s back: %w", object.GetKind(), strings.TrimPrefix(client.ObjectKeyFromObject(object).String(), "/"), err))
			continue // the others may be what this one waits for
		}
		if time.Since(object.GetCreationTimestamp().Time) < 5*time.Second {
			log.FromContext(ctx).Info("made anew", "kind", object.GetKind(), "namespace", object.GetNamespace(), "name", object.GetName())
		}
	}
	return reconcile.Result{RequeueAfter: putBackEvery}, errors.Join(failed...)
}
