// Package inject breaks parts of a cluster on the embedded platform, and mends them again:
// processes are killed and stopped, machines lose power, links are cut in the fabric, disks
// fill up or fail. It breaks one cluster, by the names and ids that belong to it, and
// nothing else of the host.
//
// It knows nothing of Kubernetes, does not decide what is broken when, and looks at no
// result.
package inject

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
)

// Cluster is the one that is broken.
type Cluster struct {
	Plan     *plan.Plan
	Platform *local.Platform
}

// Process is a process of a machine: its id on the host, and when that was given to it, so
// that nobody else is met who gets the id later.
type Process struct {
	ID   int
	born string
}

// Processes are those of a machine whose program has the name, such as "etcd".
func (c *Cluster) Processes(machine, program string) []Process {
	var found []Process
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		argv, _, _ := bytes.Cut(line, []byte{0})
		if filepath.Base(string(argv)) != program {
			continue
		}
		// By its cgroup a process belongs to one machine of one cluster.
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		group := "/craton/" + c.Plan.Cluster + "/" + machine
		if !bytes.Contains(groups, []byte(group+"/")) && !bytes.Contains(groups, []byte(group+"\n")) {
			continue
		}
		if id, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			found = append(found, Process{id, born(id)})
		}
	}
	return found
}

// born is when a process began, as the kernel writes it; "" where there is none.
func born(id int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// Signal sends a signal to those of the processes that are still there.
func Signal(processes []Process, signal unix.Signal) error {
	var errs []error
	for _, p := range processes {
		if p.born == "" || born(p.ID) != p.born {
			continue
		}
		if err := unix.Kill(p.ID, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("signal %s to process %d: %w", signal, p.ID, err))
		}
	}
	return errors.Join(errs...)
}

// SignalAll sends a signal to a program's processes on machines, at once. It is an error
// where one of the machines has none: then nothing would have been broken there.
func (c *Cluster) SignalAll(machines []string, program string, signal unix.Signal) ([]Process, error) {
	var all []Process
	for _, m := range machines {
		found := c.Processes(m, program)
		if len(found) == 0 {
			return nil, fmt.Errorf("machine %s: no process %s runs there", m, program)
		}
		all = append(all, found...)
	}
	return all, Signal(all, signal)
}

// PowerOff takes the power from machines, all at once.
func (c *Cluster) PowerOff(ctx context.Context, machines []string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range machines {
		group.Go(func() error { return c.Platform.PowerOff(ctx, m) })
	}
	return group.Wait()
}

// PowerOn boots machines from their disks, all at once.
func (c *Cluster) PowerOn(ctx context.Context, machines []string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range c.Plan.Machines {
		for _, name := range machines {
			if m.Name == name {
				group.Go(func() error { return c.Platform.Start(ctx, m, nil) })
			}
		}
	}
	return group.Wait()
}

// address is a machine's.
func (c *Cluster) address(machine string) (string, error) {
	for _, m := range c.Plan.Machines {
		if m.Name == machine {
			return m.Address.String(), nil
		}
	}
	return "", fmt.Errorf("cluster %s has no machine %s", c.Plan.Cluster, machine)
}
