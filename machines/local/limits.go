package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/disk"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// Share is what a machine takes of what all machines of a host have together.
type Share struct {
	// Inotify is how many inotify instances its programs have.
	Inotify int
	// Disk is how much it writes until it is ready, in bytes.
	Disk uint64
}

// ShareOf is what a machine of the role takes until it is up: measured, with some room for
// what users run. Of the inotify instances, systemd, container runtime, kubelet and
// kube-proxy have 10 or 11. On a master an API server has 7 more, and while its real pod
// takes over from its stand-in there are two of them; a leading controller manager has 4. On
// the disk are the images that it has pulled, packed and unpacked.
func ShareOf(role contract.Role) Share {
	if role == contract.Master {
		return Share{Inotify: 28, Disk: 2000 << 20}
	}
	return Share{Inotify: 12, Disk: 700 << 20}
}

// KeepFree is what has to stay free on the disk, in bytes: machines share the host's.
const KeepFree = firstboot.KeepFree

// inotifyLimit is how many inotify instances all processes of one user may have together.
// Machines' programs are the host's root to the kernel, so all machines share it.
const inotifyLimit = "/proc/sys/fs/inotify/max_user_instances"

// Inotify is how many inotify instances this host's processes have, and how many they may
// have. A limit of 0 says that the kernel has none.
func Inotify() (used, limit int, err error) {
	b, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return 0, 0, nil // a kernel without the limit
	}
	if limit, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", inotifyLimit, err)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == "anon_inode:inotify" {
			used++
		}
	}
	return used, limit, nil
}

// Room refuses machines that the host has no room for. Without it they would start, and
// their kubelets fail with "too many open files", or evict what they have just started.
// The host's limits are not raised here.
func (p *Platform) Room(starting []plan.Machine) error {
	if len(starting) == 0 {
		return nil
	}
	// What is left of a machine whose first process was killed is not in its own way.
	for _, m := range starting {
		if err := p.killCgroup(m.Name); err != nil {
			return err
		}
	}
	used, limit, err := Inotify()
	if err != nil {
		return err
	}
	instances := 0
	for _, m := range starting {
		instances += ShareOf(m.Role).Inotify
	}
	if limit > 0 && used+instances > limit {
		return fmt.Errorf("fs.inotify.max_user_instances is %d, %d are in use, and %d more machines need about %d: "+
			"run `sysctl -w fs.inotify.max_user_instances=%d`, or start fewer machines",
			limit, used, len(starting), instances, max(1024, 2*(used+instances)))
	}
	room, err := disk.At(p.Dir)
	if err != nil {
		return err
	}
	if need := p.Need(starting); room.NoInodes || room.Free < need {
		return fmt.Errorf("%s, and %d more machines need about %s: make room, or mount a larger disk at %s, then run `craton up` again",
			room, len(starting), disk.Size(need), filepath.Dir(p.Dir))
	}
	return nil
}

// Need is the free disk, in bytes, that these machines take till they are ready, with what
// has to stay free then.
func (p *Platform) Need(starting []plan.Machine) uint64 {
	need := uint64(KeepFree)
	for _, m := range starting {
		if _, err := os.Stat(p.path("machines", m.Name, "upper")); err != nil { // its disk is not made yet
			need += ShareOf(m.Role).Disk
		}
	}
	return need
}

// Full says which disk is full where machines can no longer work for want of room; nil
// where there is enough.
func (p *Platform) Full() error {
	room, err := disk.At(p.Dir)
	if err != nil || !room.NoInodes && room.Free >= KeepFree {
		return nil // what cannot be told is no reason to stop
	}
	return fmt.Errorf("a disk is full: %s, and machines need %s to stay free: make room, then run `craton up` again", room, disk.Size(KeepFree))
}
