package nft_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"craton.dev/craton/filter/nft"
	"craton.dev/craton/packets"
)

// TestKernel protects what static verification rests on: what the algebra says of a packet
// is what the kernel does with it. Random rules are loaded into a network namespace and
// random packets sent there, and a second table, behind the first one, records which came
// through. The rules are read as they were written, and as the kernel lists them, in text
// and in JSON: all three must mean the same.
func TestKernel(t *testing.T) {
	if testing.Short() || os.Getuid() != 0 {
		t.Skip("needs root and some seconds")
	}
	const rulesets, each = 25, 300
	l := newLab(t)
	random := rand.New(rand.NewPCG(1, 2))
	came, sent := 0, 0
	for range rulesets {
		text := anyRuleset(random)
		l.load(text)
		s := packets.NewSpace(0)
		pass := decide(t, s, text)
		for _, listing := range []string{l.nft("", "list", "table", "inet", "test"), l.nft("", "-j", "list", "table", "inet", "test")} {
			if decide(t, s, listing) != pass {
				t.Fatalf("the kernel's listing means something else:\n%s\n%s", text, listing)
			}
		}
		undecided := pass.May(packets.Accept).And(pass.May(packets.Drop))
		if !undecided.And(ipv4(s)).And(s.Within(packets.State, packets.Numbers(packets.New, packets.New))).Empty() {
			t.Fatalf("not decided:\n%s", text)
		}
		flows := make([]flow, each)
		for i := range flows {
			flows[i] = anyFlow(random, uint16(i+1))
			l.send(flows[i])
		}
		through := l.through(each)
		for i, f := range flows {
			sent++
			p := f.packet(s)
			want := pass.Must(packets.Accept).Holds(p)
			if through[uint16(i+1)] != want {
				t.Errorf("%v by %s: passed: %t, the algebra says %t:\n%s", p, f.in, through[uint16(i+1)], want, text)
			}
			if want {
				came++
			}
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d packets, %d came through", sent, came)
	if came < sent/10 || came > sent*9/10 {
		t.Errorf("%d of %d packets came through: the rules are too dull to show anything", came, sent)
	}
}

func ipv4(s *packets.Space) packets.Set {
	return s.Within(packets.Source, packets.IPv4).And(s.Within(packets.Destination, packets.IPv4))
}

func decide(t *testing.T, s *packets.Space, text string) packets.Decision {
	t.Helper()
	r, err := nft.Read("test.nft", []byte(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if len(r.Notes) > 0 {
		t.Fatalf("not understood: %v:\n%s", r.Notes, text)
	}
	f, err := r.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return f.Pass("prerouting", "input")
}

// flow is the first packet of one.
type flow struct {
	id           uint16
	in           string
	src, dst     netip.Addr
	protocol     uint8
	sport, dport uint16 // of ICMP: nothing, and type and code
}

func (f flow) packet(s *packets.Space) packets.Packet {
	var p packets.Packet
	p[packets.In] = s.Lookup(f.in)
	p[packets.Source], p[packets.Destination] = packets.Address(f.src), packets.Address(f.dst)
	p[packets.Protocol] = packets.Number(uint64(f.protocol))
	p[packets.SourcePort], p[packets.Port] = packets.Number(uint64(f.sport)), packets.Number(uint64(f.dport))
	return p
}

func address(last int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 9, byte(last >> 8), byte(last)})
}

func anyFlow(r *rand.Rand, id uint16) flow {
	f := flow{
		id: id, in: []string{"b0", "b1"}[r.IntN(2)], src: address(0x100 + r.IntN(8)), dst: address(r.IntN(4) + 1),
		protocol: []uint8{6, 6, 6, 17, 17, 1, 132}[r.IntN(7)], sport: uint16(20 + r.IntN(8)), dport: uint16(20 + r.IntN(8)),
	}
	if f.protocol == 1 { // requests only: other types are no new flows
		f.sport, f.dport = 0, []uint16{8, 13, 17}[r.IntN(3)]<<8
	}
	return f
}

// anyRuleset is a random ruleset of what nft.Read understands, around the values that flows
// have.
func anyRuleset(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("table inet test {\n")
	fmt.Fprintf(&b, "\tset hosts {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { %s, %s }\n\t}\n", address(0x100+r.IntN(3)), span(r, func(i int) string { return address(0x104 + i).String() }, 4))
	fmt.Fprintf(&b, "\tset pairs {\n\t\ttype ipv4_addr . inet_proto . inet_service\n\t\telements = { %s . tcp . %d, %s . udp . %d }\n\t}\n",
		address(0x100+r.IntN(8)), 20+r.IntN(8), address(0x100+r.IntN(8)), 20+r.IntN(8))
	b.WriteString("\tset nobody {\n\t\ttype ipv4_addr\n\t}\n")
	chains := []string{"c0", "c1", "c2"}
	for i, c := range chains {
		fmt.Fprintf(&b, "\tchain %s {\n", c)
		for range r.IntN(5) {
			b.WriteString("\t\t" + anyRule(r, chains[:i]) + "\n")
		}
		b.WriteString("\t}\n")
	}
	policy := []string{"accept", "drop"}[r.IntN(2)]
	fmt.Fprintf(&b, "\tchain input {\n\t\ttype filter hook input priority filter - %d; policy %s;\n", r.IntN(5), policy)
	for range 3 + r.IntN(8) {
		b.WriteString("\t\t" + anyRule(r, chains) + "\n")
	}
	b.WriteString("\t}\n")
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "\tchain before {\n\t\ttype filter hook prerouting priority mangle;\n\t\t%s\n\t}\n", anyRule(r, chains))
	}
	b.WriteString("}\n")
	return b.String()
}

