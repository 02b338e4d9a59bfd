package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"craton.dev/craton/machines/local"
)

// Down removes the cluster: machines, network, processes, keys and data. It works on
// whatever an Up that was killed has left, and leaves nothing but the payload's cache.
func Down(ctx context.Context, name string, opt Options) error {
	c, err := named(name, opt)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.Dir); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cluster %s: %w", name, ErrNone)
	}
	if err := c.acquire(ctx, lockPatience); err != nil {
		return err
	}
	defer c.release()
	platform, err := local.New(name, filepath.Join(c.Dir, "local"), local.Image{})
	if err != nil {
		return err
	}
	opt.say("removing machines and network of %s", name)
	if err := platform.Destroy(ctx); err != nil {
		return fmt.Errorf("cluster %s: %w; run `craton down` again", name, err)
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		// A folder on which a disk is mounted stays, empty.
		if left, readErr := os.ReadDir(c.Dir); readErr != nil || len(left) > 0 {
			return err
		}
	}
	os.Remove(StateRoot) // only where no other cluster is left
	return nil
}
