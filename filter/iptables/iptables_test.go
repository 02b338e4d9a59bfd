package iptables_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"craton.dev/craton/command"
	"craton.dev/craton/filter/iptables"
	"craton.dev/craton/filter/nft"
	"craton.dev/craton/packets"
)

// What iptables' own translation to nftables means is what we read, for random rules: the
// translation is read by the reader that was tried against a kernel.
func TestTranslation(t *testing.T) {
	const translate = "iptables-restore-translate"
	if _, err := exec.LookPath(translate); err != nil {
		t.Skip("there is no " + translate)
	}
	random := rand.New(rand.NewPCG(3, 4))
	passed := 0
	for range 40 {
		text := anyRules(random)
		file := filepath.Join(t.TempDir(), "rules")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := command.Run(context.Background(), translate, "-f", file)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		s := packets.NewSpace(0)
		for _, name := range []string{"eth0", "eth1", "eth*", "lo"} {
			s.Name(name)
		}
		ours, err := iptables.Read("rules", []byte(text))
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		theirs, err := nft.Read("translation", out)
		if err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		a, err := ours.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		b, err := theirs.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, hook := range []string{"input", "output"} {
			x, y := a.Pass(hook), b.Pass(hook)
			if x != y {
				d := x.May(packets.Accept).Minus(y.May(packets.Accept)).Or(y.May(packets.Accept).Minus(x.May(packets.Accept)))
				p := d.First()
				t.Fatalf("%s: %v: ours %v, theirs %v:\n%s\n%s", hook, p, a.Trace(p, hook), b.Trace(p, hook), text, out)
			}
			if !x.Must(packets.Accept).Empty() && !x.Must(packets.Drop).Empty() {
				passed++
			}
		}
	}
	if passed < 20 {
		t.Errorf("only %d of 80 chains both accept and drop: the rules are too dull to show anything", passed)
	}
}

