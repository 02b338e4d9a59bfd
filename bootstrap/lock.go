package bootstrap

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// One craton at a time works on a cluster. The lock is on the cluster's folder itself and
// ends with the process that has it.

// lockPatience is how long somebody who would change a cluster waits for another one that
// does: that one may just be ending. A backup, which changes nothing, waits for its turn.
const lockPatience = 2 * time.Second

// acquire makes the cluster's folder and keeps other runs away from it till release. The
// error, after so much patience, says who has it.
func (c *Cluster) acquire(ctx context.Context, patience time.Duration) error {
	limit := time.After(patience)
	for {
		if err := os.MkdirAll(c.Dir, 0o700); err != nil {
			return err
		}
		f, err := os.Open(c.Dir)
		if err != nil {
			return err
		}
		locked, err := tryLock(f)
		if locked {
			c.lock = f
			return nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another craton works on cluster %s: %w", c.Name, context.Cause(ctx))
		case <-limit:
			who := "a process that this one does not see"
			var folder unix.Stat_t
			if unix.Stat(c.Dir, &folder) == nil {
				locks, _ := os.ReadFile("/proc/locks")
				who = cmp.Or(holder(locks, folder.Dev, folder.Ino), who)
			}
			return fmt.Errorf("another craton works on cluster %s: %s: wait until it has ended, or end it, then run the same command again; nothing was changed", c.Name, who)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLock locks an open folder till it is closed, and says whether it has: not where another process
// did, nor where the folder was removed, or made anew, since it was opened.
func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(f.Name())
	return err == nil && os.SameFile(opened, now), nil
}

// holder names the process that has the lock on a file, by the kernel's list; "" where
// none is seen.
func holder(locks []byte, dev, inode uint64) string {
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), inode)
	for lines := bufio.NewScanner(bytes.NewReader(locks)); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4321 fe:01:1234 0 EOF; who waits for one has "->" before FLOCK
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		if err != nil || pid < 1 {
			continue
		}
		who := "process " + f[4]
		if args, err := os.ReadFile("/proc/" + f[4] + "/cmdline"); err == nil && len(args) > 0 {
			who += " (" + strings.Join(strings.Split(strings.TrimRight(string(args), "\x00"), "\x00"), " ") + ")"
		}
		return who
	}
	return ""
}

func (c *Cluster) release() {
	if c.lock != nil {
		c.lock.Close()
		c.lock = nil
	}
}
