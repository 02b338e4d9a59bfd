package nft_test

import (
	"net/netip"
	"strings"
	"testing"

	"craton.dev/craton/filter/nft"
	"craton.dev/craton/packets"
)

func packet(src, dst string, protocol, port uint64) packets.Packet {
	var p packets.Packet
	p[packets.Source], p[packets.Destination] = packets.Address(netip.MustParseAddr(src)), packets.Address(netip.MustParseAddr(dst))
	p[packets.Protocol], p[packets.SourcePort], p[packets.Port] = packets.Number(protocol), packets.Number(40000), packets.Number(port)
	return p
}

const input = "table inet f {\n chain input {\n type filter hook input priority filter; policy drop;\n"

// What people write, beyond what the kernel test draws: each with packets that must pass
// (+), must not (-), or of which the rules do not say (?).
func TestRead(t *testing.T) {
	ssh, other := packet("10.0.0.1", "10.0.0.2", 6, 22), packet("10.0.0.1", "10.0.0.2", 6, 23)
	six := packet("fd00::1", "fd00::2", 6, 22)
	for name, test := range map[string]struct {
		text             string
		pass, drop, dark []packets.Packet
	}{
		"nothing":      {"", []packets.Packet{ssh, six}, nil, nil},
		"a service":    {input + "tcp dport ssh accept\n}\n}", []packets.Packet{ssh, six}, []packets.Packet{other}, nil},
		"one line":     {`table ip f { chain input { type filter hook input priority 0; policy drop; tcp dport { 22, 80 } accept; } }`, []packets.Packet{ssh, six}, []packets.Packet{other}, nil},
		"commands":     {"flush ruleset\nadd table inet f\nadd chain inet f input { type filter hook input priority 0; policy drop; }\nadd rule inet f input tcp dport 22 accept", []packets.Packet{ssh}, []packets.Packet{other}, nil},
		"insert":       {"add table inet f\nadd chain inet f input { type filter hook input priority 0; policy accept; }\nadd rule inet f input accept\ninsert rule inet f input tcp dport 22 drop", []packets.Packet{other}, []packets.Packet{ssh}, nil},
		"definitions":  {"define admin = { 10.0.0.0/24, 10.0.1.1 }\ndefine port = 22\n" + input + "ip saddr $admin tcp dport $port accept\n}\n}", []packets.Packet{ssh}, []packets.Packet{other, six}, nil},
		"a definition": {"define admin = 10.0.0.0-10.0.0.9\n" + input + "ip saddr { $admin, 192.0.2.1 } accept\n}\n}", []packets.Packet{ssh}, []packets.Packet{six}, nil},
		"a mark":       {input + "meta mark 0x1 accept\n}\n}", nil, nil, []packets.Packet{ssh}},
		"a mark set":   {input + "meta mark set 0x1\ntcp dport 22 accept\n}\n}", []packets.Packet{ssh}, []packets.Packet{other}, nil},
		"a limit":      {input + "tcp dport 22 limit rate 3/minute accept\n}\n}", nil, []packets.Packet{other}, []packets.Packet{ssh}},
		"a limit of a log": {input + "limit rate 3/minute burst 5 packets log prefix \"x \" level info\ntcp dport 22 accept\n}\n}",
			[]packets.Packet{ssh}, []packets.Packet{other}, nil},
		"gibberish":           {input + "frobnicate 22 accept\n}\n}", nil, nil, []packets.Packet{ssh, other}},
		"gibberish at an end": {input + "tcp dport 22 frobnicate\n}\n}", nil, []packets.Packet{other}, []packets.Packet{ssh}},
		"a changing set":      {"table inet f {\n set s {\n type ipv4_addr\n flags dynamic,timeout\n }\n chain input {\n type filter hook input priority 0; policy drop;\nip saddr @s accept\n}\n}", nil, []packets.Packet{six}, []packets.Packet{ssh}},
		"a queue":             {input + "tcp dport 22 queue num 1\n}\n}", nil, []packets.Packet{other}, []packets.Packet{ssh}},
		"a translation":       {"table inet f { chain pre { type nat hook prerouting priority dstnat; tcp dport 22 dnat ip to 10.0.0.9; } }", []packets.Packet{other}, nil, []packets.Packet{ssh}},
		"another hook":        {"table inet f { chain fw { type filter hook forward priority 0; policy drop; } }", []packets.Packet{ssh}, nil, nil},
		"comments":            {"#!/usr/sbin/nft -f\n# a } and a \"\n" + input + "tcp dport 22 accept comment \"ssh; } # for us\" # end\n}\n}", []packets.Packet{ssh}, []packets.Packet{other}, nil},
		"continued":           {input + "tcp dport \\\n 22 accept\n}\n}", []packets.Packet{ssh}, []packets.Packet{other}, nil},
		"later packets":       {input + "tcp flags & (fin|syn|rst|ack) != syn ct state new drop\ntcp dport 22 accept\n}\n}", []packets.Packet{ssh}, []packets.Packet{other}, nil},
		"deleted": {"table inet f { chain x { type filter hook input priority 0; policy drop; } }\ndelete table inet f\n" + input + "tcp dport 22 accept\n}\n}",
			[]packets.Packet{ssh}, []packets.Packet{other}, nil},
		"IPv6":         {input + "ip6 saddr fd00::/8 accept\n}\n}", []packets.Packet{six}, []packets.Packet{ssh}, nil},
		"a named map":  {"table inet f {\n map m {\n type inet_service : verdict\n elements = { 22 : accept, 23 : drop }\n }\n chain input {\n type filter hook input priority 0; policy accept;\n tcp dport vmap @m\n }\n}", []packets.Packet{ssh}, []packets.Packet{other}, nil},
		"JSON":         {`{"nftables":[{"metainfo":{}},{"table":{"family":"inet","name":"f"}},{"chain":{"family":"inet","table":"f","name":"i","hook":"input","prio":0,"policy":"drop"}},{"rule":{"family":"inet","table":"f","chain":"i","expr":[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":{"set":[22,{"range":[80,90]}]}}},{"accept":null}]}}]}`, []packets.Packet{ssh}, []packets.Packet{other}, nil},
		"unknown JSON": {`{"nftables":[{"chain":{"family":"inet","table":"f","name":"i","hook":"input","prio":0,"policy":"drop"}},{"rule":{"family":"inet","table":"f","chain":"i","expr":[{"xt":{"type":"match","name":"string"}},{"accept":null}]}}]}`, nil, nil, []packets.Packet{ssh}},
		"hostile JSON": {`{"nftables":[{"chain":{"family":"inet","table":"f","name":"i","hook":"input","prio":"x","policy":"drop"}},{"rule":{"family":"inet","table":"f","chain":"i","expr":[{"match":{"left":[],"right":null}},7,{"accept":null,"drop":null},{"vmap":{"data":{"set":[1,[2]]}}},{"accept":null}]}}]}`, nil, nil, []packets.Packet{ssh}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := nft.Read("rules.nft", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			f, err := r.Compile(packets.NewSpace(0))
			if err != nil {
				t.Fatal(err)
			}
			pass := f.Pass("prerouting", "input")
			for want, ps := range map[packets.Outcome][]packets.Packet{packets.Accept: test.pass, packets.Drop: test.drop, packets.Accept | packets.Drop: test.dark} {
				for _, p := range ps {
					if got := pass.Of(p); got != want {
						t.Errorf("%v: %b, expected %b: %v", p, got, want, f.Trace(p, "prerouting", "input"))
					}
				}
			}
		})
	}
}

