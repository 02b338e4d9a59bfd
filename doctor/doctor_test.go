package doctor

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// sound is a host on which everything is well.
func sound() (Host, map[string]string) {
	files := map[string]string{
		"/proc/filesystems":                 "nodev\tsysfs\nnodev\toverlay\n\text4\n",
		"/proc/self/mounts":                 "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n",
		"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
		"/proc/meminfo":                     "MemTotal:       16384000 kB\nMemAvailable:   12000000 kB\n",
	}
	built := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	return Host{
		UID:      func() int { return 0 },
		LookPath: func(name string) (string, error) { return "/usr/bin/" + name, nil },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
		Free:    func(string) (uint64, error) { return 40 * gib, nil },
		Now:     func() time.Time { return built.AddDate(0, 1, 0) },
		Run:     func(context.Context, string, ...string) ([]byte, error) { return nil, nil },
		Probe:   func(string) error { return nil },
		Inotify: func() (int, int, error) { return 28, 128, nil },
		Facts: Facts{
			CacheDir: "/var/cache/craton", StateDir: "/var/lib/craton", Built: built, Build: 15 * gib,
			Master: Share{Inotify: 28, Disk: 2 * gib}, Worker: Share{Inotify: 16, Disk: gib}, KeepFree: gib,
		},
	}, files
}

func without(names ...string) func(string) (string, error) {
	return func(name string) (string, error) {
		for _, n := range names {
			if n == name {
				return "", exec.ErrNotFound
			}
		}
		return "/usr/bin/" + name, nil
	}
}

// TestSoundHost: nothing is said to be wrong with a host that is well; without it each case
// of TestOneFault could pass by failing always.
func TestSoundHost(t *testing.T) {
	h, _ := sound()
	r := Examine(context.Background(), h)
	if !r.OK || len(r.Results) != len(Checks()) {
		t.Errorf("OK is %v with %d results", r.OK, len(r.Results))
	}
	for _, one := range r.Results {
		if one.Status != OK || one.Next != "" {
			t.Errorf("%s: %+v", one.ID, one)
		}
	}
}

// TestOneFault breaks one thing at a time: exactly its check must say so, and say what to do.
func TestOneFault(t *testing.T) {
	for _, test := range []struct {
		name   string
		breaks func(h *Host, files map[string]string)
		id     string
		status Status
		detail string
		next   string
	}{
		{"cgroup v1", func(_ *Host, f map[string]string) {
			f["/proc/self/mounts"] = "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n"
		}, "cgroups", OK, "cgroup v1", ""},
		{"no cgroups", func(_ *Host, f map[string]string) { f["/proc/self/mounts"] = "tmpfs /tmp tmpfs rw 0 0\n" },
			"cgroups", Failed, "No cgroup", "mount -t cgroup2"},
		{"cgroup v1 without memory", func(_ *Host, f map[string]string) {
			f["/proc/self/mounts"] = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
		}, "cgroups", Failed, "memory controller", ""},
		{"cgroup v2 without memory", func(_ *Host, f map[string]string) { f["/sys/fs/cgroup/cgroup.controllers"] = "cpu pids\n" },
			"cgroups", Failed, "without the memory controller", "cgroup_enable=memory"},
		{"no overlay", func(_ *Host, f map[string]string) { f["/proc/filesystems"] = "nodev\toverlayish\n" },
			"kernel", Failed, "no overlay", "modprobe overlay"},
		{"no vxlan", func(h *Host, _ map[string]string) {
			h.Probe = func(feature string) error {
				if feature == featureVXLAN {
					return errors.New("not supported")
				}
				return nil
			}
		}, "kernel", Failed, "no vxlan (the pod network between machines): not supported", "CONFIG_VXLAN"},
		{"nft does not work", func(h *Host, _ map[string]string) {
			h.Run = func(context.Context, string, ...string) ([]byte, error) { return nil, errors.New("not supported") }
		}, "kernel", Failed, "does not answer nft", "CONFIG_NF_TABLES"},
		{"missing programs", func(h *Host, _ map[string]string) { h.LookPath = without("haproxy", "nft") },
			"programs", Failed, "nft (loads the firewall), haproxy (is the load balancer)", "apt-get install nftables haproxy"},
		{"no go", func(h *Host, _ map[string]string) { h.LookPath = without("go", "gcc") },
			"build", Failed, "go (builds Kubernetes), gcc", "apt-get install gcc; install Go 1.26"},
		{"clock in 1970", func(h *Host, _ map[string]string) { h.Now = func() time.Time { return time.Unix(0, 0) } },
			"clock", Failed, "1970-01-01", "date -s"},
		{"clock before the build", func(h *Host, _ map[string]string) { h.Now = func() time.Time { return h.Built.AddDate(0, 0, -2) } },
			"clock", Failed, "before this program was made", "date -s"},
		{"little memory", func(_ *Host, f map[string]string) { f["/proc/meminfo"] = "MemTotal: 2097152 kB\n" },
			"memory", Failed, "2.0 GiB of memory are too few", "more memory"},
		{"memory in use", func(_ *Host, f map[string]string) {
			f["/proc/meminfo"] = "MemTotal: 8388608 kB\nMemAvailable: 1048576 kB\n"
		}, "memory", Warning, "only 1.0 GiB of them available", "stop something"},
		{"clock in 2099", func(h *Host, _ map[string]string) { h.Now = func() time.Time { return h.Built.AddDate(73, 0, 0) } },
			"clock", Warning, "2099", "before the first craton up"},
		{"a disk full for machines", func(h *Host, _ map[string]string) {
			h.Free = func(dir string) (uint64, error) {
				if dir == h.StateDir {
					return 4*gib - 1, nil
				}
				return 40 * gib, nil
			}
		}, "disk", Failed, "/var/lib/craton has 4.0 GiB free; one master and one worker need 4.0 GiB", "make room"},
		{"disk for a warm cache only", func(h *Host, _ map[string]string) { h.Free = func(string) (uint64, error) { return 15*gib - 1, nil } },
			"disk", Warning, "/var/cache/craton has 15.0 GiB free", "CRATON_CACHE"},
		{"no machine fits", func(h *Host, _ map[string]string) { h.Inotify = func() (int, int, error) { return 101, 128, nil } },
			"inotify", Failed, "is 128 and 101 are in use: no machine fits", "max_user_instances=1024"},
		{"a master fits, but no worker", func(h *Host, _ map[string]string) { h.Inotify = func() (int, int, error) { return 100, 128, nil } },
			"inotify", Warning, "room for a master and 0 workers", "sysctl -w"},
		{"just one worker fits", func(h *Host, _ map[string]string) { h.Inotify = func() (int, int, error) { return 84, 128, nil } },
			"inotify", OK, "room for a master and 1 worker.", ""},
		{"no limit", func(h *Host, _ map[string]string) { h.Inotify = func() (int, int, error) { return 0, 0, nil } },
			"inotify", OK, "no limit", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, files := sound()
			test.breaks(&h, files)
			r := Examine(context.Background(), h)
			if want := test.status != Failed; r.OK != want {
				t.Errorf("the report's OK is %v", r.OK)
			}
			for _, one := range r.Results {
				if one.ID != test.id {
					if one.Status != OK {
						t.Errorf("%s is not at fault, but says %s: %s", one.ID, one.Status, one.Detail)
					}
					continue
				}
				if one.Status != test.status || !strings.Contains(one.Detail, test.detail) || !strings.Contains(one.Next, test.next) {
					t.Errorf("got %+v, want %s with %q and %q", one, test.status, test.detail, test.next)
				}
			}
		})
	}
}

