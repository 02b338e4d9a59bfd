package local

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"craton.dev/craton/contract"
)

// Flow is a connection that the fabric follows.
type Flow struct {
	Source      netip.Addr        `json:"source"`
	Destination netip.Addr        `json:"destination"`
	Protocol    contract.Protocol `json:"protocol"`
	Port        uint16            `json:"port"`
	// Began is when its first packet passed; the zero time where the kernel has not noted it.
	Began time.Time `json:"began,omitzero"`
}

// Flows are the connections of tcp and udp that the fabric follows now.
func (p *Platform) Flows() ([]Flow, error) {
	ns, err := netns.GetFromName(p.namespace(fabricNS))
	if err != nil {
		return nil, fmt.Errorf("the fabric's namespace: %w", err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	table, err := h.ConntrackTableList(netlink.ConntrackTable, netlink.InetFamily(netlink.FAMILY_V4))
	if err != nil {
		return nil, fmt.Errorf("read the fabric's connections: %w", err)
	}
	var flows []Flow
	for _, f := range table {
		src, okSrc := netip.AddrFromSlice(f.Forward.SrcIP.To4())
		dst, okDst := netip.AddrFromSlice(f.Forward.DstIP.To4())
		proto, okProto := protocols[f.Forward.Protocol]
		if !okSrc || !okDst || !okProto {
			continue
		}
		one := Flow{Source: src, Destination: dst, Protocol: proto, Port: f.Forward.DstPort}
		if f.TimeStart > 0 {
			one.Began = time.Unix(0, int64(f.TimeStart)).UTC()
		}
		flows = append(flows, one)
	}
	return flows, nil
}

// Counting is since when the fabric counts: it was made then.
func (p *Platform) Counting() (time.Time, error) {
	info, err := os.Stat(filepath.Join(netnsDir, p.namespace(fabricNS)))
	if err != nil {
		return time.Time{}, fmt.Errorf("the fabric's namespace: %w", err)
	}
	return info.ModTime().UTC(), nil
}