// An error names the file and line, or the object, and what was expected.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"table inet f {\n chain x {\n":                `rules.nft:4: expected "}", found the end of the file`,
		"table inet f {\n set x {\n elements = { 1, ": `rules.nft:4: expected a value`,
		"table inet f {\n chain x {\n tcp dport \"22": `rules.nft:3: a string has no end`,
		"table inet f { chain a { jump b; } }":        `it leads to chain "b", which table inet f does not have`,
		"table inet f { chain a { jump a; } }":        `chain a of table inet f leads back to itself`,
		"add rule inet f input accept":                `rules.nft:1: a rule of chain "input"`,
		"}":                                           `rules.nft:1: expected a table or a command`,
		"table inet f {\x00}":                         `rules.nft:1: a byte 0x0`,
		`{"nftables": [`:                              `rules.nft:1: this is no JSON of nft's: the file ends in the middle`,
		`{"nftables": 7}`:                             `expected a list in "nftables"`,
		"{\n}":                                        `rules.nft:2: this is no JSON of nft's: expected a list "nftables"`,
		`{"nftables": [{"chain": {"family": "inet", "table": "f", "name": "i", "policy": "maybe"}}]}`: `chain i: policy "maybe"`,
		strings.Repeat("{", 20000):                          `no JSON of nft's`,
		`{"nftables": [` + strings.Repeat(`{"add":`, 20000): `no JSON of nft's`,
	} {
		r, err := nft.Read("rules.nft", []byte(text))
		if err == nil {
			_, err = r.Compile(packets.NewSpace(0))
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "rules.nft") {
			t.Errorf("%.80q: %v, expected %q", text, err, want)
		}
	}
}

