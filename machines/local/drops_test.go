package local

import (
	"net/netip"
	"testing"
)

// The log of drops is what a network team reads: a packet's ends and port must be right,
// and a mangled packet must not stop the log.
func TestParseDrop(t *testing.T) {
	ipv4 := func(proto byte, options int, rest ...byte) []byte {
		head := make([]byte, 20+options)
		head[0] = 0x40 | byte(5+options/4)
		head[9] = proto
		copy(head[12:], []byte{10, 32, 1, 0})
		copy(head[16:], []byte{10, 32, 0, 10})
		return append(head, rest...)
	}
	for _, c := range []struct {
		name     string
		packet   []byte
		ok       bool
		protocol string
		port     uint16
	}{
		{"tcp", ipv4(6, 0, 0x80, 0, 0x1f, 0x90), true, "tcp", 8080},
		{"udp behind options", ipv4(17, 8, 0, 1, 0x12, 0xb5), true, "udp", 4789},
		{"icmp", ipv4(1, 0, 8, 0, 0, 0), true, "other", 0},
		{"tcp without its ports", ipv4(6, 0, 0x80), true, "tcp", 0},
		{"cut", ipv4(6, 0)[:19], false, "", 0},
		{"IPv6", append([]byte{0x60}, make([]byte, 50)...), false, "", 0},
		{"empty", nil, false, "", 0},
	} {
		d, ok := parseDrop(c.packet)
		if ok != c.ok || d.Protocol != c.protocol || d.Port != c.port {
			t.Errorf("%s: %+v, %t", c.name, d, ok)
		}
		if ok && (d.Source != netip.MustParseAddr("10.32.1.0") || d.Destination != netip.MustParseAddr("10.32.0.10")) {
			t.Errorf("%s: from %s to %s", c.name, d.Source, d.Destination)
		}
	}
}
