package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"craton.dev/craton/namespace"
)

// gateway is the address that the ports of a fabric share, as in the embedded platform.
var gateway = netip.MustParseAddr("169.254.1.1")

// namespaceName is where a network namespace of bench is, below /run/netns.
func namespaceName(name string) string { return "craton-bench-" + name }

// newNamespace makes a network namespace with its loopback up, in place of one that a run
// which was killed has left.
func newNamespace(name string) (netns.NsHandle, error) {
	full := namespaceName(name)
	if err := removeNamespace(name); err != nil {
		return netns.None(), err
	}
	var made netns.NsHandle
	err := namespace.OnThread(func() error {
		ns, err := netns.NewNamed(full) // switches this thread into it
		if err != nil {
			return fmt.Errorf("make network namespace %s: %w", full, err)
		}
		made = ns
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return made, err
}

func removeNamespace(name string) error {
	err := netns.DeleteNamed(namespaceName(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace %s: %w", namespaceName(name), err)
	}
	return nil
}

// sysctl sets the namespace's kernel settings, each a path below /proc/sys/net.
func sysctl(ns netns.NsHandle, settings map[string]string) error {
	return namespace.Do(ns, func() error {
		for name, value := range settings {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// connect joins a machine's namespace to the fabric's, as the embedded platform does: a
// veth pair, the address as a /32, a route each way.
func connect(fabric, machine netns.NsHandle, port string, address netip.Addr) error {
	inFabric, err := netlink.NewHandleAt(fabric)
	if err != nil {
		return err
	}
	defer inFabric.Close()
	inMachine, err := netlink.NewHandleAt(machine)
	if err != nil {
		return err
	}
	defer inMachine.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	if err := inFabric.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(machine))}); err != nil {
		return fmt.Errorf("make veth %s: %w", port, err)
	}
	near, err := inFabric.LinkByName(port)
	if err != nil {
		return err
	}
	far, err := inMachine.LinkByName("eth0")
	if err != nil {
		return err
	}
	return errors.Join(
		inFabric.LinkSetUp(near),
		inFabric.AddrAdd(near, &netlink.Addr{IPNet: host(gateway)}),
		inMachine.LinkSetUp(far),
		inMachine.AddrAdd(far, &netlink.Addr{IPNet: host(address)}),
		inFabric.RouteReplace(&netlink.Route{LinkIndex: near.Attrs().Index, Dst: host(address),
			Scope: netlink.SCOPE_LINK, Src: gateway.AsSlice()}),
		inMachine.RouteReplace(&netlink.Route{LinkIndex: far.Attrs().Index,
			Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
			Gw:  gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK), Src: address.AsSlice()}),
	)
}

func host(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}
}

// forget drops what the fabric's connection tracking knows, so that one run's connections
// are not the next one's load.
func forget(fabric netns.NsHandle) error {
	h, err := netlink.NewHandleAt(fabric, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.ConntrackTableFlush(netlink.ConntrackTable)
}
