package inject

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/command"
)

// Disk is a file system that one machine has for itself, in a file: it can be filled and
// made to fail without anybody else's noticing. It has to be there before the machine is.
type Disk struct {
	// Dir is where it is mounted: the machine's folder.
	Dir string
	// above is the folder of all machines, as a mount whose changes reach the processes of
	// other machines: each has a copy of the host's mounts, which would keep the disk in use.
	above string
	// file holds it; loop is the block device that the kernel makes of it.
	file, loop string
}

// diskSize is more than a master writes.
const diskSize = 6 << 30

// NewDisk makes the disk of a machine of a cluster whose platform has its state in dir.
func NewDisk(ctx context.Context, dir, machine string) (*Disk, error) {
	above := filepath.Join(dir, "machines")
	d := &Disk{Dir: filepath.Join(above, machine), above: above, file: filepath.Join(dir, machine+".disk")}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return nil, err
	}
	err := errors.Join(unix.Mount(above, above, "", unix.MS_BIND, ""), unix.Mount("", above, "", unix.MS_SHARED, ""))
	if err != nil {
		return nil, fmt.Errorf("make %s a shared mount: %w", above, err)
	}
	f, err := os.OpenFile(d.file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return nil, err
	}
	if _, err := command.Run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", d.file); err != nil {
		return nil, err
	}
	out, err := command.Run(ctx, "losetup", "--find", "--show", d.file)
	if err != nil {
		return nil, err
	}
	d.loop = strings.TrimSpace(string(out))
	return d, d.mount()
}

func (d *Disk) mount() error {
	if err := unix.Mount(d.loop, d.Dir, "ext4", 0, "errors=remount-ro"); err != nil {
		return fmt.Errorf("mount %s at %s: %w", d.loop, d.Dir, err)
	}
	return nil
}

// Fill leaves no room on it.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(d.filling(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := int64(diskSize); size > 0; { // as much as there is, in ever smaller pieces
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if err := unix.Fallocate(int(f.Fd()), 0, st.Size(), size); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("fill %s: %w", d.Dir, err)
			}
			size /= 2
			if size < 4096 {
				size = 0
			}
		}
	}
	return nil
}

// Empty gives back what Fill took.
func (d *Disk) Empty() error { return os.Remove(d.filling()) }

func (d *Disk) filling() string { return filepath.Join(d.Dir, "filling") }

// Fail makes it read-only at once, whoever has files open, as the kernel does after an
// error of the device.
func (d *Disk) Fail() error {
	if err := unix.Mount(d.loop, d.Dir, "ext4", unix.MS_REMOUNT, "abort"); err != nil {
		return fmt.Errorf("make %s fail: %w", d.Dir, err)
	}
	return nil
}

// Crash loses what is not on it yet, as where the power fails: of what programs have
// written, only what they have synced is sure to be there again after Repair. A machine
// that is merely killed leaves all of it in the memory of this host's kernel.
func (d *Disk) Crash() error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, see fs/ext4/ext4.h.
	const shutdown, withoutJournal = 0x8004587d, 2
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, withoutJournal); err != nil {
		return fmt.Errorf("shut %s down: %w", d.Dir, err)
	}
	return nil
}

// inUse is how long a machine's last processes may keep the disk after it was switched off.
const inUse = 20 * time.Second

// Repair checks it and mounts it anew. Its machine has to be off.
func (d *Disk) Repair(ctx context.Context) error {
	if err := unix.Unmount(d.Dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", d.Dir, err)
	}
	for end := time.Now().Add(inUse); ; time.Sleep(100 * time.Millisecond) {
		// e2fsck refuses a device on which a file system is still mounted somewhere.
		_, err := command.Run(ctx, "e2fsck", "-f", "-y", d.loop)
		failed := (*command.Error)(nil)
		if err == nil || errors.As(err, &failed) && failed.ExitCode() > 0 && failed.ExitCode() <= 3 { // it has put something right
			return d.mount()
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}

// Number is the block device's, as "major:minor".
func (d *Disk) Number() (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(d.loop, &st); err != nil {
		return "", fmt.Errorf("%s: %w", d.loop, err)
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
}

// Remove takes the disk away, with all that is on it. Its machine has to be off.
func (d *Disk) Remove(ctx context.Context) error {
	var errs []error
	for _, dir := range []string{d.Dir, d.above} {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", dir, err)) // the others say that it is not mounted
		}
	}
	_, err := command.Run(ctx, "losetup", "--detach", d.loop)
	return errors.Join(append(errs, err, os.Remove(d.file))...)
}

// Slow lets a machine write to the disk so many times a second only; 0 is no limit.
// possible is false where this host's kernel has no such limit.
func (c *Cluster) Slow(machine string, d *Disk, writes int) (possible bool, err error) {
	number, err := d.Number()
	if err != nil {
		return false, err
	}
	group := filepath.Join("craton", c.Plan.Cluster, machine)
	v1 := filepath.Join("/sys/fs/cgroup/blkio", group)
	const file = "blkio.throttle.write_iops_device"
	if _, err := os.Stat(filepath.Join(v1, file)); err == nil {
		// There a limit is not handed down to the groups below.
		return true, filepath.WalkDir(v1, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.Name() != file {
				return nil // a group that has just ended
			}
			return os.WriteFile(path, []byte(fmt.Sprintf("%s %d", number, writes)), 0o644)
		})
	}
	v2 := filepath.Join("/sys/fs/cgroup", group, "io.max")
	if _, err := os.Stat(v2); err == nil {
		limit := "max"
		if writes > 0 {
			limit = fmt.Sprint(writes)
		}
		return true, os.WriteFile(v2, []byte(number+" wiops="+limit), 0o644)
	}
	return false, nil
}
