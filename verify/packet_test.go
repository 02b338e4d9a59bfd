package verify

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/contract"
)

var (
	here  = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	there = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

func anyPacket(t *rapid.T) packet {
	address := func(name string) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rapid.Uint32().Draw(t, name))))
	}
	p := packet{
		src: address("src"), dst: address("dst"), protocol: contract.TCP,
		sport: rapid.Uint16().Draw(t, "sport"), dport: rapid.Uint16().Draw(t, "dport"), token: rapid.Uint32().Draw(t, "token"),
	}
	if rapid.Bool().Draw(t, "udp") {
		p.protocol, p.reply = contract.UDP, rapid.Bool().Draw(t, "reply")
	}
	return p
}

// What is written is read as it was, with checksums that a kernel accepts: without those
// every port would seem to be shut.
func TestFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPacket(t)
		b := p.frame(make([]byte, maxFrame), here, there)
		if got, ok := parse(b); !ok || got != p {
			t.Fatalf("%+v came back as %+v, %t", p, got, ok)
		}
		ip := b[etherHead:]
		if s := sum(0, ip[:ipHead]); s != 0xffff {
			t.Errorf("the head sums up to %#x", s)
		}
		l4 := ip[ipHead:]
		if s := sum(uint32(ip[9])+uint32(len(l4)), append(append([]byte{}, ip[12:20]...), l4...)); s != 0xffff {
			t.Errorf("the %s part sums up to %#x", p.protocol, s)
		}
		if int(binary.BigEndian.Uint16(ip[2:])) != len(ip) {
			t.Error("the length is wrong")
		}
		if p.protocol == contract.UDP && l4[udpHead]&0x08 != 0 {
			t.Error("VXLAN would take the payload for a packet of a network")
		}
	})
}

// answer turns a probe into what a kernel sends back.
func answer(p packet, flags byte) []byte {
	back := packet{src: p.dst, dst: p.src, protocol: contract.TCP, sport: p.dport, dport: p.sport}
	b := back.frame(make([]byte, maxFrame), there, here)
	l4 := b[etherHead+ipHead:]
	l4[13] = flags
	binary.BigEndian.PutUint32(l4[8:], p.token+1)
	return b
}

func unreachable(p packet, by netip.Addr, code byte) []byte {
	quoted := p.frame(make([]byte, maxFrame), here, there)[etherHead:]
	b := packet{src: by, dst: p.src, protocol: contract.TCP}.frame(make([]byte, maxFrame), there, here)[:etherHead+ipHead]
	b[etherHead+9] = 1
	binary.BigEndian.PutUint16(b[etherHead+2:], uint16(ipHead+8+len(quoted)))
	return append(append(b[:len(b):len(b)], 3, code, 0, 0, 0, 0, 0, 0), quoted...)
}

// Only what the receiver itself sends because of this probe counts as its answer.
func TestAnswers(t *testing.T) {
	tcp := packet{src: netip.MustParseAddr("10.0.0.2"), dst: netip.MustParseAddr("10.32.0.10"), protocol: contract.TCP, sport: 61000, dport: 443, token: 0xffffffff}
	udp := tcp
	udp.protocol = contract.UDP
	router := netip.MustParseAddr("169.254.1.1")
	for name, test := range map[string]struct {
		frame []byte
		of    packet
		ok    bool
	}{
		"reset":                       {answer(tcp, flagRST|flagACK), tcp, true},
		"SYN-ACK":                     {answer(tcp, flagSYN|flagACK), tcp, true},
		"an ACK alone":                {answer(tcp, flagACK), tcp, false},
		"a reset without ACK":         {answer(tcp, flagRST), tcp, false},
		"port unreachable, udp":       {unreachable(udp, udp.dst, 3), udp, true},
		"port unreachable, tcp":       {unreachable(tcp, tcp.dst, 3), tcp, true},
		"port unreachable by another": {unreachable(udp, router, 3), udp, false},
		"host unreachable":            {unreachable(udp, udp.dst, 1), udp, false},
	} {
		want := packet{src: test.of.dst, dst: test.of.src, protocol: test.of.protocol, sport: test.of.dport, dport: test.of.sport, reply: true, token: test.of.token}
		got, ok := parse(test.frame)
		if ok != test.ok || ok && got != want {
			t.Errorf("%s: %+v, %t; expected %+v, %t", name, got, ok, want, test.ok)
		}
	}
}

// No frame makes the parser panic, however short or false its lengths are.
func FuzzParse(f *testing.F) {
	p := packet{src: netip.MustParseAddr("10.0.0.2"), dst: netip.MustParseAddr("10.32.0.10"), protocol: contract.UDP, sport: 61000, dport: 53}
	f.Add(p.frame(make([]byte, maxFrame), here, there))
	f.Add(unreachable(p, p.dst, 3))
	p.protocol = contract.TCP
	f.Add(p.frame(make([]byte, maxFrame), here, there))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parse(b); ok && p.protocol != contract.TCP && p.protocol != contract.UDP {
			t.Errorf("%+v is neither tcp nor udp", p)
		}
	})
}
