package local

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

//go:embed init.sh
var initScript []byte

// BootCommand is the name of the hidden command that becomes a machine (see Boot).
const BootCommand = "local-machine"

// bootSpec is what a machine's process is told, on its standard input.
type bootSpec struct {
	Machine string        `json:"machine"`
	Role    contract.Role `json:"role"`
	// Dir is the machine's folder: upper, work, root, containerd.
	Dir       string   `json:"dir"`
	Layers    []string `json:"layers"`
	Cgroup    string   `json:"cgroup"`
	Namespace string   `json:"namespace"`
	// Size is what the machine is held to.
	Size plan.Size `json:"size"`
}

// Boot turns this process into the machine that the specification on r describes. It has
// to run in a mount namespace of its own: the machine's root file system is mounted there
// and nowhere else, so that it is gone when the machine is.
//
// It returns only where it failed.
func Boot(r io.Reader) error {
	var s bootSpec
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("read the machine's specification: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep the machine's mounts to itself: %w", err)
	}
	if err := joinCgroups(s.Cgroup); err != nil {
		return err
	}
	if err := weigh(s.Cgroup, s.Role); err != nil {
		return err
	}
	root, containerd, err := mountRoot(s)
	if err != nil {
		return err
	}
	// Not before: that a disk gets made is no work of the machine's. What was read and written for
	// it counts as the machine's memory all the same, as long as it is there.
	if err := confine(s.Cgroup, s.Size); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	network, err := hideRun(s)
	if err != nil {
		return err
	}
	program, err := exec.LookPath("systemd-nspawn")
	if err != nil {
		return fmt.Errorf("%w; install the package systemd-container", err)
	}
	args := []string{
		"systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
		"--machine=" + s.Machine, "--hostname=" + s.Machine,
		"--directory=" + root,
		"--network-namespace-path=" + network,
		"--capability=all", "--system-call-filter=@keyring bpf",
		"--bind=/dev/kmsg",
		"--bind=" + containerd + ":/var/lib/containerd",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
		"--kill-signal=SIGRTMIN+3",
		"/usr/lib/craton/init",
	}
	env := append(os.Environ(), "SYSTEMD_NSPAWN_API_VFS_WRITABLE=1")
	if _, v2, err := hierarchies(); err == nil && v2 {
		env = append(env, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	} else {
		env = append(env, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0")
	}
	return fmt.Errorf("run %s: %w", program, unix.Exec(program, args, env))
}

// hideRun gives nspawn a /run of its own: what it keeps there (locks, places to propagate
// mounts) would stay on the host where it is killed. It returns where the machine's network
// namespace is to be found then.
func hideRun(s bootSpec) (network string, err error) {
	network = filepath.Join(s.Dir, "netns")
	if err := os.WriteFile(network, nil, 0o600); err != nil {
		return "", err
	}
	if err := unix.Mount(filepath.Join(netnsDir, s.Namespace), network, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("keep the network namespace %s: %w", s.Namespace, err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return "", fmt.Errorf("mount a /run for %s alone: %w", s.Machine, err)
	}
	return network, nil
}
