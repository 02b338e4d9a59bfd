package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// foundedFile, in the cluster's folder, is there once the cluster has answered. From then
// on a machine that is made joins it: a second machine that begins alone would be a second
// cluster under the name of the first.
const foundedFile = "founded"

func (c *Cluster) founded() bool {
	_, err := os.Stat(filepath.Join(c.Dir, foundedFile))
	return err == nil
}

// foundCluster waits for the API, and notes that there is a cluster from now on.
func (c *Cluster) foundCluster(ctx context.Context) error {
	if err := c.awaitAPI(ctx); err != nil {
		return err
	}
	if c.founded() {
		return nil
	}
	return c.note(foundedFile)
}

// note makes one of the files that say how far the cluster has come.
func (c *Cluster) note(file string) error {
	return os.WriteFile(filepath.Join(c.Dir, file), nil, 0o600)
}

// answerTime is how long the API may take to answer where nothing waits for it.
const answerTime = 2 * time.Second

// answers says whether the cluster's API does. Where no master runs, that is known without a
// question that nobody hears.
func (c *Cluster) answers(ctx context.Context) bool {
	if running, err := c.runningMasters(ctx); err == nil && len(running) == 0 {
		return false
	}
	client, err := c.clientset()
	return err == nil && askAPI(ctx, client, answerTime) == nil
}

// tellPlan tells a cluster that runs already what is to become of it, before machines come
// and go: who is not in the plan is not let in, and leaves etcd in good order. Where the
// API does not answer, it is told when it does.
func (c *Cluster) tellPlan(ctx context.Context) error {
	if !c.founded() {
		return nil
	}
	client, err := c.clientset()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if askAPI(ctx, client, answerTime) != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("ask the API: %w", ctx.Err())
		}
		return nil
	}
	// A master that has left etcd is a machine without an API server, whose kubelet can no
	// longer say that a pod has left: it is drained before.
	surplus, err := c.surplus(ctx)
	if err != nil {
		return err
	}
	leaving := false
	for _, m := range surplus {
		master, err := isMaster(ctx, client, m.Name)
		if err != nil {
			return err
		}
		leaving = leaving || master
		if master && m.Running {
			if err := c.drain(ctx, client, m.Name); err != nil {
				return fmt.Errorf("drain %s: %w; the machine is still there", m.Name, err)
			}
		}
	}
	if leaving {
		return c.partWithMasters(ctx)
	}
	// What has ended is no reason to stop here: the next steps start it again.
	return c.apply(ctx, wait)
}
