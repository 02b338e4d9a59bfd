package local

import (
	"slices"
	"testing"
)

// A machine's cgroup has to be in every hierarchy that holds a controller, on hosts of either kind and on those that
// have both; a host without any is told what to do.
func TestHierarchies(t *testing.T) {
	const (
		others = "22 1 0:20 / / rw - ext4 /dev/vda rw\n23 22 0:21 / /proc rw,nosuid - proc proc rw\n"
		tmpfs  = "30 22 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
		cpu    = "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
		memory = "32 30 0:28 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"
		beside = "33 30 0:29 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw\n"
		alone  = "31 22 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		away   = "40 22 0:27 / /mnt/cgroup rw - cgroup2 cgroup2 rw\n"
	)
	for _, c := range []struct {
		name, mounts string
		want         []string
		v2           bool
	}{
		{"v1", others + tmpfs + cpu + memory, []string{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"}, false},
		{"v2", others + alone, []string{"/sys/fs/cgroup"}, true},
		{"v1, and v2 beside it", others + tmpfs + beside + cpu + memory, []string{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"}, false},
		{"none", others + tmpfs, nil, false},
		{"elsewhere", others + away, nil, false},
	} {
		dirs, v2, err := hierarchiesOf(c.mounts)
		if !slices.Equal(dirs, c.want) || v2 != c.v2 || (err != nil) != (c.want == nil) {
			t.Errorf("%s: %v, v2 %t, %v: want %v, v2 %t", c.name, dirs, v2, err, c.want, c.v2)
		}
	}
	if dirs, _, err := hierarchies(); err != nil || len(dirs) == 0 {
		t.Errorf("this host: %v, %v", dirs, err)
	}
}
