package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
)

// Lock waits until nobody else on this machine has the data directory. It holds the lock, a
// file beside the data, until the process ends, also where that becomes another program
// meanwhile. So a pod and its stand-in may run at once: the second one waits for its turn.
func Lock(ctx context.Context, dir string, log logr.Logger) error {
	path := filepath.Clean(dir) + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// Without O_CLOEXEC, so that it lives on in the program that this process becomes.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for told := false; ; {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			unix.Close(fd)
			return fmt.Errorf("lock %s: %w", path, err)
		}
		if !told {
			told = true
			log.Info("another pod of this machine has the data: waiting for it to end", "data", dir)
		}
		if !pause(ctx, 50*time.Millisecond) {
			unix.Close(fd)
			return fmt.Errorf("another pod of this machine has %s: %w", dir, ctx.Err())
		}
	}
}
