package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"craton.dev/craton/command"
	"craton.dev/craton/plan"
)

// firstBootDir is where a machine finds its first-boot configuration, and seedDir where
// cloud-init's NoCloud source looks for it.
const (
	firstBootDir = "usr/lib/craton/first-boot"
	seedDir      = "var/lib/cloud/seed/nocloud"
)

// Start implements machines.Platform.
func (p *Platform) Start(ctx context.Context, m plan.Machine, firstBoot []byte) error {
	if !machineName.MatchString(m.Name) {
		return fmt.Errorf("machine %q: not a machine's name", m.Name)
	}
	proc := p.process(processMachine + m.Name)
	if proc.alive() {
		return nil
	}
	// Left over where its first process was killed alone, or a craton before it was recorded.
	if err := errors.Join(proc.stop(0), p.killCgroup(m.Name)); err != nil {
		return err
	}
	dir := p.path("machines", m.Name)
	if _, err := os.Stat(filepath.Join(dir, "upper")); err == nil {
		if err := p.powerLost(m); err != nil {
			return fmt.Errorf("clean up after the last run of %s: %w", m.Name, err)
		}
	}
	if err := p.makeDisk(dir, m.Name, firstBoot); err != nil {
		return fmt.Errorf("make the disk of %s: %w", m.Name, err)
	}
	spec, err := json.Marshal(bootSpec{
		Machine: m.Name, Role: m.Role, Dir: dir, Layers: p.Image.Layers,
		Cgroup: p.cgroupName(m.Name), Namespace: p.namespace(m.Name), Size: m.Size,
	})
	if err != nil {
		return err
	}
	console, err := os.OpenFile(filepath.Join(dir, "console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	if err := p.start(processMachine+m.Name, "", []string{p.Self, BootCommand}, func(cmd *exec.Cmd) {
		cmd.Stdin = bytes.NewReader(spec)
		cmd.Stdout, cmd.Stderr = console, console
		// Not Unshareflags: with them, Go first makes all mounts private, and a disk that the host
		// unmounts would stay in use by the other machines.
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	}); err != nil {
		return err
	}
	patience := bootPatience
	if m.Size.DiskMiB > 0 {
		patience += diskPatience
	}
	return p.awaitInit(ctx, m.Name, patience)
}

// bootPatience is how long a machine may take to its first process, and diskPatience how much
// longer one whose own disk is made then.
const (
	bootPatience = 30 * time.Second
	diskPatience = 2 * time.Minute
)

// powerLost takes from a machine that was on before what a kernel does not keep without power:
// its cgroups, and all that its programs made of its network. A kubelet waits three seconds
// for each dead container whose cgroup it finds.
func (p *Platform) powerLost(m plan.Machine) error {
	if err := errors.Join(p.removeCgroup(p.cgroupName(m.Name)), p.removePort(p.port(m.Name)), p.removeNamespace(m.Name)); err != nil {
		return err
	}
	fabric, err := netns.GetFromName(p.namespace(fabricNS))
	if err != nil {
		return err
	}
	defer fabric.Close()
	return p.ensureLink(fabric, link{m.Name, p.port(m.Name), []netip.Addr{m.Address}})
}

// makeDisk makes the machine's writable layer, with its first-boot configuration, unless
// it is there already. The layer takes its name last, so that it is whole or missing.
func (p *Platform) makeDisk(dir, name string, firstBoot []byte) error {
	upper := filepath.Join(dir, "upper")
	for _, d := range []string{"work", "root", "containerd"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if _, err := os.Stat(upper); err == nil {
		return nil
	}
	fresh := upper + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	type file struct {
		mode os.FileMode
		data []byte
	}
	files := map[string]file{
		"usr/lib/craton/init": {0o755, initScript},
	}
	if bytes.HasPrefix(firstBoot, []byte("#cloud-config")) {
		files[seedDir+"/user-data"] = file{0o600, firstBoot}
		files[seedDir+"/meta-data"] = file{0o600, []byte("instance-id: " + name + "\nlocal-hostname: " + name + "\n")}
	} else {
		files[firstBootDir+"/config.ign"] = file{0o600, firstBoot}
		files["etc/cloud/cloud-init.disabled"] = file{0o644, nil}
	}
	for path, f := range files {
		full := filepath.Join(fresh, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, f.data, f.mode); err != nil {
			return err
		}
	}
	return os.Rename(fresh, upper)
}

// awaitInit waits until the machine's first process runs.
func (p *Platform) awaitInit(ctx context.Context, name string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if _, err := p.initPID(name); err == nil {
			return nil
		}
		if !p.process(processMachine + name).alive() {
			return fmt.Errorf("machine %s does not start; its console ends with:\n%s",
				name, tailFile(p.path("machines", name, "console.log"), 1000))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("machine %s: no first process after %s: %w", name, patience, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// initPID is the host's id of the machine's first process.
func (p *Platform) initPID(name string) (int, error) {
	pid := p.process(processMachine + name).pid()
	if pid == 0 {
		return 0, fmt.Errorf("machine %s is off", name)
	}
	for _, child := range children(pid) {
		// nspawn's first child sets the container up and leaves; the machine's own first
		// process is number 1 in the innermost of its process namespaces.
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", child))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
				if f := strings.Fields(ids); len(f) > 1 && f[len(f)-1] == "1" {
					return child, nil
				}
			}
		}
	}
	return 0, fmt.Errorf("machine %s is just starting", name)
}

// PowerOff implements machines.Platform.
func (p *Platform) PowerOff(ctx context.Context, name string) error {
	if pid, err := p.initPID(name); err == nil {
		syscall.Kill(pid, syscall.SIGKILL) // the kernel ends all of its namespace with it
	}
	return errors.Join(p.process(processMachine+name).stop(0), p.killCgroup(name))
}

// Remove implements machines.Platform.
func (p *Platform) Remove(ctx context.Context, name string) error {
	if !machineName.MatchString(name) {
		return fmt.Errorf("machine %q: not a machine's name", name)
	}
	if err := p.PowerOff(ctx, name); err != nil {
		return err
	}
	if err := p.removeCgroup(p.cgroupName(name)); err != nil {
		return err
	}
	if err := p.removePort(p.port(name)); err != nil {
		return err
	}
	if err := p.removeNamespace(name); err != nil {
		return err
	}
	return os.RemoveAll(p.path("machines", name))
}

// removePort takes a machine's port off the fabric at once, even where something still
// holds the machine's namespace.
func (p *Platform) removePort(port string) error {
	ns, err := netns.GetFromName(p.namespace(fabricNS))
	if err != nil {
		return nil // the fabric is gone, and its ports with it
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := h.LinkByName(port)
	if err != nil {
		return nil
	}
	return h.LinkDel(l)
}

// Exec implements machines.Platform. The command gets a plain environment and ends where
// ctx does.
func (p *Platform) Exec(ctx context.Context, name string, argv []string, in io.Reader, out, errw io.Writer) error {
	pid, err := p.initPID(name)
	if err != nil {
		return err
	}
	env := []string{"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8"}
	if term := os.Getenv("TERM"); term != "" {
		env = append(env, "TERM="+term)
	}
	args := append([]string{"--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--net", "--pid",
		"--cgroup", "--root", "--wdns=/root"}, env...)
	_, err = command.Cmd{Name: "nsenter", Args: append(args, argv...), Stdin: in, Stdout: out, Stderr: errw,
		Timeout: 24 * time.Hour}.Run(ctx)
	return err
}
