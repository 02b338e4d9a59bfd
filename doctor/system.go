package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"craton.dev/craton/disk"
)

const (
	gib = 1 << 30
	// leastMemory is room for one master and one worker: about 2 GiB, and as much again for
	// the compilers when the payload is built.
	leastMemory = 4 * gib
)

func root(_ context.Context, h Host) Result {
	if uid := h.UID(); uid != 0 {
		return failed("run craton up, down and the like with sudo",
			"This is user %d: machines and their network need root; contract, plan, explain and render do not.", uid)
	}
	return ok("This is root.")
}

func cgroups(_ context.Context, h Host) Result {
	v1 := false
	for _, line := range h.lines("/proc/self/mounts") {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		switch {
		case f[2] == "cgroup2" && f[1] == "/sys/fs/cgroup":
			return cgroup2(h)
		case f[2] == "cgroup" && slices.Contains(strings.Split(f[3], ","), "memory"):
			v1 = true
		}
	}
	if !v1 {
		return failed("mount -t cgroup2 none /sys/fs/cgroup (on a cgroup v1 host: mount the memory controller)",
			"No cgroup hierarchy with the memory controller is mounted: pods cannot be limited.")
	}
	return ok("cgroup v1 is mounted, with its memory controller.")
}

func cgroup2(h Host) Result {
	have := strings.Fields(strings.Join(h.lines("/sys/fs/cgroup/cgroup.controllers"), " "))
	for _, need := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(have, need) {
			return failed("boot the kernel with cgroup_enable="+need+", or give this container the controller",
				"cgroup v2 is mounted without the %s controller.", need)
		}
	}
	return ok("cgroup v2 is mounted, with the controllers cpu, memory and pids.")
}

// clock compares with the time at which this program was made: certificates made with a
// clock that is behind are not valid yet for anyone whose clock is right.
func clock(_ context.Context, h Host) Result {
	now := h.Now()
	if now.Before(h.Built.AddDate(0, 0, -1)) {
		return failed("set it, for instance with date -s or an NTP client",
			"The clock says %s, which is before this program was made: certificates would not be valid.", now.UTC().Format("2006-01-02 15:04 MST"))
	}
	// A clock that is far ahead makes certificates that are not valid once it is put right.
	if now.After(h.Built.AddDate(10, 0, 0)) {
		return warning("look whether that is true; if not, set it before the first craton up",
			"The clock says %s, ten years or more after this program was made: certificates made now are not valid before that.", now.UTC().Format("2006-01-02 15:04 MST"))
	}
	return ok("The clock says %s.", now.UTC().Format("2006-01-02 15:04 MST"))
}

func memory(_ context.Context, h Host) Result {
	total, err := meminfo(h, "MemTotal")
	if err != nil {
		return warning("look at /proc/meminfo", "How much memory there is cannot be told: %v.", err)
	}
	available, err := meminfo(h, "MemAvailable")
	if err != nil {
		available = total
	}
	switch {
	case total < leastMemory:
		return failed("use a host with more memory", "%s of memory are too few: one master and one worker need %s.", disk.Size(total), disk.Size(leastMemory))
	case available < leastMemory/2:
		return warning("stop something that needs memory", "%s of memory, but only %s of them available.", disk.Size(total), disk.Size(available))
	}
	return ok("%s of memory, %s of them available.", disk.Size(total), disk.Size(available))
}

// meminfo is a line of /proc/meminfo, in bytes.
func meminfo(h Host, name string) (uint64, error) {
	for _, line := range h.lines("/proc/meminfo") {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == name+":" {
			kb, err := strconv.ParseUint(f[1], 10, 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no line %s", name)
}

// diskRoom is the room for what is built and for machines. Where both are on one disk they
// are looked at one by one all the same: craton up knows what is built already.
func diskRoom(_ context.Context, h Host) Result {
	const next = "make room, or mount a larger disk there"
	cache, err := h.Free(h.CacheDir)
	if err == nil && cache < h.Build {
		// Once the payload is built, the cache needs nothing more.
		return warning(next+", or set CRATON_CACHE (and Go's GOCACHE and GOMODCACHE) to folders on one",
			"%s has %s free; building everything for the first time takes about %s.", h.CacheDir, disk.Size(cache), disk.Size(h.Build))
	}
	state, stateErr := h.Free(h.StateDir)
	if err = errors.Join(err, stateErr); err != nil {
		return failed("see to it that the folder can be reached", "The disk space cannot be told: %s.", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	pair := h.Master.Disk + h.Worker.Disk + h.KeepFree
	if state < pair {
		return failed(next, "%s has %s free; one master and one worker need %s.", h.StateDir, disk.Size(state), disk.Size(pair))
	}
	return ok("%s free for the cache in %s, %s for machines in %s: room for a master and %s.", disk.Size(cache), h.CacheDir,
		disk.Size(state), h.StateDir, workers(int((state-h.KeepFree-h.Master.Disk)/h.Worker.Disk)))
}

// inotify is the limit that a host meets first when it has many machines.
func inotify(_ context.Context, h Host) Result {
	used, limit, err := h.Inotify()
	if err != nil {
		return warning("look at fs.inotify.max_user_instances", "How many files can be watched cannot be told: %v.", err)
	}
	if limit == 0 {
		return ok("The kernel has no limit for inotify instances.")
	}
	raise := fmt.Sprintf("sysctl -w fs.inotify.max_user_instances=%d", max(1024, 2*limit))
	left := limit - used - h.Master.Inotify
	if left < 0 {
		return failed(raise, "fs.inotify.max_user_instances is %d and %d are in use: no machine fits.", limit, used)
	}
	fit := left / h.Worker.Inotify
	text := fmt.Sprintf("fs.inotify.max_user_instances is %d and %d are in use: there is room for a master and %s.", limit, used, workers(fit))
	if fit < 1 {
		return warning(raise, "%s", text)
	}
	return ok("%s", text)
}

// workers is a number of them, as it is said.
func workers(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return strconv.Itoa(n) + " workers"
}