// TestNotRoot: an ordinary user learns that root is missing, not that the kernel is broken.
func TestNotRoot(t *testing.T) {
	h, _ := sound()
	h.UID = func() int { return 1000 }
	h.Probe = func(string) error { return errors.New("operation not permitted") }
	for _, one := range Examine(context.Background(), h).Results {
		want := OK
		switch one.ID {
		case "root":
			want = Failed
		case "kernel", "namespaces":
			want = Warning
		}
		if one.Status != want {
			t.Errorf("%s is %s, want %s: %s", one.ID, one.Status, want, one.Detail)
		}
	}
}

// TestSentences: what people read is whole sentences, and what is wrong comes with a step.
func TestSentences(t *testing.T) {
	h, _ := sound()
	h.UID = func() int { return 1000 }
	h.LookPath = without("nft", "go")
	h.Free = func(string) (uint64, error) { return 0, errors.New("no such disk") }
	h.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	r := Examine(context.Background(), h)
	for _, one := range r.Results {
		if !strings.HasSuffix(one.Detail, ".") || strings.HasSuffix(one.Detail, "..") {
			t.Errorf("%s: %q is no sentence", one.ID, one.Detail)
		}
		if one.Status != OK && one.Next == "" {
			t.Errorf("%s is %s without a next step", one.ID, one.Status)
		}
	}
	var table bytes.Buffer
	if err := WriteTable(&table, r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "→ apt-get install nftables") {
		t.Errorf("the table does not say what to install:\n%s", table.String())
	}
}

// TestThisHost protects the real look-ups: /proc is there, a folder that does not exist yet
// has the space of the one above it, and a program that is none is not found.
func TestThisHost(t *testing.T) {
	h := ThisHost(Facts{CacheDir: t.TempDir() + "/not/yet", StateDir: "/"}, nil)
	if !filesystem(h, "proc") {
		t.Error("/proc/filesystems has no proc")
	}
	if bytes, err := h.Free(h.CacheDir); err != nil || bytes == 0 {
		t.Errorf("free space %d, %v", bytes, err)
	}
	if _, err := h.LookPath("no-such-program"); err == nil {
		t.Error("no-such-program was found")
	}
	if _, err := meminfo(h, "MemTotal"); err != nil {
		t.Error(err)
	}
}
