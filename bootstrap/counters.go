package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
	"craton.dev/craton/render/nftables"
)

// countEvery is how often the counters of a cluster that has the Console are written into
// it. So often somebody who looks at the contract sees them move.
const countEvery = 2 * time.Second

// consoleComponent is what people look at the counters with.
const consoleComponent = "console"

// Publish brings what is known of a cluster outside of its machines into it, till ctx ends: the
// counters of its rules, where people see them in the Console, and metrics, to where the node
// exporter serves them. Of a cluster that has neither it does nothing. It changes nothing else,
// so that it can run beside anything. What fails is tried again: what is in the cluster says of
// when it is.
func Publish(ctx context.Context, name string) {
	var group sync.WaitGroup
	group.Go(func() {
		p := &publisher{followed: followed{name: name}}
		every(ctx, countEvery, p.publish)
	})
	group.Go(func() {
		p := &measurer{followed: followed{name: name}}
		every(ctx, measureEvery, p.publish)
	})
	group.Wait()
}

// every does something again and again, each time within the period, till ctx ends.
func every(ctx context.Context, period time.Duration, do func(context.Context) error) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			limited, cancel := context.WithTimeout(ctx, period)
			_ = do(limited) // tried again
			cancel()
		}
	}
}

// followed is a cluster whose file may be another one at the next look.
type followed struct {
	name string
	// c is the cluster of the file that was applied at this time.
	c       *Cluster
	applied time.Time
}

// follow opens the cluster of the file that was applied last, and says whether that is another one
// than at the last look.
func (f *followed) follow() (anew bool, err error) {
	when, err := changedAt(filepath.Join(StateRoot, f.name, applied))
	if err != nil || f.c != nil && when.Equal(f.applied) {
		return false, err
	}
	c, err := Open(f.name, Options{})
	if err != nil {
		return false, err
	}
	f.c, f.applied = c, when
	return true, nil
}

// publisher is what Publish knows of counters from one time to the next.
type publisher struct {
	followed
	// client is by the kubeconfig that was written at this time.
	client  kubernetes.Interface
	written time.Time
	last    *inventory.Counters
	// clean is set when a cluster without the Console has no counters.
	clean bool
}

func (p *publisher) publish(ctx context.Context) error {
	anew, err := p.follow()
	if err != nil {
		return err
	}
	p.clean = p.clean && !anew
	on := slices.Contains(p.c.Plan.Components, consoleComponent)
	if !on && p.clean || !p.c.founded() {
		return nil
	}
	when, err := changedAt(p.c.kubeconfigPath())
	if err != nil {
		return err
	}
	if p.client == nil || !when.Equal(p.written) {
		config, err := clientcmd.BuildConfigFromFlags("", p.c.kubeconfigPath())
		if err != nil {
			return err
		}
		config.UserAgent, config.WarningHandler = "craton", rest.NoWarnings{}
		if p.client, err = kubernetes.NewForConfig(config); err != nil {
			return err
		}
		p.written = when
	}
	if !on {
		p.last, err = nil, removeCounters(ctx, p.client)
		p.clean = err == nil
		return err
	}
	clauses, drops, err := p.c.Platform.Counters(ctx)
	if err != nil {
		return err
	}
	p.last, err = writeCounters(ctx, p.client, p.last, counts(clauses), counts(drops), time.Now().UTC().Truncate(time.Second))
	return err
}

func changedAt(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func counts(in map[string]nftables.Count) map[string]inventory.Count {
	out := make(map[string]inventory.Count, len(in))
	for id, n := range in {
		out[id] = inventory.Count{Packets: n.Packets, Bytes: n.Bytes}
	}
	return out
}

// writeCounters writes the counters of now after those of the last time, which it reads from
// the cluster where last is nil, and returns what it has written. Where none has moved it
// writes nothing.
func writeCounters(ctx context.Context, client kubernetes.Interface, last *inventory.Counters, clauses, drops map[string]inventory.Count, now time.Time) (*inventory.Counters, error) {
	maps := client.CoreV1().ConfigMaps(manifests.System)
	if last == nil {
		held, err := maps.Get(ctx, manifests.CountersConfigMap, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		if err == nil {
			// What cannot be read is begun anew.
			last, _ = inventory.ParseCounters([]byte(held.Data[manifests.CountersKey]))
		}
	}
	next := last.Next(now, clauses, drops)
	if last != nil && same(last.Clauses, next.Clauses) && same(last.Drops, next.Drops) {
		return last, nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return last, fmt.Errorf("the counters for the cluster: %w", err)
	}
	held := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: manifests.CountersConfigMap, Namespace: manifests.System, Labels: map[string]string{manifests.PlatformLabel: "true"},
		},
		Data: map[string]string{manifests.CountersKey: string(text)},
	}
	// Nobody else writes them, so that they are replaced whole.
	if _, err = maps.Update(ctx, held, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
		_, err = maps.Create(ctx, held, metav1.CreateOptions{})
	}
	if err != nil {
		return last, errors.Join(errors.New("write the counters into the cluster"), err)
	}
	return next, nil
}

// removeCounters takes them away where nobody looks at them any more.
func removeCounters(ctx context.Context, client kubernetes.Interface) error {
	err := client.CoreV1().ConfigMaps(manifests.System).Delete(ctx, manifests.CountersConfigMap, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func same(a, b map[string]inventory.Count) bool {
	if len(a) != len(b) {
		return false
	}
	for id, n := range a {
		if b[id].Packets != n.Packets || !b[id].Used.Equal(n.Used) {
			return false
		}
	}
	return true
}
