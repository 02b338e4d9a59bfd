package operate

import (
	"context"
	"fmt"
	"sync"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

var planKey = types.NamespacedName{Namespace: manifests.System, Name: manifests.PlanConfigMap}

// planSource reads the plan from the cache, and parses it only when it has changed.
type planSource struct {
	reader client.Reader

	mu      sync.Mutex
	version string
	plan    *inventory.Inventory
}

// get fails where there is no plan or it cannot be read; then nothing is decided. The plan
// is shared: nobody may change it.
func (s *planSource) get(ctx context.Context) (*inventory.Inventory, error) {
	var held corev1.ConfigMap
	if err := s.reader.Get(ctx, planKey, &held, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("the plan for the operator: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plan != nil && s.version == held.ResourceVersion {
		return s.plan, nil
	}
	plan, err := inventory.Parse([]byte(held.Data[manifests.PlanKey]))
	if err != nil {
		return nil, err
	}
	s.plan, s.version = plan, held.ResourceVersion
	return plan, nil
}

// approver applies decide to each request.
type approver struct {
	client client.Client
	plans  *planSource
}

func addApprover(m ctrl.Manager, plans *planSource) error {
	a := &approver{client: m.GetClient(), plans: plans}
	return ctrl.NewControllerManagedBy(m).Named("certificates").
		For(&certificatesv1.CertificateSigningRequest{}).
		// Requests that came before the plan did wait for it.
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(all(m.GetClient(), &certificatesv1.CertificateSigningRequestList{}))).
		Complete(a)
}

func (a *approver) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	csr := &certificatesv1.CertificateSigningRequest{}
	if err := a.client.Get(ctx, r.NamespacedName, csr); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !ours(csr) {
		return reconcile.Result{}, nil
	}
	plan, err := a.plans.get(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	approve, reason := decide(csr, plan)
	condition := certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateDenied, Status: corev1.ConditionTrue,
		Reason: "CratonPlan", Message: reason,
	}
	if approve {
		condition.Type = certificatesv1.CertificateApproved
	}
	csr.Status.Conditions = append(csr.Status.Conditions, condition)
	// Somebody else's decision, or the request's end, in between is theirs.
	if err := a.client.SubResource("approval").Update(ctx, csr); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	log.FromContext(ctx).Info("decided", "approved", approve, "reason", reason, "requester", csr.Spec.Username)
	return reconcile.Result{}, nil
}

// nodes applies nodePatch to each Node.
type nodes struct {
	client client.Client
	plans  *planSource
}

func addNodes(m ctrl.Manager, plans *planSource) error {
	n := &nodes{client: m.GetClient(), plans: plans}
	return ctrl.NewControllerManagedBy(m).Named("nodes").
		For(&corev1.Node{}).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(all(m.GetClient(), &corev1.NodeList{}))).
		Complete(n)
}

func (n *nodes) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	node := &corev1.Node{}
	if err := n.client.Get(ctx, r.NamespacedName, node); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if node.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	plan, err := n.plans.get(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	machine := plan.Machine(node.Name)
	if machine == nil {
		// It keeps the taint with which it came, so that nothing runs on it.
		log.FromContext(ctx).Info("the plan has no such machine: its Node is left alone")
		return reconcile.Result{}, nil
	}
	patch, err := nodePatch(node, machine)
	if err != nil || patch == nil {
		return reconcile.Result{}, err
	}
	if err := n.client.Patch(ctx, node, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	log.FromContext(ctx).Info("labels and taints made what the plan says", "patch", string(patch))
	return reconcile.Result{}, nil
}

// all asks for everything of a kind again: the plan is another one.
func all(c client.Client, kind client.ObjectList) handler.MapFunc {
	return func(ctx context.Context, _ client.Object) []reconcile.Request {
		list := kind.DeepCopyObject().(client.ObjectList)
		if err := c.List(ctx, list); err != nil {
			log.FromContext(ctx).Error(err, "list what the new plan is about")
			return nil
		}
		var out []reconcile.Request
		switch list := list.(type) {
		case *corev1.NodeList:
			for _, o := range list.Items {
				out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: o.Name}})
			}
		case *certificatesv1.CertificateSigningRequestList:
			for _, o := range list.Items {
				out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: o.Name}})
			}
		}
		return out
	}
}