func span(r *rand.Rand, name func(int) string, n int) string {
	a, b := r.IntN(n), r.IntN(n)
	if a > b {
		a, b = b, a
	}
	if a == b {
		return name(a)
	}
	return name(a) + "-" + name(b)
}

func anyRule(r *rand.Rand, chains []string) string {
	// One match on the transport at most: nft refuses those that contradict each other.
	parts := []string{anyMatch(r, r.IntN(2) == 0)}
	if r.IntN(2) == 0 {
		parts = append(parts, anyMatch(r, false))
	}
	if r.IntN(4) == 0 {
		parts = append(parts, "counter")
	}
	verdicts := []string{"accept", "drop", "return", "reject", "accept", "drop", "counter"}
	for _, c := range chains {
		verdicts = append(verdicts, "jump "+c, "goto "+c)
	}
	if r.IntN(6) == 0 {
		table := []string{fmt.Sprintf("tcp dport vmap { %d : accept, %d-%d : drop }", 20+r.IntN(3), 24, 25+r.IntN(3)),
			fmt.Sprintf("ip saddr . meta l4proto vmap { %s . tcp : accept, %s . udp : drop }", address(0x100+r.IntN(8)), address(0x100+r.IntN(8))),
			"ct state vmap { established : accept, new : continue, invalid : drop }",
			"meta l4proto vmap { tcp : return, icmp : accept }"}
		return anyMatch(r, false) + " " + table[r.IntN(len(table))]
	}
	return strings.Join(append(parts, verdicts[r.IntN(len(verdicts))]), " ")
}

func anyMatch(r *rand.Rand, transport bool) string {
	not := []string{"", "", "!= "}[r.IntN(3)]
	port := func() int { return 20 + r.IntN(8) }
	ports := func() string {
		switch r.IntN(4) {
		case 0:
			return span(r, func(i int) string { return fmt.Sprint(20 + i) }, 8)
		case 1:
			return fmt.Sprintf("{ %d, %d-%d }", 20+r.IntN(3), 24, 25+r.IntN(2))
		}
		return fmt.Sprint(port())
	}
	name := []string{"tcp", "udp", "sctp"}[r.IntN(3)]
	if transport {
		switch r.IntN(10) {
		case 0, 1, 2:
			return name + " dport " + not + ports()
		case 3:
			return name + " sport " + not + ports()
		case 4:
			return "meta l4proto " + not + []string{"tcp", "udp", "{ tcp, udp }", "icmp", "132"}[r.IntN(5)]
		case 5:
			return "icmp type " + not + []string{"echo-request", "timestamp-request", "{ 8, 17 }"}[r.IntN(3)]
		case 6:
			return "ip saddr . meta l4proto . th dport @pairs"
		case 7:
			return fmt.Sprintf("meta l4proto { tcp, udp } th dport %s%d", not, port())
		case 8:
			return "tcp flags & (fin | syn | rst | ack) == syn"
		}
		return "tcp dport " + []string{">", "<", ">=", "<="}[r.IntN(4)] + fmt.Sprintf(" %d", port())
	}
	switch r.IntN(10) {
	case 0:
		return fmt.Sprintf("ip saddr %s%s", not, address(0x100+r.IntN(8)))
	case 1:
		return "ip saddr " + not + "@hosts"
	case 2:
		return fmt.Sprintf("ip daddr %s10.9.0.%d/%d", not, 1+r.IntN(3), 31+r.IntN(2))
	case 3:
		return "ip saddr " + not + fmt.Sprintf("{ %s, %s }", address(0x100+r.IntN(4)), address(0x104+r.IntN(4)))
	case 4:
		return "iifname " + not + []string{`"b0"`, `"b1"`, `"b*"`, `"lo"`, `{ "b0", "lo" }`}[r.IntN(5)]
	case 5:
		return "ct state " + []string{"new", "established,related", "invalid", "!= new", "{ new, untracked }"}[r.IntN(5)]
	case 6:
		return "meta nfproto ipv4"
	case 7:
		return "ip saddr @nobody"
	case 8:
		return fmt.Sprintf("ip daddr 10.9.0.%d-10.9.0.%d", 1+r.IntN(2), 3+r.IntN(2))
	}
	return fmt.Sprintf("ip saddr & 255.255.255.%d == 10.9.1.%d", 252, []int{0, 4}[r.IntN(2)])
}
