package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"craton.dev/craton/namespace"
	"craton.dev/craton/plan"
)

// The fabric is a namespace that routes. Every machine and every surrounding has one
// point-to-point link to it: a veth pair whose far end carries the address as a /32 and
// a default route to gateway, an address that all of the fabric's ports share. So there
// is no network below IP that could carry a packet past the fabric's rules.
var gateway = netip.MustParseAddr("169.254.1.1")

// Namespaces of the surroundings; machines have one of their own name.
const (
	fabricNS  = "fabric"
	userNS    = "user"
	outsideNS = "outside"
	balancer  = "balancer"
)

const netnsDir = "/run/netns"

// outsideAddress is a place in the world that is neither the user network nor a
// registry, from the block for documentation (RFC 5737): probes come from there.
var outsideAddress = netip.MustParseAddr("192.0.2.10")

// namespace is the name, below /run/netns, of one of the cluster's namespaces.
func (p *Platform) namespace(name string) string {
	if strings.HasPrefix(name, p.Cluster+"-") {
		return "craton-" + name
	}
	return "craton-" + p.Cluster + "-" + name
}

// link is one port of the fabric.
type link struct {
	namespace string // of the far end
	port      string // the interface's name in the fabric
	addresses []netip.Addr
}

// port is the fabric's interface for a machine: role and number, which fit the kernel's
// 15 characters where a machine's name might not.
func (p *Platform) port(machine string) string {
	short := strings.TrimPrefix(machine, p.Cluster+"-")
	return strings.Replace(short, "-", "", 1)
}

// UserAddress is where the host's own connections come from: the second address of the
// user network.
func UserAddress(n plan.Network) netip.Addr { return n.User.Addr().Next().Next() }

// links are the ports of the surroundings and of the plan's machines.
func (p *Platform) links(pl *plan.Plan) []link {
	outside := []netip.Addr{outsideAddress, pl.Network.Registry}
	outside = append(outside, pl.Network.Resolvers...)
	outside = append(outside, outsideEtcd(pl)...)
	ls := []link{
		{userNS, userNS, []netip.Addr{UserAddress(pl.Network)}},
		{outsideNS, outsideNS, outside},
	}
	if pl.Network.LoadBalancer.IsValid() {
		at := []netip.Addr{pl.Network.LoadBalancer}
		if pl.Network.Ingress.IsValid() {
			at = append(at, pl.Network.Ingress)
		}
		ls = append(ls, link{balancer, balancer, at})
	}
	for _, m := range pl.Machines {
		ls = append(ls, link{m.Name, p.port(m.Name), []netip.Addr{m.Address}})
	}
	return ls
}

// fabricSysctls are the settings of the fabric's namespace: it routes.
var fabricSysctls = map[string]string{
	"net/ipv4/ip_forward":          "1",
	"net/ipv4/conf/all/rp_filter":  "0",
	"net/ipv6/conf/all/forwarding": "0",
}

// followSysctls are those of following connections, which a kernel may have only once a rule asks for it: that
// it notes when each began, for verify --traffic.
var followSysctls = map[string]string{"net/netfilter/nf_conntrack_timestamp": "1"}

// prepareNetwork makes the namespaces and links that are missing.
func (p *Platform) prepareNetwork(pl *plan.Plan) error {
	if err := p.claim(); err != nil {
		return err
	}
	fabric, err := p.ensureNamespace(fabricNS)
	if err != nil {
		return err
	}
	defer fabric.Close()
	if err := namespace.Do(fabric, func() error {
		return setSysctls(fabricSysctls)
	}); err != nil {
		return err
	}
	for _, l := range p.links(pl) {
		if err := p.ensureLink(fabric, l); err != nil {
			return fmt.Errorf("link of %s: %w", l.namespace, err)
		}
	}
	return nil
}

// ensureNamespace opens the cluster's namespace of that name and makes it where it is
// missing. IPv6 is off in it: nothing in the plan speaks it.
func (p *Platform) ensureNamespace(name string) (netns.NsHandle, error) {
	full := p.namespace(name)
	if ns, err := netns.GetFromName(full); err == nil {
		if isNamespace(filepath.Join(netnsDir, full)) {
			return ns, nil
		}
		ns.Close()
		os.Remove(filepath.Join(netnsDir, full)) // left by a run that was killed before the mount
	}
	if err := shareMount(netnsDir); err != nil {
		return netns.None(), err
	}
	var made netns.NsHandle
	err := namespace.OnThread(func() error {
		ns, err := netns.NewNamed(full) // switches this thread into it
		if err != nil {
			return err
		}
		made = ns
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		return setSysctls(map[string]string{
			"net/ipv6/conf/all/disable_ipv6":     "1",
			"net/ipv6/conf/default/disable_ipv6": "1",
		})
	})
	if err != nil {
		return netns.None(), fmt.Errorf("make network namespace %s: %w", full, err)
	}
	return made, nil
}

