package verify

import (
	"encoding/binary"
	"net"
	"net/netip"

	"craton.dev/craton/contract"
)

const (
	etherHead = 14
	ipHead    = 20
	tcpHead   = 20
	udpHead   = 8
	maxFrame  = 128
)

const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// The first byte of a UDP payload must not have bit 3 set: to VXLAN, which a machine may
// have at that port, it would be a network's number and the rest a packet to unwrap.
const (
	probeMark = "craton probe"
	replyMark = "craton reply"
)

// packet is what of a frame matters to a prober.
type packet struct {
	src, dst     netip.Addr
	protocol     contract.Protocol
	sport, dport uint16
	// reply tells an answer from a probe, and token which probe it is or answers.
	reply bool
	token uint32
}

// frame writes a probe, or the answer to one over UDP, into b and returns its part.
func (p packet) frame(b []byte, from, to net.HardwareAddr) []byte {
	size := ipHead + tcpHead
	number := byte(6)
	if p.protocol == contract.UDP {
		size, number = ipHead+udpHead+len(probeMark)+4, 17
	}
	b = b[:etherHead+size]
	copy(b[0:6], to)
	copy(b[6:12], from)
	b[12], b[13] = 0x08, 0x00
	ip := b[etherHead:]
	clear(ip)
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(size))
	ip[6] = 0x40 // do not fragment
	ip[8] = 64
	ip[9] = number
	src, dst := p.src.As4(), p.dst.As4()
	copy(ip[12:16], src[:])
	copy(ip[16:20], dst[:])
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:ipHead]))
	l4 := ip[ipHead:]
	binary.BigEndian.PutUint16(l4[0:], p.sport)
	binary.BigEndian.PutUint16(l4[2:], p.dport)
	pseudo := sum(uint32(number)+uint32(len(l4)), ip[12:20])
	if p.protocol == contract.UDP {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
		mark := probeMark
		if p.reply {
			mark = replyMark
		}
		n := copy(l4[udpHead:], mark)
		binary.BigEndian.PutUint32(l4[udpHead+n:], p.token)
		check := ^sum(uint32(pseudo), l4)
		if check == 0 {
			check = 0xffff // 0 says that there is none
		}
		binary.BigEndian.PutUint16(l4[6:], check)
		return b
	}
	binary.BigEndian.PutUint32(l4[4:], p.token)
	l4[12] = tcpHead / 4 << 4
	l4[13] = flagSYN
	binary.BigEndian.PutUint16(l4[14:], 1024)
	binary.BigEndian.PutUint16(l4[16:], ^sum(uint32(pseudo), l4))
	return b
}

// sum is the Internet checksum's sum, not yet inverted.
func sum(start uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		start += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}

// parse reads a frame that may be a probe or an answer to one; ok is false for all that
// is neither by its form. An answer is a reset or a SYN-ACK, our UDP reply, or the
// receiver's ICMP error that quotes the probe: it says "nobody listens", hence "arrived".
func parse(b []byte) (p packet, ok bool) {
	if len(b) < etherHead+ipHead || b[12] != 0x08 || b[13] != 0x00 {
		return p, false
	}
	ip, l4, ok := splitIP(b[etherHead:])
	if !ok {
		return p, false
	}
	p.src, p.dst = addresses(ip)
	switch ip[9] {
	case 6:
		if len(l4) < tcpHead {
			return p, false
		}
		p.protocol = contract.TCP
		p.sport, p.dport = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
		switch l4[13] & (flagSYN | flagRST | flagACK) {
		case flagSYN:
			p.token = binary.BigEndian.Uint32(l4[4:])
		case flagSYN | flagACK, flagRST | flagACK:
			p.reply, p.token = true, binary.BigEndian.Uint32(l4[8:])-1
		default:
			return p, false
		}
		return p, true
	case 17:
		if len(l4) < udpHead+len(probeMark)+4 {
			return p, false
		}
		p.protocol = contract.UDP
		p.sport, p.dport = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
		mark := string(l4[udpHead : udpHead+len(probeMark)])
		p.reply = mark == replyMark
		p.token = binary.BigEndian.Uint32(l4[udpHead+len(probeMark):])
		return p, p.reply || mark == probeMark
	case 1:
		return parseUnreachable(p, l4)
	}
	return p, false
}

// parseUnreachable reads an ICMP "port unreachable" as the answer of the packet that it quotes.
func parseUnreachable(p packet, l4 []byte) (packet, bool) {
	const unreachable, port = 3, 3
	if len(l4) < 8 || l4[0] != unreachable || l4[1] != port {
		return p, false
	}
	ip, quoted, ok := splitIP(l4[8:])
	if !ok {
		return p, false
	}
	src, dst := addresses(ip)
	// Only the receiver itself counts: anybody on the way could say so without it.
	if dst != p.src || src != p.dst || len(quoted) < 8 {
		return p, false
	}
	p.reply = true
	p.dport, p.sport = binary.BigEndian.Uint16(quoted), binary.BigEndian.Uint16(quoted[2:])
	switch {
	case ip[9] == 6:
		p.protocol, p.token = contract.TCP, binary.BigEndian.Uint32(quoted[4:])
		return p, true
	case ip[9] == 17 && len(quoted) >= udpHead+len(probeMark)+4 && string(quoted[udpHead:udpHead+len(probeMark)]) == probeMark:
		p.protocol, p.token = contract.UDP, binary.BigEndian.Uint32(quoted[udpHead+len(probeMark):])
		return p, true
	}
	return p, false
}

// splitIP parts an IPv4 packet, which may be padded or cut short at its end.
func splitIP(b []byte) (head, payload []byte, ok bool) {
	if len(b) < ipHead || b[0]>>4 != 4 {
		return nil, nil, false
	}
	size := int(b[0]&0x0f) * 4
	if size < ipHead || size > len(b) {
		return nil, nil, false
	}
	end := min(int(binary.BigEndian.Uint16(b[2:])), len(b))
	if end < size {
		return nil, nil, false
	}
	return b[:size], b[size:end], true
}

func addresses(ip []byte) (src, dst netip.Addr) {
	return netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
}
