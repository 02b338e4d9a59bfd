package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"craton.dev/craton/operate/etcd"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

var etcdClusterKey = types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: inventory.EtcdClusterName}

const apiServer = "kube-apiserver"

// etcdPods selects the pods of a self-hosted etcd, and etcdAndItsUsers also the API servers'; both
// their stand-ins too.
var (
	etcdPods        = labels.SelectorFromSet(labels.Set{manifests.ComponentLabel: inventory.EtcdClusterName})
	etcdAndItsUsers = labels.NewSelector().Add(*must(labels.NewRequirement(
		manifests.ComponentLabel, selection.In, []string{inventory.EtcdClusterName, apiServer})))
)

// must is for what is written here.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// etcdEvery is how often the pods are looked at although none has changed: the members, or the spec,
// may have.
const etcdEvery = 3 * time.Second

// etcdCluster makes the pods of a self-hosted etcd what its custom resource says. The members
// themselves are package etcd's, as with any etcd of the cluster's own.
type etcdCluster struct {
	client client.Client
	plans  *planSource
	port   int

	mu     sync.Mutex
	status etcd.Status
	seed   string
	// refusal is why the spec is not followed, or "".
	refusal string
}

func addEtcdCluster(m ctrl.Manager, plans *planSource, o Options) (*etcdCluster, error) {
	e := &etcdCluster{client: m.GetClient(), plans: plans, port: o.Etcd.ClientPort, status: etcd.Status{Problem: "nobody has asked etcd yet"}}
	// All of it is one piece of work, whatever it was that changed.
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: etcdClusterKey}}
	})
	return e, ctrl.NewControllerManagedBy(m).Named("etcd").
		Watches(&corev1.Pod{}, one).
		Watches(&corev1.Node{}, one).
		Watches(&corev1.ConfigMap{}, one).
		Complete(e)
}

// Reconcile makes and ends pods. After an error the next attempt comes as soon as any: the cluster may
// stand on it.
func (e *etcdCluster) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if err := e.reconcile(ctx); err != nil {
		log.FromContext(ctx).Error(err, "the pods of etcd are not what they are to be")
	}
	return reconcile.Result{RequeueAfter: etcdEvery}, nil
}

func (e *etcdCluster) reconcile(ctx context.Context) error {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(inventory.EtcdCluster)
	if err := e.client.Get(ctx, etcdClusterKey, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	v := etcdView{}
	var err error
	if v.spec, err = inventory.ParseEtcdSpec(object); err != nil {
		return err
	}
	if len(v.spec.Template.Spec.Containers) == 0 {
		return fmt.Errorf("EtcdCluster %s: its template has no container: run craton up, which writes it anew", etcdClusterKey)
	}
	plan, err := e.plans.get(ctx)
	if err != nil {
		return err
	}
	nodes := map[string]*corev1.Node{}
	v.joined = map[string]bool{}
	for _, m := range plan.Masters() {
		v.masters = append(v.masters, m.Name)
		node := &corev1.Node{}
		err := e.client.Get(ctx, types.NamespacedName{Name: m.Name}, node)
		if err == nil && node.DeletionTimestamp == nil {
			nodes[m.Name], v.joined[m.Name] = node, true
		} else if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	var pods corev1.PodList
	if err := e.client.List(ctx, &pods, client.InNamespace(etcdClusterKey.Namespace), client.MatchingLabelsSelector{Selector: etcdPods}); err != nil {
		return err
	}
	v.pods = pods.Items
	v.status = e.seen(v.spec.Seed)
	changes, refusal := decideEtcdPods(v)
	e.refuse(refusal)
	for _, c := range changes {
		log := log.FromContext(ctx).WithValues("because", c.why)
		if c.end != "" {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: etcdClusterKey.Namespace, Name: c.end}}
			if err := e.client.Delete(ctx, pod); client.IgnoreNotFound(err) != nil {
				return err
			}
			log.Info("ended a pod of etcd", "pod", c.end)
			continue
		}
		pod, err := etcdPod(v.spec, c.version, nodes[c.make], e.others(plan.Masters(), c.make, v))
		if err != nil {
			return err
		}
		if err := e.client.Create(ctx, pod); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		log.Info("made a pod of etcd", "pod", pod.Name)
	}
	return nil
}

// others are the client URLs of a machine's fellow members: those of the plan, and those that there
// are, such as a temporary one.
func (e *etcdCluster) others(masters []inventory.Machine, machine string, v etcdView) []string {
	own := ""
	var urls []string
	for _, m := range masters {
		u := etcdURL(m.Address.String(), e.port)
		if m.Name == machine {
			own = u
			continue
		}
		urls = append(urls, u)
	}
	if v.spec.Seed != "" {
		urls = append(urls, v.spec.Seed)
	}
	for _, m := range v.status.Members {
		if m.ClientURL != "" && m.ClientURL != own {
			urls = append(urls, m.ClientURL)
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// seen is what was last reported of the members, and notes where the temporary one is.
func (e *etcdCluster) seen(seed string) etcd.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seed = seed
	if e.status.Problem == "" && time.Since(e.status.Time) > 5*etcdEvery {
		return etcd.Status{Problem: "nobody has asked etcd for some time"}
	}
	return e.status
}

func (e *etcdCluster) refuse(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusal = why
}

// report takes the keeper's report, with what it does not know of: a spec that is not followed.
func (e *etcdCluster) report(s etcd.Status) etcd.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = s
	if s.Refusal == "" {
		s.Refusal = e.refusal
	}
	return s
}

// seedURL is where the temporary member is, or "".
func (e *etcdCluster) seedURL() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seed
}

// needed says who still needs the temporary member: an API server that has no other etcd. A
// real one has to be ready instead of it.
func (e *etcdCluster) needed(ctx context.Context, m etcd.Member) string {
	if len(m.ClientURLs) == 0 {
		return ""
	}
	at, err := url.Parse(m.ClientURLs[0])
	if err != nil {
		return err.Error()
	}
	if at.Port() == strconv.Itoa(e.port) {
		return "" // a master's
	}
	var pods corev1.PodList
	err = e.client.List(ctx, &pods, client.InNamespace(etcdClusterKey.Namespace), client.MatchingLabels{manifests.ComponentLabel: apiServer})
	if err != nil {
		return "the API does not say which API servers use it: " + err.Error()
	}
	return usesSeed(pods.Items, at)
}

// usesSeed names an API server that uses the temporary member at a URL, or says that there is
// none yet on its machine that does not. "" is the proof that nobody does.
func usesSeed(servers []corev1.Pod, seed *url.URL) string {
	other := false
	for i := range servers {
		p := &servers[i]
		for _, c := range p.Spec.Containers {
			for _, arg := range c.Command {
				if strings.Contains(arg, seed.Host) {
					return "API server " + p.Name + " uses it"
				}
			}
		}
		other = other || ready(p) && !isStandIn(p) && p.Status.HostIP == seed.Hostname()
	}
	if !other {
		return "the API server that is to use the new members is not ready yet"
	}
	return ""
}

// writeEtcdCluster writes the members into the custom resource.
func writeEtcdCluster(ctx context.Context, c client.Client, s etcd.Status) error {
	text, err := json.Marshal(map[string]any{"status": s.Status()})
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(inventory.EtcdCluster)
	object.SetNamespace(etcdClusterKey.Namespace)
	object.SetName(etcdClusterKey.Name)
	if err := c.Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, text)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("the status of EtcdCluster %s: %w", etcdClusterKey, err)
	}
	return nil
}

func ownedBy(node *corev1.Node) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
}

func etcdURL(host string, port int) string {
	return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
}
