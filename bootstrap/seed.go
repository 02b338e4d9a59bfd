package bootstrap

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// The kinds of etcd that are told apart here.
const (
	etcdExternal   = "external"
	etcdSelfHosted = "selfHosted"
)

// settledFile, in the cluster's folder, is there once a self-hosted etcd has no temporary
// member any more. It never gets another one: the clauses about it open nothing from then on.
const settledFile = "settled"

// planOf is the plan of the file, at the point at which the cluster is.
func (c *Cluster) planOf(file *cluster.Cluster) (*plan.Plan, error) {
	if _, err := os.Stat(filepath.Join(c.Dir, settledFile)); err == nil {
		return plan.Settled(file)
	}
	return plan.Make(file)
}

// seedTime is how long the temporary member may take to leave once all else is ready: etcd
// parts with a member only when the others have been in touch for five seconds.
const seedTime = 2 * time.Minute

// endSeed waits until a self-hosted etcd does without the temporary member that it began with,
// and shuts what only that one needed.
func (c *Cluster) endSeed(ctx context.Context) error {
	if !c.Plan.Seed {
		return nil
	}
	client, err := c.clientset()
	if err != nil {
		return err
	}
	c.opt.say("looking whether etcd does without its temporary member")
	if err := c.await(ctx, seedTime, 250*time.Millisecond, func(ctx context.Context) (string, error) {
		pods, err := client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: manifests.ComponentLabel + "=" + manifests.SeedName})
		if err != nil {
			return "the API does not say whether it still runs: " + err.Error(), nil
		}
		status, err := etcdStatus(ctx, client)
		if err != nil {
			return "the state of etcd's members cannot be read: " + err.Error(), nil
		}
		for _, m := range status.Members {
			if !slices.ContainsFunc(c.masters(), func(p plan.Machine) bool { return p.Name == m.Name }) {
				return fmt.Sprintf("member %s has not left etcd: %s", m.Name, saidOf(status)), nil
			}
		}
		if len(pods.Items) > 0 {
			return "pod " + pods.Items[0].Name + " is still there", nil
		}
		return "", nil
	}); err != nil {
		return err
	}
	if err := c.note(settledFile); err != nil {
		return err
	}
	if c.Plan, err = c.planOf(c.Plan.File); err != nil {
		return err
	}
	c.told = false
	if err := c.applyObjects(ctx); err != nil {
		return err
	}
	return c.Platform.Prepare(ctx, c.Plan)
}

func saidOf(s *inventory.EtcdStatus) string {
	for _, text := range []string{s.Refusal, s.Problem, s.Action} {
		if text != "" {
			return text
		}
	}
	return "the operator has said nothing yet"
}

// countEtcd makes pods of a self-hosted etcd that are not there count as those that are: nothing
// else says how many there are to be.
func countEtcd(all []Component, masters int) []Component {
	i := slices.IndexFunc(all, func(comp Component) bool { return comp.Name == inventory.EtcdClusterName })
	if i < 0 {
		i, all = len(all), append(all, Component{Name: inventory.EtcdClusterName})
	}
	c := &all[i]
	if c.Want < masters {
		c.Want = masters
		c.Problem = cmp.Or(c.Problem, fmt.Sprintf("%s: %d of %d pods are ready", c.Name, c.Ready, c.Want))
	}
	return all
}
