package nft

import (
	"net/netip"
	"strconv"
	"strings"

	"craton.dev/craton/packets"
)

// address reads an address, a prefix or a range of addresses.
func address(v any) (packets.Range, bool) {
	if o, ok := v.(map[string]any); ok {
		if p, ok := o["prefix"].(map[string]any); ok {
			a, err := netip.ParseAddr(text(p["addr"]))
			n, is := number(p["len"])
			if err != nil || !is || n < 0 || n > int64(a.BitLen()) {
				return packets.Range{}, false
			}
			return packets.Prefix(netip.PrefixFrom(a, int(n))), true
		}
		return span(o, address)
	}
	s := text(v)
	if p, err := netip.ParsePrefix(s); err == nil {
		return packets.Prefix(p), true
	}
	if first, last, ok := strings.Cut(s, "-"); ok {
		return between(first, last, address)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return packets.Range{}, false
	}
	return packets.One(packets.Address(a)), true
}

// maskedAddress is the range of the addresses that have some bits in common with one.
func maskedAddress(addr, mask string) (packets.Range, bool) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return packets.Range{}, false
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || m.BitLen() != a.BitLen() {
		return packets.Range{}, false
	}
	ones, ended := 0, false
	for _, b := range m.AsSlice() {
		for i := 7; i >= 0; i-- {
			set := b>>i&1 == 1
			if set && ended {
				return packets.Range{}, false // no prefix: bits in between
			}
			ended = ended || !set
			if set {
				ones++
			}
		}
	}
	p := netip.PrefixFrom(a, ones)
	if p.Masked().Addr() != a {
		return packets.Range{First: packets.Number(1)}, true // never: it has bits outside of the mask
	}
	return packets.Prefix(p), true
}

// span reads {"range": [first, last]}.
func span(o map[string]any, read reader) (packets.Range, bool) {
	ends := list(o["range"])
	if len(ends) != 2 {
		return packets.Range{}, false
	}
	return join(ends[0], ends[1], read)
}

func between(first, last string, read reader) (packets.Range, bool) {
	return join(strings.TrimSpace(first), strings.TrimSpace(last), read)
}

func join(first, last any, read reader) (packets.Range, bool) {
	for _, end := range []any{first, last} {
		if s, ok := end.(string); ok && strings.Contains(s, "-") {
			return packets.Range{}, false
		}
	}
	a, okA := read(first)
	b, okB := read(last)
	return packets.Range{First: a.First, Last: b.Last}, okA && okB
}

// numeric reads a number up to a limit, a name of one, or a range of either.
func numeric(limit uint64, names map[string]uint64) reader {
	var read reader
	read = func(v any) (packets.Range, bool) {
		if o, ok := v.(map[string]any); ok {
			return span(o, read)
		}
		s := text(v)
		if n, ok := names[s]; ok {
			return packets.Numbers(n, n), true
		}
		if first, last, ok := strings.Cut(s, "-"); ok {
			return between(first, last, read)
		}
		n, err := strconv.ParseUint(s, 0, 32)
		return packets.Numbers(n, n), err == nil && n <= limit
	}
	return read
}

var (
	port           = numeric(65535, services)
	protocolNumber = numeric(255, protocols)
)

// protocols are the names that nft prints and people write (/etc/protocols).
var protocols = map[string]uint64{
	"icmp": packets.ICMP, "igmp": 2, "ipencap": 4, "tcp": packets.TCP, "udp": packets.UDP, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
	"icmpv6": packets.ICMPv6, "ipv6-icmp": packets.ICMPv6, "ospf": 89, "ipip": 94, "vrrp": 112, "sctp": 132, "udplite": 136, "comp": 108,
}

// services are names of ports that people write (/etc/services); another one makes its
// rule one that is not understood.
var services = map[string]uint64{
	"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "http": 80,
	"kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "imap2": 143, "imap": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179, "ldap": 389, "https": 443,
	"submission": 587, "ldaps": 636, "imaps": 993, "pop3s": 995, "openvpn": 1194, "nfs": 2049, "mysql": 3306, "rdp": 3389, "postgresql": 5432,
	"mdns": 5353, "http-alt": 8080, "syslog": 514, "dhcpv6-client": 546, "dhcpv6-server": 547,
}

// icmpType reads a type of ICMP: all its codes.
func icmpType(names map[string]uint64) reader {
	one := numeric(255, names)
	return func(v any) (packets.Range, bool) {
		r, ok := one(v)
		return packets.Numbers(r.First.Lo<<8, r.Last.Lo<<8|255), ok
	}
}

var icmpTypes = map[string]uint64{
	"echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8, "router-advertisement": 9,
	"router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12, "timestamp-request": 13, "timestamp-reply": 14,
}

var icmpv6Types = map[string]uint64{
	"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128, "echo-reply": 129,
	"mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133,
	"nd-router-advert": 134, "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "mld2-listener-report": 143,
}
