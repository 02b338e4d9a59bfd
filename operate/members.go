package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"craton.dev/craton/operate/etcd"
	"craton.dev/craton/render/manifests"
)

// Etcd says how the masters' members of etcd are reached. Members are looked after only
// where TLS is set: an etcd of the user's is the user's.
type Etcd struct {
	TLS                  etcd.TLS
	ClientPort, PeerPort int
	// Pods says that the members are pods which the operator makes, as an EtcdCluster says.
	Pods bool
}

// statusEvery is how long a status may stay unwritten while nothing in it changes but
// sizes and times.
const statusEvery = 30 * time.Second

// addMembers makes the elected operator look after the members of etcd.
func addMembers(m ctrl.Manager, plans *planSource, o Options) error {
	if o.Etcd.TLS.CA == "" {
		return nil
	}
	keep := etcd.KeepOptions{TLS: o.Etcd.TLS, Log: o.Log.WithName("etcd")}
	write, finish := writeStatus, func(s etcd.Status) etcd.Status { return s }
	if o.Etcd.Pods {
		pods, err := addEtcdCluster(m, plans, o)
		if err != nil {
			return err
		}
		keep.Seed, keep.Needed, finish = pods.seedURL, pods.needed, pods.report
		write = func(ctx context.Context, c client.Client, s etcd.Status) error {
			return errors.Join(writeStatus(ctx, c, s), writeEtcdCluster(ctx, c, s))
		}
	}
	return m.Add(manager.RunnableFunc(func(ctx context.Context) error {
		reports := make(chan etcd.Status, 1)
		go keepStatus(ctx, m.GetClient(), reports, write, o)
		keep.Masters = func() ([]etcd.Master, error) {
			plan, err := plans.get(ctx)
			if err != nil {
				return nil, err
			}
			var masters []etcd.Master
			for _, machine := range plan.Masters() {
				masters = append(masters, etcd.Master{
					Name:      machine.Name,
					ClientURL: etcdURL(machine.Address.String(), o.Etcd.ClientPort),
					PeerURL:   etcdURL(machine.Address.String(), o.Etcd.PeerPort),
				})
			}
			return masters, nil
		}
		keep.Report = func(s etcd.Status) {
			select {
			case reports <- finish(s):
			default: // the last one is still being written; another follows
			}
		}
		return etcd.Keep(ctx, keep)
	}))
}

// keepStatus writes what is reported into the cluster, where `craton status` and `craton up`
// read it.
func keepStatus(ctx context.Context, c client.Client, reports <-chan etcd.Status, write func(context.Context, client.Client, etcd.Status) error, o Options) {
	var written etcd.Status
	var at time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-reports:
			if same(written, s) && time.Since(at) < statusEvery {
				continue
			}
			if err := write(ctx, c, s); err != nil {
				o.Log.Error(err, "write the status of etcd")
				continue
			}
			written, at = s, time.Now()
		}
	}
}

// same tells whether two reports say the same, apart from sizes and times.
func same(a, b etcd.Status) bool {
	plain := func(s etcd.Status) string {
		s.Time = time.Time{}
		s.Members = append([]etcd.MemberStatus(nil), s.Members...)
		for i := range s.Members {
			s.Members[i].Bytes = 0
		}
		text, _ := json.Marshal(s) // strings, numbers and a time: it does not fail
		return string(text)
	}
	return plain(a) == plain(b)
}

func writeStatus(ctx context.Context, c client.Client, s etcd.Status) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	held := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: manifests.System, Name: manifests.EtcdConfigMap,
			Labels: map[string]string{manifests.PlatformLabel: "true"}},
		Data: map[string]string{manifests.EtcdStatusKey: string(text)},
	}
	// Nobody else writes it, so that it is replaced whole, without a look at what it was.
	err = c.Update(ctx, held)
	if apierrors.IsNotFound(err) {
		err = c.Create(ctx, held)
	}
	if err != nil {
		return fmt.Errorf("configmap %s/%s: %w", manifests.System, manifests.EtcdConfigMap, err)
	}
	return nil
}