// What is left aside is named.
func TestNotes(t *testing.T) {
	for text, want := range map[string]string{
		"include \"more.nft\"": `not read: include "more.nft"`,
		"table bridge b { chain x { type filter hook input priority 0; } }":             "family bridge are not looked at",
		"table inet f { chain x { type filter hook ingress device eth0 priority 0; } }": `hook "ingress"`,
		"frobnicate":                     "not understood: frobnicate",
		"table inet f { thing x { } }":   "not understood in table f: thing x",
		`{"nftables": [{"widget": {}}]}`: `"widget" is not known`,
	} {
		r, err := nft.Read("rules.nft", []byte(text))
		if err != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Text, want) {
			t.Errorf("%s: %v, %v, expected %q", text, r, err, want)
		}
	}
}

// Whatever the bytes, reading ends with rules or an error, and rules that were read can be
// decided or say why not.
func FuzzRead(f *testing.F) {
	f.Add([]byte(input + "tcp dport { 22, 80-90 } ip saddr != 10.0.0.0/8 counter name \"x\" jump y\n}\nchain y { return; }\n}"))
	f.Add([]byte("define a = { 1, 2 }\nadd element inet f s { 10.0.0.1 . tcp . 22 }\ntable ip6 f { set s { type ipv6_addr; elements = { fd00::1-fd00::9 }; }\n}"))
	f.Add([]byte(`{"nftables":[{"set":{"family":"ip","table":"t","name":"s","elem":[{"prefix":{"addr":"10.0.0.0","len":8}}]}},{"chain":{"family":"ip","table":"t","name":"c","hook":"input","prio":0}},{"rule":{"family":"ip","table":"t","chain":"c","expr":[{"match":{"op":"!=","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@s"}},{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["new",{"drop":null}]]}}}]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := nft.Read("fuzz", data)
		if err != nil {
			if !strings.Contains(err.Error(), "fuzz") {
				t.Errorf("%v names no file", err)
			}
			return
		}
		if c, err := r.Compile(packets.NewSpace(1 << 16)); err == nil {
			c.Pass("prerouting", "input")

		}
	})
}

// Of a machine's own rules it is known whether a packet's destination is local, and that none was translated where no
// rule does so; where one may, "ct status dnat" stays unknown.
func TestWhatAMachineKnows(t *testing.T) {
	const text = "table inet f {\n chain i {\n  type filter hook input priority 0; policy drop;\n  ct status dnat accept\n  fib daddr type != local drop\n  fib daddr type local tcp dport 22 accept\n }\n%s}\n"
	for more, unknown := range map[string]bool{"": false, " chain p {\n  type nat hook prerouting priority -100;\n  tcp dport 80 dnat ip to 10.0.0.1\n }\n": true} {
		rules, err := nft.Read("doc", []byte(strings.Replace(text, "%s", more, 1)))
		if err != nil {
			t.Fatal(err)
		}
		s := packets.NewSpace(0)
		f, err := rules.For(true).Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		pass := f.Pass("input")
		ssh := s.Within(packets.Protocol, packets.Numbers(packets.TCP, packets.TCP)).And(s.Within(packets.Port, packets.Numbers(22, 22)))
		v4 := s.Within(packets.Source, packets.IPv4).And(s.Within(packets.Destination, packets.IPv4))
		if got := pass.Must(packets.Accept).And(v4); got != ssh.And(v4) {
			t.Errorf("with %q not just ssh passes surely", more)
		}
		if got := pass.Must(packets.Accept) != pass.May(packets.Accept); got != unknown {
			t.Errorf("with %q something is unknown: %v, expected %v", more, got, unknown)
		}
	}
}
