package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/operation"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/parts"
	"craton.dev/craton/snapshot"
)

// An experiment takes a clause out of the fabric for some seconds. So that it goes back whatever
// happens to the process, a file says so meanwhile, and whoever finds the file without the lock
// of the experiment puts the clause back.

func (c *Cluster) experimentFile() string { return filepath.Join(c.Dir, "experiment.json") }

// ProofFile is where the results of the last proof of this cluster are.
func (c *Cluster) ProofFile() string { return filepath.Join(c.Dir, "proof.json") }

// Stage prepares a running cluster for experiments, of which there is one at a time: close ends
// it. What an experiment that was killed has left is put right first.
func (c *Cluster) Stage(ctx context.Context) (stage *operation.Stage, closeStage func() error, err error) {
	if err := c.acquire(ctx, lockPatience); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			c.release()
		}
	}()
	if err := c.loadSecrets(); err != nil {
		return nil, nil, err
	}
	if err := c.putBack(ctx); err != nil {
		return nil, nil, err
	}
	if err := c.Platform.Ended(); err != nil {
		return nil, nil, err
	}
	kubeconfig, err := c.Kubeconfig()
	if err != nil {
		return nil, nil, err
	}
	built, err := payload.Build(ctx, payload.Options{Cache: c.opt.Cache, Want: slices.Concat(payload.Default(), parts.Payload(c.Plan), []string{"agnhost"})})
	if err != nil {
		return nil, nil, err
	}
	c.usePayload(built)
	// So that machines can join once more: their tokens are void an hour after the last `up`.
	if err := c.applyObjects(ctx); err != nil {
		return nil, nil, err
	}
	stage = &operation.Stage{
		Platform: c.Platform, Plan: c.Plan, Secrets: c.Secrets, Kubeconfig: kubeconfig,
		Image: payload.Image("agnhost"), Images: imagesToPull(),
		Start: func(ctx context.Context, m plan.Machine) error {
			config, err := c.firstBoot(ctx, m, c.bring(m, func() bool { return c.answers(ctx) }))
			if err != nil {
				return err
			}
			return c.Platform.Start(ctx, m, config)
		},
		Copy: func(ctx context.Context, to string) (string, int, error) {
			master, _, err := c.takeSnapshot(ctx, to)
			if err != nil {
				return "", 0, err
			}
			contents, err := snapshot.Verify(to)
			if err != nil {
				return "", 0, err
			}
			return master, contents.Keys, nil
		},
	}
	if err := stage.Open(ctx); err != nil {
		return nil, nil, fmt.Errorf("prepare the cluster for probes: %w", err)
	}
	return stage, func() error {
		err := stage.Close(context.WithoutCancel(ctx))
		c.release()
		return err
	}, nil
}

// imagesToPull are images that every cluster has, one of each registry.
func imagesToPull() []string {
	var images, hosts []string
	for _, name := range []string{"pause", "flannel", payload.Operator} {
		image := payload.Image(name)
		if host, _, _ := strings.Cut(image, "/"); !slices.Contains(hosts, host) {
			images, hosts = append(images, image), append(hosts, host)
		}
	}
	return images
}

// TakenOut notes that a clause is about to be taken out of the fabric.
func (c *Cluster) TakenOut(clause string) error {
	if _, ok := contract.ByID(clause); !ok {
		return fmt.Errorf("the contract has no clause %q: craton contract lists them", clause)
	}
	b, err := json.Marshal(map[string]string{"clause": clause})
	if err != nil {
		return err
	}
	return os.WriteFile(c.experimentFile(), b, 0o600)
}

// PutBack notes that the fabric's rules are the plan's again.
func (c *Cluster) PutBack() error {
	err := os.Remove(c.experimentFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Restore puts the plan's rules back where an experiment was killed. It does nothing while one
// runs, nor where none was left.
func (c *Cluster) Restore(ctx context.Context) error {
	if _, err := os.Stat(c.experimentFile()); err != nil {
		return nil
	}
	if err := c.acquire(ctx, 0); err != nil {
		return nil // somebody is at it
	}
	defer c.release()
	return c.putBack(ctx)
}

func (c *Cluster) putBack(ctx context.Context) error {
	if _, err := os.Stat(c.experimentFile()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.opt.say("putting back the rules that an experiment has left")
	if err := c.Platform.Enforce(ctx, c.Plan, nil); err != nil {
		return fmt.Errorf("put the plan's rules back: %w; `craton up` does so as well", err)
	}
	return c.PutBack()
}

// WatchMemory tells what the kernel ends on a cluster's machines for want of memory from now on,
// whether there is such a cluster yet or not.
func WatchMemory(name string) (ended func() ([]string, error), stop func() error, err error) {
	platform, err := local.New(name, filepath.Join(StateRoot, name, "local"), local.Image{})
	if err != nil {
		return nil, nil, err
	}
	return platform.WatchMemory()
}
