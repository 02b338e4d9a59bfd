package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
)

// host is what can be seen of a host that clusters might change: by kind, the set of
// things. What another cluster has, is left out of it.
type host map[string]map[string]bool

// volatile are the kernel settings which change by themselves.
var volatile = regexp.MustCompile(`^(kernel/(random/|ns_last_pid|pty/nr|perf_event_max_sample_rate|tainted|sched_domain/)|` +
	`net/netfilter/nf_conntrack_count|vm/(stat_refresh|compact_memory|drop_caches))`)

// loaded are settings that appear when the kernel loads a module of packet filtering,
// VXLAN or bridges. A module that is loaded stays so, and it does nothing where no rule
// asks for it; that is the one trace that clusters leave on a host.
var loaded = regexp.MustCompile(`^(net/(netfilter|bridge)/|net/ipv4/conf/|net/nf_)`)

// lookAtHost takes the picture.
func lookAtHost(t *testing.T) host {
	t.Helper()
	h := host{}
	h.namespaces()
	h.mounts()
	h.cgroups()
	h.processes()
	h.files()
	h.settings()
	h.listeners()
	h.printed(t, "firewall", regexp.MustCompile(`counter packets \d+ bytes \d+`), "nft", "list", "ruleset")
	h.printed(t, "addresses", regexp.MustCompile(`(valid|preferred)_lft \S+`), "ip", "-o", "address")
	h.printed(t, "routes", regexp.MustCompile(`expires \S+`), "ip", "route", "show", "table", "all")
	return h
}

func (h host) add(kind, thing string) {
	if !strings.Contains(thing, "craton") || isOurs(thing) {
		h.put(kind, thing)
	}
}

func (h host) put(kind, thing string) {
	if h[kind] == nil {
		h[kind] = map[string]bool{}
	}
	h[kind][thing] = true
}

// nothingOf fails the test for each thing of the cluster that is there.
func (h host) nothingOf(t *testing.T, name string) {
	t.Helper()
	for kind, things := range h {
		for thing := range things {
			if strings.Contains(thing, name) {
				t.Errorf("of %s there is still, of the host's %s, %s", name, kind, thing)
			}
		}
	}
}

// isOurs tells whether a name, a path or a command line belongs to a cluster of these tests.
func isOurs(thing string) bool {
	return slices.ContainsFunc(ours, func(name string) bool { return strings.Contains(thing, name) })
}

func (h host) namespaces() {
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		h.add("network namespaces", e.Name())
	}
}

func (h host) mounts() {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 {
			h.add("mounts", f[4]+" from "+f[3])
		}
	}
}

func (h host) cgroups() {
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "/craton/") {
			h.add("cgroups", path)
		}
		return nil
	})
}

// processes are those that have to do with a cluster of these tests, whatever their name:
// by their command line or program, their cgroup, or what is mounted where they are.
func (h host) processes() {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if dir == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		exe, _ := os.Readlink(dir + "/exe")
		cgroup, _ := os.ReadFile(dir + "/cgroup")
		mounts, _ := os.ReadFile(dir + "/mountinfo")
		owner := ""
		if strings.HasPrefix(exe, craton) {
			owner = "these tests"
		}
		for _, name := range ours {
			root := []byte(filepath.Join(bootstrap.StateRoot, name) + "/")
			if bytes.Contains(line, root) || bytes.Contains(cgroup, []byte("/craton/"+name+"/")) || bytes.Contains(mounts, root) {
				owner = name
			}
		}
		if owner != "" {
			h.put("processes", fmt.Sprintf("%s of %s: %s", filepath.Base(dir), owner, strings.ReplaceAll(string(line), "\x00", " ")))
		}
	}
}

func (h host) files() {
	for _, dir := range []string{bootstrap.StateRoot, "/run/systemd/nspawn", "/run/craton"} {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.Count(path, "/") < 7 {
				h.add("files", path)
			}
			return nil
		})
	}
}

