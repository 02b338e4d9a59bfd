package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	gib = 1 << 30
	// leastMemory is room for one master and one worker: about 2 GiB, and as much again for
	// the compilers when the payload is built.
	leastMemory = 4 * gib
	// leastDisk is room for the build cache and the finished payload.
	leastDisk = 15 * gib
	// leastState is room for two machines' own disks.
	leastState = 2 * gib
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
	const year = 2026 // craton is not older than this
	if now.Year() < year || !h.Built.IsZero() && now.Before(h.Built.AddDate(0, 0, -1)) {
		return failed("set it, for instance with date -s or an NTP client",
			"The clock says %s, which is before this program was made: certificates would not be valid.", now.UTC().Format("2006-01-02 15:04 MST"))
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
		return failed("use a host with more memory", "%s of memory are too few: one master and one worker need %s.", size(total), size(leastMemory))
	case available < leastMemory/2:
		return warning("stop something that needs memory", "%s of memory, but only %s of them available.", size(total), size(available))
	}
	return ok("%s of memory, %s of them available.", size(total), size(available))
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

func disk(_ context.Context, h Host) Result {
	var found []string
	for _, place := range []struct {
		dir, name string
		least     uint64
	}{
		{h.CacheDir, "the cache", leastDisk},
		{h.StateDir, "machines", leastState},
	} {
		free, err := h.Free(place.dir)
		if err != nil {
			return failed("see to it that the folder can be reached", "The disk space for %s cannot be told: %v.", place.name, err)
		}
		if free < place.least {
			// Once the payload is built, the cache needs nothing more.
			verdict := failed
			if place.dir == h.CacheDir && free >= leastState {
				verdict = warning
			}
			return verdict("make room, or set CRATON_CACHE to a folder on a larger disk",
				"%s has %s free for %s; building everything for the first time takes up to %s.",
				place.dir, size(free), place.name, size(place.least))
		}
		found = append(found, fmt.Sprintf("%s free for %s in %s", size(free), place.name, place.dir))
	}
	return ok("%s.", strings.Join(found, ", "))
}

func size(bytes uint64) string {
	return strconv.FormatFloat(float64(bytes)/gib, 'f', 1, 64) + " GiB"
}