// shareMount makes the folder of namespaces a shared mount of its own, as the first `ip netns add` on
// a host does. Done later, by somebody else, that would cover the mounts of a cluster that is up, and
// `craton down` could not remove them any more.
func shareMount(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	// One at a time, and `ip netns add` takes this lock as well.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	share := func() error { return unix.Mount("", dir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err = share()
	if errors.Is(err, unix.EINVAL) { // it is no mount yet
		if err = unix.Mount(dir, dir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = share()
		}
	}
	if err != nil {
		return fmt.Errorf("make %s a mount that is shared: %w", dir, err)
	}
	return nil
}

// isNamespace tells a mounted namespace from the empty file that it is mounted on.
func isNamespace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// Connected tells whether the network has a place for the machine, whether or not it runs.
func (p *Platform) Connected(machine string) bool {
	return isNamespace(filepath.Join(netnsDir, p.namespace(machine)))
}

func (p *Platform) ensureLink(fabric netns.NsHandle, l link) error {
	far, err := p.ensureNamespace(l.namespace)
	if err != nil {
		return err
	}
	defer far.Close()
	inFabric, err := netlink.NewHandleAt(fabric)
	if err != nil {
		return err
	}
	defer inFabric.Close()
	inFar, err := netlink.NewHandleAt(far)
	if err != nil {
		return err
	}
	defer inFar.Close()

	eth0, err := inFar.LinkByName("eth0")
	if err != nil {
		if stale, err := inFabric.LinkByName(l.port); err == nil {
			if err := inFabric.LinkDel(stale); err != nil {
				return err
			}
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = l.port
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(far))}
		if err := inFabric.LinkAdd(pair); err != nil {
			return fmt.Errorf("make veth %s: %w", l.port, err)
		}
		if eth0, err = inFar.LinkByName("eth0"); err != nil {
			return err
		}
	}
	port, err := inFabric.LinkByName(l.port)
	if err != nil {
		return err
	}
	if err := inFabric.LinkSetUp(port); err != nil {
		return err
	}
	if err := addAddress(inFabric, port, gateway); err != nil {
		return err
	}
	if err := inFar.LinkSetUp(eth0); err != nil {
		return err
	}
	if err := removeAddresses(inFar, eth0, l.addresses); err != nil {
		return err
	}
	for _, a := range l.addresses {
		if err := addAddress(inFar, eth0, a); err != nil {
			return err
		}
		if err := inFabric.RouteReplace(&netlink.Route{
			LinkIndex: port.Attrs().Index, Dst: host(a), Scope: netlink.SCOPE_LINK, Src: gateway.AsSlice(),
		}); err != nil {
			return fmt.Errorf("route to %s: %w", a, err)
		}
	}
	return inFar.RouteReplace(&netlink.Route{
		LinkIndex: eth0.Attrs().Index,
		Dst:       &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
		Gw:        gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK), Src: l.addresses[0].AsSlice(),
	})
}

func addAddress(h *netlink.Handle, l netlink.Link, a netip.Addr) error {
	err := h.AddrAdd(l, &netlink.Addr{IPNet: host(a), Scope: int(netlink.SCOPE_UNIVERSE)})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("address %s on %s: %w", a, l.Attrs().Name, err)
	}
	return nil
}

// removeAddresses takes away the addresses that a place had by an earlier plan. The fabric's
// route to one may stay: nobody answers there.
func removeAddresses(h *netlink.Handle, l netlink.Link, keep []netip.Addr) error {
	there, err := h.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", l.Attrs().Name, err)
	}
	for _, one := range there {
		if a, ok := netip.AddrFromSlice(one.IP.To4()); ok && slices.Contains(keep, a) {
			continue
		}
		if err := h.AddrDel(l, &one); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %s of %s: %w", one.IPNet, l.Attrs().Name, err)
		}
	}
	return nil
}

func host(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}
}

// removeNamespace takes a namespace's name away; it ends with the last that uses it.
func (p *Platform) removeNamespace(name string) error {
	full := p.namespace(name)
	err := netns.DeleteNamed(full)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if errors.Is(err, unix.EINVAL) { // a file that nothing is mounted on
		return os.Remove(filepath.Join(netnsDir, full))
	}
	if err != nil {
		return fmt.Errorf("remove network namespace %s: %w", full, err)
	}
	return nil
}

// setSysctls writes kernel settings of the thread's network namespace. Only net/ ones
// belong to a namespace; others would be the host's.
func setSysctls(values map[string]string) error {
	for name, value := range values {
		if !strings.HasPrefix(name, "net/") {
			return fmt.Errorf("%s is a setting of the host", name)
		}
		err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dialFrom connects from one of the cluster's namespaces. The socket is made on a thread
// inside it; the connection then works from anywhere.
func (p *Platform) dialFrom(name string, dial func() (net.Conn, error)) (conn net.Conn, err error) {
	err = p.In(name, func() error {
		conn, err = dial()
		return err
	})
	return conn, err
}
