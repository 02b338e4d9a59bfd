package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/command"
	"craton.dev/craton/plan"
)

// period is the stretch of time, in microseconds, within which a machine may use its share of the
// processors; the kernel's own default.
const period = 100_000

// sizeLimits are what is written to the files of a machine's cgroup, in this order, where a
// hierarchy has them. There is no swap: a machine that needs more than its memory is one without.
func sizeLimits(s plan.Size, v2 bool) (limits []limit) {
	if s.MemoryMiB > 0 {
		bytes := strconv.Itoa(s.MemoryMiB << 20)
		if v2 {
			limits = append(limits, limit{"memory.max", bytes}, limit{"memory.swap.max", "0"})
		} else { // memory and swap together may not be less than memory
			limits = append(limits, limit{"memory.limit_in_bytes", bytes}, limit{"memory.memsw.limit_in_bytes", bytes})
		}
	}
	if s.MilliCPU > 0 {
		quota := s.MilliCPU * period / 1000
		if v2 {
			limits = append(limits, limit{"cpu.max", fmt.Sprintf("%d %d", quota, period)})
		} else {
			limits = append(limits, limit{"cpu.cfs_period_us", strconv.Itoa(period)}, limit{"cpu.cfs_quota_us", strconv.Itoa(quota)})
		}
	}
	return limits
}

// limit is a value for a file of a cgroup.
type limit struct{ file, value string }

// may is whether a host may lack the file: it has no swap then, or does not count it.
func (l limit) may() bool {
	return l.file == "memory.swap.max" || l.file == "memory.memsw.limit_in_bytes"
}

// confine holds the machine whose cgroup this is to its size.
func confine(cgroup string, s plan.Size) error {
	dirs, v2, err := hierarchies()
	if err != nil {
		return err
	}
	for _, l := range sizeLimits(s, v2) {
		found := false
		for _, dir := range dirs {
			file := filepath.Join(dir, cgroup, l.file)
			if _, err := os.Stat(file); err != nil { // the hierarchy has other controllers
				continue
			}
			if err := os.WriteFile(file, []byte(l.value), 0o644); err != nil {
				return fmt.Errorf("hold the machine to its size: %w", err)
			}
			found = true
		}
		if !found && !l.may() {
			return fmt.Errorf("hold the machine to its size: no hierarchy of the host's cgroups has %s: leave the size out of the cluster file", l.file)
		}
	}
	return nil
}

// ownDisk is the file system that a machine with a size has for itself: where it is mounted, which is
// in the mount namespace of the machine and nowhere else.
type ownDisk string

// mountDisk makes the machine's own disk, of so many MiB, where it is not made yet, with the
// operating system on it, and mounts it. The disk is a file in the machine's folder. What is
// read from it is in the machine's memory, and in nobody else's: of the layers that all
// machines share, only the first of them to read a page has it counted.
func mountDisk(dir string, sizeMiB int, layers []string) (ownDisk, error) {
	file, at := filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if _, err := os.Stat(file); err == nil {
		return ownDisk(at), mountLoop(ctx, file, at)
	}
	fresh := file + ".new"
	f, err := os.Create(fresh)
	if err != nil {
		return "", err
	}
	if err := errors.Join(f.Truncate(int64(sizeMiB)<<20), f.Close()); err != nil {
		return "", err
	}
	if _, err := command.Run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", fresh); err != nil {
		return "", err
	}
	if err := mountLoop(ctx, fresh, at); err != nil {
		return "", err
	}
	disk := ownDisk(at)
	for _, d := range []string{disk.system(), disk.upper(), disk.work(), disk.containerd()} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return "", err
		}
	}
	for i := range layers { // the lowest first: what is in an upper one goes over it
		if _, err := command.Run(ctx, "cp", "-a", "--remove-destination", layers[len(layers)-1-i]+"/.", disk.system()); err != nil {
			return "", fmt.Errorf("copy the operating system to a disk of %d MiB: %w", sizeMiB, err)
		}
	}
	if err := disk.sync(); err != nil {
		return "", err
	}
	return disk, os.Rename(fresh, file) // the mount goes on: it is of the same file
}

// mountLoop mounts a file's file system; its block device goes with the mount.
func mountLoop(ctx context.Context, file, at string) error {
	_, err := command.Run(ctx, "mount", "-o", "loop", file, at)
	return err
}

// sync writes to the disk what is to be on it: the kernel cannot take memory back that is not.
func (d ownDisk) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

func (d ownDisk) system() string     { return filepath.Join(string(d), "system") }
func (d ownDisk) upper() string      { return filepath.Join(string(d), "upper") }
func (d ownDisk) work() string       { return filepath.Join(string(d), "work") }
func (d ownDisk) containerd() string { return filepath.Join(string(d), "containerd") }

// mountRoot mounts the machine's root file system, and returns the folder that holds its images
// and containers: overlay file systems cannot be stacked on the root itself.
func mountRoot(s bootSpec) (root, containerd string, err error) {
	root, containerd = filepath.Join(s.Dir, "root"), filepath.Join(s.Dir, "containerd")
	layers, upper, work := s.Layers, filepath.Join(s.Dir, "upper"), filepath.Join(s.Dir, "work")
	if s.Size.DiskMiB > 0 {
		disk, err := mountDisk(s.Dir, s.Size.DiskMiB, layers)
		if err != nil {
			return "", "", fmt.Errorf("make the disk of %s: %w", s.Machine, err)
		}
		// The folder has the first-boot configuration only.
		layers, upper, work, containerd = []string{upper, disk.system()}, disk.upper(), disk.work(), disk.containerd()
	}
	return root, containerd, mountOverlay(s.Machine, root, layers, upper, work)
}

func mountOverlay(machine, root string, layers []string, upper, work string) error {
	// index=off,metacopy=off: the lower layers are shared by machines that run at the same time.
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,index=off,metacopy=off", strings.Join(layers, ":"), upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount the root file system of %s (%s): %w", machine, options, err)
	}
	return nil
}
