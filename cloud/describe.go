package cloud

import (
	"fmt"
	"net/netip"
	"strings"

	"craton.dev/craton/packets"
)

// AddPrefixes adds peers by their prefixes; empty ones are left out. The error says which
// is none.
func (r *Rule) AddPrefixes(texts ...string) error {
	for _, t := range texts {
		if t == "" {
			continue
		}
		p, err := netip.ParsePrefix(t)
		if err != nil {
			a, errAddr := netip.ParseAddr(t)
			if errAddr != nil || a.Zone() != "" {
				return fmt.Errorf("%q is no network: expected an address and the length of its mask, such as 10.0.0.0/16", t)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		r.Peers = append(r.Peers, Peer{Prefix: p.Masked()})
	}
	return nil
}

// Describe says what a rule does, in a line.
func (r *Rule) Describe() string {
	var b strings.Builder
	b.WriteString(map[bool]string{false: "allow ", true: "deny "}[r.Deny])
	b.WriteString(map[bool]string{false: "in ", true: "out "}[r.Out])
	b.WriteString(Protocols(r.Protocols))
	switch {
	case r.Ports == nil:
	case len(r.Protocols) == 1 && (r.Protocols[0].First.Lo == packets.ICMP || r.Protocols[0].First.Lo == packets.ICMPv6):
		b.WriteString(" " + strings.Join(Types(r.Ports), ", "))
	default:
		b.WriteString(" " + Numbers(r.Ports))
	}
	b.WriteString(map[bool]string{false: " from ", true: " to "}[r.Out])
	if r.Peers == nil {
		b.WriteString("everybody")
	}
	for i, p := range r.Peers {
		if i > 0 {
			b.WriteString(", ")
		}
		switch {
		case i == 6:
			fmt.Fprintf(&b, "… (%d)", len(r.Peers))
			return b.String()
		case p.Prefix.IsValid():
			b.WriteString(p.Prefix.String())
		case p.Group == OwnNetworks:
			b.WriteString("the virtual network")
		case p.Group != "":
			b.WriteString("group " + p.Group)
		default:
			b.WriteString(p.Unknown)
		}
	}
	return b.String()
}

// Protocols are protocols by name.
func Protocols(ranges []packets.Range) string {
	if ranges == nil {
		return "any protocol"
	}
	names := map[uint64]string{packets.TCP: "tcp", packets.UDP: "udp", packets.ICMP: "icmp", packets.ICMPv6: "icmpv6"}
	var out []string
	for _, r := range ranges {
		if name := names[r.First.Lo]; name != "" && r.First == r.Last {
			out = append(out, name)
		} else {
			out = append(out, "protocol "+Numbers([]packets.Range{r}))
		}
	}
	return strings.Join(out, "/")
}

// Types are the types of ICMP that ranges of ports stand for, with codes where they matter.
func Types(ranges []packets.Range) []string {
	var out []string
	for _, r := range ranges {
		switch first, last := r.First.Lo, r.Last.Lo; {
		case first == 0 && last == 65535:
			return []string{"all"}
		case first&255 == 0 && last == first|255:
			out = append(out, fmt.Sprintf("type %d", first>>8))
		case first&255 == 0 && last&255 == 255:
			out = append(out, fmt.Sprintf("types %d-%d", first>>8, last>>8))
		case first == last:
			out = append(out, fmt.Sprintf("type %d code %d", first>>8, first&255))
		default:
			out = append(out, fmt.Sprintf("type %d code %d to type %d code %d", first>>8, first&255, last>>8, last&255))
		}
	}
	return out
}

// Numbers are ranges as people write them.
func Numbers(ranges []packets.Range) string {
	var out []string
	for _, r := range ranges {
		if r.First == r.Last {
			out = append(out, fmt.Sprint(r.First.Lo))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", r.First.Lo, r.Last.Lo))
		}
	}
	return strings.Join(out, ",")
}
