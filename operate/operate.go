// Package operate holds the controllers that run inside the cluster, on masters, and keep
// it what the plan says: they decide which kubelet gets which certificate, put back a Node's
// labels and taints and the platform's objects, and look after the members of etcd.
//
// What to do is decided in functions without effects (decide, nodePatch, decideEtcdPods); the
// controllers apply it. The package reads the plan from the cluster, where `up` puts it; it
// makes no plan and no machines.
package operate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
	"unique"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"craton.dev/craton/render/manifests"
)

// Options are the operator's flags.
type Options struct {
	Config *rest.Config
	// Healthz is the address of /healthz, on loopback; "" for none.
	Healthz string
	// LeaderElect is for clusters with several masters: one operator acts at a time.
	LeaderElect bool
	// Etcd is how the members of etcd are reached that this cluster has on its masters.
	Etcd Etcd
	Log  logr.Logger
}

// pollEvery is how often an API server that does not answer yet is asked again. Controllers
// would wait ever longer between attempts, and each second counts while a cluster starts.
const pollEvery = 250 * time.Millisecond

// Run runs the controllers until ctx ends, which is no error. It first waits for as long as
// it takes until the API server answers and the plan is there.
func Run(ctx context.Context, o Options) error {
	if o.Healthz != "" {
		stop, err := serveHealth(o.Healthz, o.Log)
		if err != nil {
			return err
		}
		defer stop()
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	cfg := rest.CopyConfig(o.Config)
	cfg.QPS, cfg.Burst = 300, 600
	if err := waitForPlan(ctx, cfg, scheme, o.Log); err != nil {
		return ignoreEnd(ctx, err)
	}
	manager, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:  scheme,
		Logger:  o.Log,
		Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Node{}: {Transform: lightNode},
				// Only read where etcd is self-hosted.
				&corev1.Pod{}: {Namespaces: map[string]cache.Config{metav1.NamespaceSystem: {}}, Label: etcdAndItsUsers},
				&corev1.ConfigMap{}: {
					Namespaces: map[string]cache.Config{manifests.System: {}},
					Label:      platform,
				},
				&appsv1.Deployment{}: {Namespaces: map[string]cache.Config{metav1.NamespaceSystem: {}}, Label: platform, Transform: bareObject},
				&appsv1.DaemonSet{}:  {Namespaces: map[string]cache.Config{metav1.NamespaceSystem: {}}, Label: platform, Transform: bareObject},
			},
		},
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              manifests.OperatorLease,
		LeaderElectionNamespace:       manifests.System,
		LeaderElectionReleaseOnCancel: true,
		// Names of controllers are unique in a process for metrics' sake; there are none here,
		// and tests run several operators.
		Controller: config.Controller{SkipNameValidation: new(true), MaxConcurrentReconciles: 4},
	})
	if err != nil {
		return fmt.Errorf("set up the controllers: %w", err)
	}
	plans := &planSource{reader: manager.GetClient()}
	if err := addApprover(manager, plans); err != nil {
		return fmt.Errorf("set up the approver of certificates: %w", err)
	}
	if err := addNodes(manager, plans); err != nil {
		return fmt.Errorf("set up the controller of nodes: %w", err)
	}
	if err := addObjects(manager); err != nil {
		return fmt.Errorf("set up the keeper of the platform's objects: %w", err)
	}
	if err := addMembers(manager, plans, o); err != nil {
		return fmt.Errorf("set up the keeper of etcd's members: %w", err)
	}
	return ignoreEnd(ctx, manager.Start(ctx))
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// newScheme knows only the kinds that the operator uses: the full one costs memory.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, certificatesv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// waitForPlan returns once the plan can be read: the API server is there, and so are the
// operator's rights, which are applied before the plan.
func waitForPlan(ctx context.Context, cfg *rest.Config, scheme *runtime.Scheme, log logr.Logger) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var direct client.Client
	var told string
	for {
		err := func() (err error) {
			attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			if direct == nil {
				if direct, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
					return err
				}
			}
			return direct.Get(attempt, planKey, &corev1.ConfigMap{})
		}()
		if err == nil {
			return nil
		}
		if err.Error() != told {
			told = err.Error()
			log.Info("waiting for the API server and the plan in it", "because", told)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// platform selects what belongs to the platform.
var platform = labels.SelectorFromSet(labels.Set{manifests.PlatformLabel: "true"})

// bareObject keeps of an object what tells it from others and from what it was.
func bareObject(in any) (any, error) {
	if o, ok := in.(metav1.Object); ok {
		o.SetManagedFields(nil)
		o.SetAnnotations(nil)
	}
	switch o := in.(type) {
	case *appsv1.Deployment:
		o.Spec, o.Status = appsv1.DeploymentSpec{}, appsv1.DeploymentStatus{}
	case *appsv1.DaemonSet:
		o.Spec, o.Status = appsv1.DaemonSetSpec{}, appsv1.DaemonSetStatus{}
	}
	return in, nil
}

// lightNode keeps of a Node what nodePatch looks at. A Node's status is most of it.
func lightNode(in any) (any, error) {
	node, ok := in.(*corev1.Node)
	if !ok {
		return in, nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion,
			DeletionTimestamp: node.DeletionTimestamp, Labels: shared(node.Labels),
		},
		Spec: corev1.NodeSpec{Taints: node.Spec.Taints},
	}, nil
}

// shared holds each key and value of labels once for all Nodes: with thousands of them,
// they are most of what is kept.
func shared(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for k, v := range labels {
		out[unique.Make(k).Value()] = unique.Make(v).Value()
	}
	return out
}

func serveHealth(address string, log logr.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--healthz: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error(err, "the health endpoint ended")
		}
	}()
	return func() { server.Close() }, nil
}
