package local

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"craton.dev/craton/namespace"
)

// TestAddresses protects from an address that an earlier plan gave to a place: with the next plan
// it is gone, and the others stay.
func TestAddresses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	p := &Platform{Cluster: fmt.Sprintf("addresses%d", os.Getpid()), Dir: t.TempDir()}
	t.Cleanup(func() {
		for _, name := range []string{fabricNS, balancer} {
			if err := p.removeNamespace(name); err != nil {
				t.Error(err)
			}
		}
	})
	fabric, err := p.ensureNamespace(fabricNS)
	if err != nil {
		t.Skipf("this place lets nobody make a network namespace: %v", err)
	}
	defer fabric.Close()
	api, ingress := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, want := range [][]netip.Addr{{api}, {api, ingress}, {api}} {
		if err := p.ensureLink(fabric, link{balancer, balancer, want}); err != nil {
			t.Fatal(err)
		}
		far, err := p.ensureNamespace(balancer)
		if err != nil {
			t.Fatal(err)
		}
		var got []netip.Addr
		if err := namespace.Do(far, func() error {
			eth0, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			there, err := eth0.Addrs()
			for _, a := range there {
				prefix, err := netip.ParsePrefix(a.String())
				if err != nil {
					return err
				}
				got = append(got, prefix.Addr())
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		far.Close()
		if !slices.Equal(got, want) {
			t.Errorf("the place has the addresses %v, expected %v", got, want)
		}
	}
}

// TestShareMount protects a cluster's namespaces from being covered when somebody else's first
// `ip netns add` makes their folder a mount: it has to be one already, once, with all that is in it.
func TestShareMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	below := filepath.Join(dir, "namespace")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", below, "tmpfs", 0, ""); err != nil {
		t.Skipf("this place lets nobody mount: %v", err)
	}
	t.Cleanup(func() {
		for range 4 { // each once more than it should be there
			_ = unix.Unmount(below, unix.MNT_DETACH)
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	if err := os.WriteFile(filepath.Join(below, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := shareMount(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(below, "there")); err != nil {
		t.Errorf("what was mounted in the folder is covered: %v", err)
	}
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 6 && fields[4] == dir {
			found++
			if !strings.HasPrefix(fields[6], "shared:") {
				t.Errorf("the folder's mount is not shared: %s", line)
			}
		}
	}
	if found != 1 {
		t.Errorf("the folder is mounted %d times, expected once", found)
	}
}