func anyRules(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("*filter\n")
	for _, c := range []string{"INPUT", "FORWARD", "OUTPUT"} {
		fmt.Fprintf(&b, ":%s %s [0:0]\n", c, []string{"ACCEPT", "DROP"}[r.IntN(2)])
	}
	b.WriteString(":one - [0:0]\n:two - [0:0]\n")
	for _, c := range []string{"one", "two", "INPUT", "OUTPUT"} {
		targets := []string{"-j ACCEPT", "-j DROP", "-j ACCEPT", "-j REJECT --reject-with icmp-port-unreachable", "-j RETURN", "-j LOG --log-prefix \"a b \""}
		if c != "one" {
			targets = append(targets, "-j one", "-g one")
		}
		if len(c) > 3 {
			targets = append(targets, "-j two", "-g two")
		}
		for range 2 + r.IntN(5) {
			fmt.Fprintf(&b, "-A %s%s %s\n", c, anyMatches(r, c == "OUTPUT", len(c) > 3), targets[r.IntN(len(targets))])
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func anyMatches(r *rand.Rand, out, interfaces bool) string {
	not := func() string { return []string{"", " !"}[r.IntN(4)/3] }
	var s string
	if interfaces && r.IntN(3) == 0 {
		s += not() + map[bool]string{true: " -o ", false: " -i "}[out] + []string{"eth0", "eth+", "lo"}[r.IntN(3)]
	}
	if r.IntN(2) == 0 {
		s += not() + fmt.Sprintf(" -s 10.0.%d.0/%d", r.IntN(4), 22+r.IntN(5))
	}
	if r.IntN(3) == 0 {
		s += not() + fmt.Sprintf(" -d 10.1.0.%d/32", r.IntN(4))
	}
	port := func() string {
		if r.IntN(2) == 0 {
			return fmt.Sprintf("%d:%d", 20+r.IntN(4), 24+r.IntN(4))
		}
		return fmt.Sprint(20 + r.IntN(8))
	}
	protocol := []string{"tcp", "udp"}[r.IntN(2)]
	notPort := not()
	if protocol == "udp" {
		notPort = "" // the translation loses it: a fault of iptables 1.8.9
	}
	switch r.IntN(7) {
	case 0, 1:
		s += fmt.Sprintf(" -p %s -m %s%s --dport %s", protocol, protocol, notPort, port())
	case 2:
		s += fmt.Sprintf(" -p %s -m %s --sport %s%s --dport %s", protocol, protocol, port(), notPort, port())
	case 3:
		s += fmt.Sprintf(" -p %s -m multiport%s --dports %d,%s", protocol, notPort, 70+r.IntN(3), port())
	case 4:
		s += " -p icmp -m icmp" + not() + " --icmp-type " + []string{"8", "0", "13"}[r.IntN(3)]
	case 5:
		s += " -p tcp -m tcp" + []string{" --syn", " --tcp-flags FIN,SYN,RST,ACK SYN"}[r.IntN(2)]
	}
	if r.IntN(3) == 0 {
		s += " -m conntrack" + not() + " --ctstate " + []string{"NEW", "RELATED,ESTABLISHED", "INVALID"}[r.IntN(3)]
	}
	if r.IntN(8) == 0 {
		s += " -m iprange --src-range 10.0.0.1-10.0.0.9"
	}
	return s
}

const head = "*filter\n:INPUT DROP [0:0]\n:other - [0:0]\n"

// What the translation test does not draw: what is not understood is said so, and ip6tables.
func TestRead(t *testing.T) {
	var ssh packets.Packet
	ssh[packets.Source], ssh[packets.Destination] = packets.Address(netip.MustParseAddr("10.0.0.1")), packets.Address(netip.MustParseAddr("10.0.0.2"))
	ssh[packets.Protocol], ssh[packets.Port] = packets.Number(6), packets.Number(22)
	six := ssh
	six[packets.Source], six[packets.Destination] = packets.Address(netip.MustParseAddr("fd00::1")), packets.Address(netip.MustParseAddr("fd00::2"))
	for text, want := range map[string]struct{ ssh, six packets.Outcome }{
		head + "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n":                                                 {packets.Accept, packets.Accept},
		head + "[12:345] -A INPUT -p tcp --dport 22 -m comment --comment \"ssh -j DROP\" -j ACCEPT\nCOMMIT\n":          {packets.Accept, packets.Accept},
		head + "-A INPUT -p tcp -m string --string x --algo bm -j ACCEPT\nCOMMIT\n":                                    {packets.Accept | packets.Drop, packets.Accept},
		head + "-A INPUT -m set --match-set friends src -j ACCEPT\nCOMMIT\n":                                           {packets.Accept | packets.Drop, packets.Accept},
		head + "-A INPUT -p tcp --dport 22 -m limit --limit 3/min -j ACCEPT\nCOMMIT\n":                                 {packets.Accept | packets.Drop, packets.Accept},
		head + "-A INPUT -p tcp --dport 23 -m limit --limit 3/min -j ACCEPT\nCOMMIT\n":                                 {packets.Drop, packets.Accept},
		head + "-A INPUT -j FROBNICATE\nCOMMIT\n":                                                                      {packets.Accept | packets.Drop, packets.Accept},
		head + "-A INPUT -s 10.0.0.0/255.255.255.0 -j ACCEPT\nCOMMIT\n":                                                {packets.Accept, packets.Accept},
		"# Generated by ip6tables-save\n" + head + "-A INPUT -s fd00::/8 -j ACCEPT\nCOMMIT\n":                          {packets.Accept, packets.Accept},
		"# Generated by ip6tables-save\n" + head + "COMMIT\n# Generated by iptables-save\n" + head + "COMMIT\n":        {packets.Drop, packets.Drop},
		"*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 22 -j DNAT --to 10.0.0.9\nCOMMIT\n":              {packets.Accept | packets.Drop, packets.Accept},
		"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j DROP\nCOMMIT\n" + head + "-A INPUT -j ACCEPT\nCOMMIT": {packets.Drop, packets.Accept},
	} {
		r, err := iptables.Read("rules", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		f, err := r.Compile(packets.NewSpace(0))
		if err != nil {
			t.Fatal(err)
		}
		pass := f.Pass("prerouting", "input")
		if got := pass.Of(ssh); got != want.ssh {
			t.Errorf("%s\n%v: %b, expected %b", text, ssh, got, want.ssh)
		}
		if got := pass.Of(six); got != want.six {
			t.Errorf("%s\n%v: %b, expected %b", text, six, got, want.six)
		}
	}
}

// An error names file and line.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "rules:0: there is no table",
		"-A INPUT -j ACCEPT":                    "rules:1: ",
		"*filter\n:INPUT DROP [0:0]":            "rules:2: table filter has no COMMIT",
		"*filter\n*nat":                         "rules:2: table nat begins",
		"*what":                                 `rules:1: table "what"`,
		head + "-A NONE -j DROP":                `rules:4: a rule of chain "NONE"`,
		head + "-A INPUT -s 10.0.0.256 -j DROP": `rules:4: -s 10.0.0.256: "10.0.0.256" is no address`,
		head + "-A INPUT -p tcp --dport ssh!":   `rules:4: --dport ssh!`,
		head + "-A INPUT -j":                    "rules:4: -j has no target",
		head + "-A INPUT -m comment --comment \"":             "rules:4: a string has no end",
		head + "-A INPUT !":                                   "rules:4: it ends after",
		head + ":INPUT DROP":                                  "rules:4: chain INPUT is there twice",
		head + "-A INPUT -j other\n-A other -j other\nCOMMIT": "leads back to itself",
	} {
		r, err := iptables.Read("rules", []byte(text))
		if err == nil {
			_, err = r.Compile(packets.NewSpace(0))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}

// Whatever the bytes, reading ends with rules or an error that names the file.
func FuzzRead(f *testing.F) {
	f.Add([]byte(head + "-A INPUT ! -s 10.0.0.0/8 -i eth+ -p tcp -m multiport --dports 1,2:3 -j other\n-A other -g INPUT\nCOMMIT\n"))
	f.Add([]byte("# ip6tables-save\n*raw\n:PREROUTING ACCEPT [0:0]\n[1:2] -A PREROUTING -m conntrack --ctstate NEW -j CT --notrack\nCOMMIT"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := iptables.Read("fuzz", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz:") {
				t.Errorf("%v names no line", err)
			}
			return
		}
		if c, err := r.Compile(packets.NewSpace(1 << 16)); err == nil {
			c.Pass("prerouting", "input")
		}
	})
}

// Whether a packet's destination is local is known of a machine's own rules: yes of what comes to it, no of what it
// sends to others. Whether it was translated is known where no rule translates.
func TestDestinations(t *testing.T) {
	const text = "*filter\n:INPUT DROP [0:0]\n:OUTPUT DROP [0:0]\n:C - [0:0]\n-A INPUT -j C\n-A OUTPUT -j C\n" +
		"-A C -m addrtype --dst-type MULTICAST -j RETURN\n-A C -m addrtype --dst-type BROADCAST -j ACCEPT\n" +
		"-A C -p tcp -m addrtype ! --dst-type LOCAL -j ACCEPT\n-A C -p udp -m addrtype --dst-type LOCAL -j ACCEPT\nCOMMIT\n"
	rules, err := iptables.Read("doc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, local := range []bool{true, false} {
		s := packets.NewSpace(0)
		f, err := rules.For(local).Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		hook := map[bool]string{true: "input", false: "output"}[local]
		must, may := f.Pass(hook).Must(packets.Accept), f.Pass(hook).May(packets.Accept)
		if must != may {
			t.Errorf("local %v: something is unknown", local)
		}
		v4 := s.Within(packets.Source, packets.IPv4).And(s.Within(packets.Destination, packets.IPv4))
		unicast := v4.Minus(s.Within(packets.Destination, packets.Multicast...))
		passing := map[bool]uint64{true: packets.UDP, false: packets.TCP}[local]
		if got := must.And(unicast); got != unicast.And(s.Within(packets.Protocol, packets.Numbers(passing, passing))) {
			t.Errorf("local %v: what passes is not protocol %d", local, passing)
		}
		if !must.And(v4).Minus(unicast).Empty() {
			t.Errorf("local %v: packets to groups pass", local)
		}
	}
	s := packets.NewSpace(0)
	f, err := rules.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	if pass := f.Pass("input"); pass.Must(packets.Accept) == pass.May(packets.Accept) {
		t.Error("of rules that are nobody's own, nothing is unknown")
	}
}
