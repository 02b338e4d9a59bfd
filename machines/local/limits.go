package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// inotifyLimit is how many inotify instances all processes of one user may have together.
// Machines' programs are the host's root to the kernel, so all machines share it.
const inotifyLimit = "/proc/sys/fs/inotify/max_user_instances"

// instances are how many a machine of the role has once it is up: measured, with some room
// for what users run. systemd, container runtime and kubelet take 14; the control plane's
// programs, which watch their certificates, 12 more.
func instances(role contract.Role) int {
	if role == contract.Master {
		return 28
	}
	return 16
}

// Room refuses machines that the host's limits have no room for. Without it they would
// start, and their kubelets fail with "too many open files". The limit is the host's, so
// that it is not raised here.
func (p *Platform) Room(starting []plan.Machine) error {
	need := 0
	for _, m := range starting {
		need += instances(m.Role)
	}
	b, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return nil // a kernel without the limit
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("%s: %w", inotifyLimit, err)
	}
	used := 0
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == "anon_inode:inotify" {
			used++
		}
	}
	if used+need <= limit {
		return nil
	}
	return fmt.Errorf("fs.inotify.max_user_instances is %d, %d are in use, and %d more machines need about %d: "+
		"run `sysctl -w fs.inotify.max_user_instances=%d`, or start fewer machines",
		limit, used, len(starting), need, max(1024, 2*(used+need)))
}