func (h host) settings() {
	for _, part := range []string{"net", "kernel", "vm"} {
		filepath.WalkDir("/proc/sys/"+part, func(path string, d fs.DirEntry, err error) error {
			name := strings.TrimPrefix(path, "/proc/sys/")
			if err != nil || d.IsDir() || volatile.MatchString(name) {
				return nil
			}
			if b, err := os.ReadFile(path); err == nil {
				h.add("kernel settings", name+" = "+strings.TrimSpace(string(b)))
			}
			return nil
		})
	}
}

// listeners are sockets of the host's network that others than the host can reach. One
// that a program without relation to these tests has opened is not counted.
func (h host) listeners() {
	owners := map[string]string{}
	for _, file := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, _ := os.ReadFile("/proc/self/net/" + file)
		lines := bufio.NewScanner(bytes.NewReader(b))
		for lines.Scan() {
			f := strings.Fields(lines.Text())
			if len(f) < 10 || (strings.HasPrefix(file, "tcp") && f[3] != "0A") || (strings.HasPrefix(file, "udp") && f[3] != "07") {
				continue
			}
			address, port, _ := strings.Cut(f[1], ":")
			if strings.HasSuffix(address, "7F") && len(address) == 8 || address == "00000000000000000000000001000000" {
				continue
			}
			if len(owners) == 0 {
				owners = socketOwners()
			}
			owner, known := owners[f[9]]
			if known && !isOurs(owner) && !strings.Contains(owner, craton) {
				continue
			}
			n, _ := strconv.ParseUint(port, 16, 16)
			raw, _ := hex.DecodeString(address)
			h.add("listeners", fmt.Sprintf("%s %x port %d of %q", file, raw, n, owner))
		}
	}
}

// socketOwners are the command lines of processes by the inodes of their sockets.
func socketOwners() map[string]string {
	owners := map[string]string{"": ""}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, l := range links {
		target, _ := os.Readlink(l)
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			line, _ := os.ReadFile(filepath.Join("/proc", strings.Split(l, "/")[2], "cmdline"))
			owners[strings.TrimSuffix(inode, "]")] = strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return owners
}

// printed is what a program prints of the host, a thing a line, without what changes by itself.
func (h host) printed(t *testing.T, kind string, without *regexp.Regexp, name string, args ...string) {
	t.Helper()
	out, err := command.Run(context.Background(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		h.add(kind, strings.TrimSpace(without.ReplaceAllString(line, "")))
	}
}

// unchanged are the kinds that a running cluster changes as little as one that is gone.
var unchanged = []string{"kernel settings", "listeners", "firewall", "addresses", "routes", "mounts"}

// compare fails the test for each difference of the kinds (all where there are none).
func (h host) compare(t *testing.T, when string, now host, kinds ...string) {
	t.Helper()
	all := map[string]bool{}
	for _, x := range []host{h, now} {
		for kind := range x {
			if len(kinds) == 0 || slices.Contains(kinds, kind) {
				all[kind] = true
			}
		}
	}
	names := map[string]bool{} // of settings that were there before
	for s := range h["kernel settings"] {
		name, _, _ := strings.Cut(s, " = ")
		names[name] = true
	}
	for kind := range all {
		for thing := range now[kind] {
			name, _, _ := strings.Cut(thing, " = ")
			fromModule := kind == "kernel settings" && !names[name] && loaded.MatchString(name)
			// Running clusters' namespaces are mounts.
			running := len(kinds) > 0 && kind == "mounts" && strings.HasPrefix(thing, "/run/netns")
			if !h[kind][thing] && !fromModule && !running {
				t.Errorf("%s the host has more %s than before: %s", when, kind, thing)
			}
		}
		for thing := range h[kind] {
			if !now[kind][thing] && slices.Contains(unchanged, kind) && kind != "listeners" && !strings.HasPrefix(thing, "/run/netns") {
				t.Errorf("%s the host lacks of its %s: %s", when, kind, thing)
			}
		}
	}
}
