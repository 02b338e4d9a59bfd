package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/contract"
)

// A machine has a cgroup of its own in every hierarchy of the host (one on cgroup v2,
// one for each controller on v1), so that its limits and its processes are countable and
// its kubelet sees nobody else's.

// hierarchies are the mount points of the host's cgroup hierarchies.
func hierarchies() (dirs []string, v2 bool, err error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, false, err
	}
	return hierarchiesOf(string(b))
}

// hierarchiesOf are those of a list of mounts. Where v1 and v2 are both there, the controllers are v1's.
func hierarchiesOf(mountinfo string) (dirs []string, v2 bool, err error) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
			continue
		}
		switch strings.Fields(after)[0] {
		case "cgroup":
			dirs = append(dirs, fields[4])
		case "cgroup2":
			if fields[4] == "/sys/fs/cgroup" {
				return []string{fields[4]}, true, nil
			}
		}
	}
	if len(dirs) == 0 {
		return nil, false, errors.New("no cgroup hierarchy is mounted below /sys/fs/cgroup: mount cgroup2 there")
	}
	return dirs, false, nil
}

// cgroupName is a machine's cgroup below each hierarchy.
func (p *Platform) cgroupName(machine string) string {
	return filepath.Join("craton", p.Cluster, machine)
}

// joinCgroups makes the cgroup in each hierarchy and moves this process into it.
func joinCgroups(name string) error {
	dirs, v2, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		path := dir
		for _, part := range strings.Split(name, "/") {
			if v2 { // children may use the controllers that a parent passes on
				passOnControllers(path)
			}
			parent := path
			path = filepath.Join(path, part)
			if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
			// A v1 cpuset is empty at first, and takes no process before it has cpus.
			for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
				if b, err := os.ReadFile(filepath.Join(parent, f)); err == nil && !v2 {
					if err := os.WriteFile(filepath.Join(path, f), b, 0o644); err != nil {
						return err
					}
				}
			}
		}
		procs := filepath.Join(path, "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return fmt.Errorf("join cgroup %s: %w", path, err)
		}
	}
	return nil
}

// weigh makes masters go before other machines where the host has fewer processors than
// there is work for: nothing that waits for the API gets anywhere before the API does.
func weigh(name string, role contract.Role) error {
	if role == contract.Master {
		return nil // the kernel's default, which is for all that has no weight of its own
	}
	dirs, _, err := hierarchies()
	for _, dir := range dirs {
		for file, weight := range map[string]string{"cpu.shares": "256", "cpu.weight": "25"} { // of 1024 and of 100
			path := filepath.Join(dir, name, file)
			if _, missing := os.Stat(path); missing == nil {
				err = errors.Join(err, os.WriteFile(path, []byte(weight), 0o644))
			}
		}
	}
	return err
}

func passOnControllers(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(b)) {
		os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644) // what the host does not allow stays off
	}
}

// killCgroup ends every process that is left in a machine's cgroup.
func (p *Platform) killCgroup(machine string) error {
	dirs, _, err := hierarchies()
	if err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var pids []int
		for _, dir := range dirs {
			pids = append(pids, processesBelow(filepath.Join(dir, p.cgroupName(machine)))...)
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("machine %s: %d processes do not end after SIGKILL", machine, len(pids))
		}
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func processesBelow(dir string) (pids []int) {
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil
		}
		b, _ := os.ReadFile(path)
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// removeCgroup removes a cgroup and those below it from all hierarchies.
func (p *Platform) removeCgroup(name string) error {
	dirs, _, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		var below []string
		filepath.WalkDir(filepath.Join(dir, name), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				below = append(below, path)
			}
			return nil
		})
		for i := len(below) - 1; i >= 0; i-- { // children first
			err := os.Remove(below[i])
			for end := time.Now().Add(2 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond) // its last process is still being reaped
				err = os.Remove(below[i])
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// removeCgroups removes the cluster's, and craton's own where no other cluster is left.
func (p *Platform) removeCgroups() error {
	if err := p.removeCgroup(filepath.Join("craton", p.Cluster)); err != nil {
		return err
	}
	dirs, _, err := hierarchies()
	for _, dir := range dirs {
		os.Remove(filepath.Join(dir, "craton")) // refused while it has children
	}
	return err
}
