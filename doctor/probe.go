package doctor

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"craton.dev/craton/namespace"
)

// The kernel features that are tried out.
const (
	featureNetns = "netns"
	featureVeth  = "veth"
	featureVXLAN = "vxlan"
)

// probe makes a link in a network namespace that goes away with the thread, so that the
// host's own network never sees it.
func probe(feature string) error {
	return namespace.OnThread(func() error { return probeHere(feature) })
}

func probeHere(feature string) error {
	ns, err := netns.New()
	if err != nil {
		return fmt.Errorf("a network namespace cannot be made: %w", err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "probe0"
	switch feature {
	case featureNetns:
		return nil
	case featureVeth:
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "probe1"})
	case featureVXLAN:
		return netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 1, Port: 1})
	}
	return fmt.Errorf("there is no probe for %s", feature)
}
