package nft_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"craton.dev/craton/command"
	"craton.dev/craton/namespace"
)

// lab is two network namespaces with two links, into the second of which rules are loaded.
type lab struct {
	t        *testing.T
	receiver string
	sockets  map[string]int
	links    map[string]*unix.SockaddrLinklayer
	macs     map[string][2]net.HardwareAddr
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, sockets: map[string]int{}, links: map[string]*unix.SockaddrLinklayer{}, macs: map[string][2]net.HardwareAddr{}}
	sender := fmt.Sprintf("craton-test-%d-a", os.Getpid())
	l.receiver = fmt.Sprintf("craton-test-%d-b", os.Getpid())
	for _, ns := range []string{sender, l.receiver} {
		l.run("ip", "netns", "add", ns)
		t.Cleanup(func() { l.run("ip", "netns", "del", ns) })
		l.run("ip", "-n", ns, "link", "set", "lo", "up")
	}
	// Checksums are left out of the packets that the test makes.
	l.run("ip", "netns", "exec", l.receiver, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", "net.netfilter.nf_conntrack_checksum=0")
	for i := range 4 {
		l.run("ip", "-n", l.receiver, "address", "add", address(i+1).String()+"/32", "dev", "lo")
	}
	for _, n := range []string{"0", "1"} {
		l.run("ip", "-n", l.receiver, "link", "add", "b"+n, "type", "veth", "peer", "name", "a"+n, "netns", sender)
		l.run("ip", "-n", l.receiver, "link", "set", "b"+n, "up")
		l.run("ip", "-n", sender, "link", "set", "a"+n, "up")
	}
	l.run("ip", "-n", l.receiver, "route", "add", "10.9.1.0/24", "dev", "b0")
	for _, n := range []string{"0", "1"} {
		l.within(l.receiver, func() error {
			link, err := net.InterfaceByName("b" + n)
			if err == nil {
				l.macs["b"+n] = [2]net.HardwareAddr{link.HardwareAddr}
			}
			return err
		})
		l.within(sender, func() error {
			link, err := net.InterfaceByName("a" + n)
			if err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			l.sockets["b"+n], l.links["b"+n] = fd, &unix.SockaddrLinklayer{Ifindex: link.Index}
			l.macs["b"+n] = [2]net.HardwareAddr{l.macs["b"+n][0], link.HardwareAddr}
			return err
		})
		t.Cleanup(func() { unix.Close(l.sockets["b"+n]) })
	}
	return l
}

func (l *lab) within(ns string, f func() error) {
	l.t.Helper()
	if err := namespace.In(ns, f); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) run(name string, args ...string) string {
	l.t.Helper()
	out, err := command.Run(context.Background(), name, args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(out)
}

func (l *lab) nft(in string, args ...string) string {
	l.t.Helper()
	out, err := command.Cmd{Name: "ip", Args: append([]string{"netns", "exec", l.receiver, "nft"}, args...), Stdin: strings.NewReader(in)}.Run(context.Background())
	if err != nil {
		l.t.Fatalf("%v:\n%s", err, in)
	}
	return string(out)
}

// recorder keeps the id of each packet that the table before it let through. Nothing is
// answered: an answer would make further packets "established".
const recorder = `
table inet recorder {
	set seen {
		typeof ip id
		size 65535
		flags dynamic
	}
	chain input {
		type filter hook input priority 500
		add @seen { ip id }
	}
	chain output {
		type filter hook output priority -400; policy drop;
	}
}
`

func (l *lab) load(text string) { l.nft("flush ruleset\n"+text+recorder, "-f", "-") }

func (l *lab) send(f flow) {
	l.t.Helper()
	var b bytes.Buffer
	b.Write(l.macs[f.in][0])
	b.Write(l.macs[f.in][1])
	b.Write([]byte{8, 0})
	body := make([]byte, 20)
	switch f.protocol {
	case 1:
		body[0] = byte(f.dport >> 8)
		binary.BigEndian.PutUint16(body[4:], f.id)
	default:
		binary.BigEndian.PutUint16(body, f.sport)
		binary.BigEndian.PutUint16(body[2:], f.dport)
	}
	switch f.protocol {
	case 6:
		body[12], body[13] = 5<<4, 2 // a SYN
	case 17:
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
	case 132:
		// An INIT: tag 0, one chunk of 20 bytes.
		body = append(body[:12], 1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 4, 0, 0, 1, 0, 1, 0, 0, 0, 1)
	}
	head := make([]byte, 20)
	head[0], head[8], head[9] = 0x45, 64, f.protocol
	binary.BigEndian.PutUint16(head[2:], uint16(len(head)+len(body)))
	binary.BigEndian.PutUint16(head[4:], f.id)
	copy(head[12:], f.src.AsSlice())
	copy(head[16:], f.dst.AsSlice())
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(head[i:]))
	}
	binary.BigEndian.PutUint16(head[10:], ^uint16(sum+sum>>16))
	b.Write(head)
	b.Write(body)
	if err := unix.Sendto(l.sockets[f.in], b.Bytes(), 0, l.links[f.in]); err != nil {
		l.t.Fatal(err)
	}
}

// through are the packets that came through. A veth delivers within the call that sends, or
// soon after: a few lists are enough for the last ones.
func (l *lab) through(n int) map[uint16]bool {
	l.t.Helper()
	seen := map[uint16]bool{}
	for same := 0; same < 2; {
		var list struct {
			Nftables []struct {
				Set *struct{ Elem []any }
			}
		}
		if err := json.Unmarshal([]byte(l.nft("", "-j", "list", "set", "inet", "recorder", "seen")), &list); err != nil {
			l.t.Fatal(err)
		}
		before := len(seen)
		for _, o := range list.Nftables {
			if o.Set == nil {
				continue
			}
			for _, e := range o.Set.Elem {
				if v, ok := e.(map[string]any); ok {
					e = v["elem"].(map[string]any)["val"]
				}
				if id, ok := e.(float64); ok {
					seen[uint16(id)] = true
				}
			}
		}
		same++
		if len(seen) != before {
			same = 0
		}
	}
	return seen
}
