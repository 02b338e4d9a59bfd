package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"craton.dev/craton/namespace"
	"craton.dev/craton/plan"
)

// Place is an address behind one of the fabric's ports.
type Place struct {
	// Name is a machine's name, or what the address is to the cluster: user, outside,
	// resolver, external-etcd, balancer.
	Name    string
	Address netip.Addr
	// Role is the machine's; "" for what is none.
	Role string
	// Namespace is what In takes. Two places can share one.
	Namespace string
	// Interface leads to the fabric, whose end of the link has the hardware address Via.
	Interface string
	Via       net.HardwareAddr
}

// Places are the ends of the fabric's links, surroundings first: who can be a peer in the
// plan. The error names the link that is missing.
func (p *Platform) Places(pl *plan.Plan) ([]Place, error) {
	fabric, err := netns.GetFromName(p.namespace(fabricNS))
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w; is the cluster up?", p.namespace(fabricNS), err)
	}
	defer fabric.Close()
	h, err := netlink.NewHandleAt(fabric)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	roles := map[string]string{}
	for _, m := range pl.Machines {
		roles[m.Name] = string(m.Role)
	}
	var places []Place
	for _, l := range p.links(pl) {
		port, err := h.LinkByName(l.port)
		if err != nil {
			return nil, fmt.Errorf("the fabric's port %s of %s: %w; run `craton up`", l.port, l.namespace, err)
		}
		add := func(name string, a netip.Addr) {
			places = append(places, Place{
				Name: name, Address: a, Role: roles[l.namespace], Namespace: l.namespace,
				Interface: "eth0", Via: port.Attrs().HardwareAddr,
			})
		}
		add(l.namespace, l.addresses[0])
		if l.namespace != outsideNS {
			continue
		}
		for _, a := range pl.Network.Resolvers {
			add("resolver", a)
			break // they are all of one kind to the rules
		}
		for _, a := range outsideEtcd(pl) {
			add("external-etcd", a)
			break
		}
	}
	return places, nil
}

// In runs f on a thread inside a place's namespace. f must not leave work that needs it
// to other goroutines; a socket that it makes works from anywhere.
func (p *Platform) In(place string, f func() error) error {
	ns, err := netns.GetFromName(p.namespace(place))
	if err != nil {
		return fmt.Errorf("network namespace %s: %w; is the cluster up?", p.namespace(place), err)
	}
	defer ns.Close()
	return namespace.Do(ns, f)
}

// InAddress is In for a namespace that a machine's programs have made, such as a pod's: the one
// that has this address.
func (p *Platform) InAddress(machine string, a netip.Addr, f func() error) error {
	pid, err := p.initPID(machine)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/root%s/*", pid, netnsDir))
	if err != nil {
		return err
	}
	for _, file := range files {
		ns, err := netns.GetFromPath(file)
		if err != nil {
			continue // it has just ended
		}
		found := false
		err = namespace.Do(ns, func() error {
			addresses, err := net.InterfaceAddrs()
			if err != nil {
				return err
			}
			for _, one := range addresses {
				if n, ok := one.(*net.IPNet); ok && n.IP.Equal(a.AsSlice()) {
					found = true
					return f()
				}
			}
			return nil
		})
		ns.Close()
		if found {
			return err
		}
	}
	return fmt.Errorf("no network namespace of machine %s has the address %s", machine, a)
}

// Forget ends what the fabric and the two places remember of flows from one address to
// another, from these source ports: nobody's connections but a prober's.
func (p *Platform) Forget(src, dst Place, sourcePorts func(uint16) bool) error {
	match := flowsFrom{src.Address, dst.Address, sourcePorts}
	var errs []error
	for _, name := range []string{fabricNS, src.Namespace, dst.Namespace} {
		// Entries come and go meanwhile, by which the kernel calls the list interrupted.
		if err := p.untrack(name, match); err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			errs = append(errs, fmt.Errorf("forget the probes' flows in %s: %w", p.namespace(name), err))
		}
	}
	return errors.Join(errs...)
}

type flowsFrom struct {
	src, dst    netip.Addr
	sourcePorts func(uint16) bool
}

func (f flowsFrom) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	src, _ := netip.AddrFromSlice(c.Forward.SrcIP.To4())
	dst, _ := netip.AddrFromSlice(c.Forward.DstIP.To4())
	// An answer makes an entry of its own, the other way round, where no entry of the
	// probe was: probes do not pass their sender's connection tracking.
	return src == f.src && dst == f.dst && f.sourcePorts(c.Forward.SrcPort) ||
		src == f.dst && dst == f.src && f.sourcePorts(c.Forward.DstPort)
}
