package iptables

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// parser reads one rule's words.
type parser struct {
	words  []string
	rule   *filter.Rule
	family filter.Families
	at     int
}

// parse reads options one by one. An error is of an option that is known and has a value
// that it cannot have.
func (p *parser) parse() error {
	for p.at < len(p.words) {
		not := false
		if p.words[p.at] == "!" {
			not = true
			if p.at++; p.at == len(p.words) {
				return fmt.Errorf("it ends after %q", "!")
			}
		}
		option := p.words[p.at]
		p.at++
		var values []string
		for p.at < len(p.words) && p.words[p.at] != "!" && (!strings.HasPrefix(p.words[p.at], "-") || isNumber(p.words[p.at])) {
			values = append(values, p.words[p.at])
			p.at++
		}
		if option == "-j" || option == "-g" || option == "--jump" || option == "--goto" {
			if len(values) == 0 {
				return fmt.Errorf("%s has no target", option)
			}
			p.rule.Target = values[0]
			if option == "-g" || option == "--goto" {
				p.rule.Verdict = filter.Goto
			}
			p.at = len(p.words) // what follows is about how, not what
			return nil
		}
		conditions, err := p.option(option, values)
		if err != nil {
			return fmt.Errorf("%s %s: %w", option, strings.Join(values, " "), err)
		}
		if not && len(conditions) > 0 {
			last := &conditions[len(conditions)-1]
			last.Not = !last.Not
		}
		p.rule.Conditions = append(p.rule.Conditions, conditions...)
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// option is the conditions that an option makes; the last one is what ! turns around.
func (p *parser) option(option string, values []string) ([]filter.Condition, error) {
	value := ""
	if len(values) > 0 {
		value = values[0]
	}
	is := func(d packets.Dimension, ranges []packets.Range, err error) ([]filter.Condition, error) {
		return []filter.Condition{filter.Is(d, ranges...)}, err
	}
	unknown := []filter.Condition{filter.Unknown(strings.TrimSpace(option + " " + strings.Join(values, " ")))}
	switch option {
	case "-m", "--match": // its options say what it does; some have none
		switch value {
		case "tcp", "udp", "sctp", "dccp", "udplite", "icmp", "icmp6", "icmpv6", "conntrack", "state", "comment", "multiport", "iprange", "addrtype", "limit", "mark", "set":
			return nil, nil
		}
		return unknown, nil
	case "--comment":
		p.rule.Names = append(p.rule.Names, value)
		return nil, nil
	case "-s", "--source", "--src":
		r, err := addresses(value)
		return is(packets.Source, r, err)
	case "-d", "--destination", "--dst":
		r, err := addresses(value)
		return is(packets.Destination, r, err)
	case "--src-range":
		r, err := span(value)
		return is(packets.Source, r, err)
	case "--dst-range":
		r, err := span(value)
		return is(packets.Destination, r, err)
	case "-i", "--in-interface":
		return []filter.Condition{filter.Interface(packets.In, wild(value))}, nil
	case "-o", "--out-interface":
		return []filter.Condition{filter.Interface(packets.Out, wild(value))}, nil
	case "-p", "--protocol":
		return p.protocol(value)
	case "--dport", "--destination-port", "--dports", "--destination-ports":
		r, err := ports(value)
		return is(packets.Port, r, err)
	case "--sport", "--source-port", "--sports", "--source-ports":
		r, err := ports(value)
		return is(packets.SourcePort, r, err)
	case "--ports":
		r, err := ports(value)
		return []filter.Condition{{Any: []filter.Tuple{{{Dimension: packets.Port, Ranges: r}}, {{Dimension: packets.SourcePort, Ranges: r}}}}}, err
	case "--ctstate", "--state":
		return states(value, unknown)
	case "--ctdir":
		return []filter.Condition{filter.FirstPacket(value == "ORIGINAL", unknown[0].Unknown)}, nil
	case "--syn":
		return []filter.Condition{filter.FirstPacket(true, "--syn")}, nil
	case "--tcp-flags":
		if len(values) != 2 {
			return nil, fmt.Errorf("expected two lists of flags")
		}
		mask, okMask := flags(values[0])
		want, okWant := flags(values[1])
		if !okMask || !okWant {
			return unknown, nil
		}
		const syn = 2
		return []filter.Condition{filter.FirstPacket(syn&mask == want, unknown[0].Unknown)}, nil
	case "--dst-type":
		return destination(value, unknown), nil
	case "--icmp-type":
		return icmp(value, icmpTypes, unknown)
	case "--icmpv6-type":
		return icmp(value, nil, unknown)
	}
	return unknown, nil
}

// destination is what kind of address a packet goes to.
func destination(kind string, unknown []filter.Condition) []filter.Condition {
	switch kind {
	case "LOCAL":
		unknown[0].Hangs = filter.OnLocal
	case "BROADCAST":
		unknown[0].Hangs = filter.OnBroadcast
	case "MULTICAST":
		return []filter.Condition{filter.Is(packets.Destination, packets.Multicast...)}
	}
	return unknown
}

// wild is an interface's name, with * for iptables' +.
func wild(name string) string {
	if prefix, ok := strings.CutSuffix(name, "+"); ok {
		return prefix + "*"
	}
	return name
}

// addresses reads a list of addresses, with masks as lengths or addresses.
func addresses(list string) ([]packets.Range, error) {
	var out []packets.Range
	for text := range strings.SplitSeq(list, ",") {
		addr, mask, masked := strings.Cut(text, "/")
		a, err := netip.ParseAddr(addr)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("%q is no address", text)
		}
		bits := a.BitLen()
		if masked {
			if bits, err = length(mask, a); err != nil {
				return nil, err
			}
		}
		out = append(out, packets.Prefix(netip.PrefixFrom(a, bits)))
	}
	return out, nil
}

// length is a mask's length.
func length(mask string, a netip.Addr) (int, error) {
	if n, err := strconv.Atoi(mask); err == nil {
		if n < 0 || n > a.BitLen() {
			return 0, fmt.Errorf("a mask of %d bits: at most %d", n, a.BitLen())
		}
		return n, nil
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || m.BitLen() != a.BitLen() {
		return 0, fmt.Errorf("%q is no mask", mask)
	}
	ones, ended := 0, false
	for _, b := range m.AsSlice() {
		for i := 7; i >= 0; i-- {
			set := b>>i&1 == 1
			if set && ended {
				return 0, fmt.Errorf("%s is no mask of a network: its bits are not in a row", mask)
			}
			ended = ended || !set
			if set {
				ones++
			}
		}
	}
	return ones, nil
}

func span(text string) ([]packets.Range, error) {
	first, last, _ := strings.Cut(text, "-")
	a, errA := netip.ParseAddr(first)
	b, errB := netip.ParseAddr(last)
	if errA != nil || errB != nil || a.BitLen() != b.BitLen() {
		return nil, fmt.Errorf("expected FIRST-LAST, two addresses")
	}
	return []packets.Range{{First: packets.Address(a), Last: packets.Address(b)}}, nil
}

// ports reads "22", "1024:65535" or a list of such, as --dports has it.
func ports(list string) ([]packets.Range, error) {
	var out []packets.Range
	for text := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(text, ":")
		if first == "" && ranged {
			first = "0"
		}
		if last == "" && ranged {
			last = "65535"
		}
		if !ranged {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 16)
		b, errB := strconv.ParseUint(last, 10, 16)
		if errA != nil || errB != nil {
			return nil, fmt.Errorf("%q is no port or range of ports", text)
		}
		out = append(out, packets.Numbers(a, b))
	}
	return out, nil
}

var protocols = map[string]uint64{
	"icmp": packets.ICMP, "igmp": 2, "tcp": packets.TCP, "udp": packets.UDP, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
	"icmpv6": packets.ICMPv6, "ipv6-icmp": packets.ICMPv6, "ospf": 89, "ipip": 94, "vrrp": 112, "sctp": 132, "udplite": 136,
}

func (p *parser) protocol(name string) ([]filter.Condition, error) {
	if name == "all" || name == "0" {
		return nil, nil
	}
	n, known := protocols[strings.ToLower(name)]
	if !known {
		var err error
		if n, err = strconv.ParseUint(name, 10, 8); err != nil {
			return []filter.Condition{filter.Unknown("-p " + name)}, nil
		}
	}
	return []filter.Condition{filter.Is(packets.Protocol, packets.Numbers(n, n))}, nil
}

var stateNumbers = map[string]uint64{
	"NEW": packets.New, "ESTABLISHED": packets.Established, "RELATED": packets.Related, "INVALID": packets.Invalid, "UNTRACKED": packets.Untracked,
}

func states(list string, unknown []filter.Condition) ([]filter.Condition, error) {
	var ranges []packets.Range
	for s := range strings.SplitSeq(list, ",") {
		n, ok := stateNumbers[s]
		if !ok {
			return unknown, nil // SNAT and DNAT are no states of this kind
		}
		ranges = append(ranges, packets.Numbers(n, n))
	}
	return []filter.Condition{filter.Is(packets.State, ranges...)}, nil
}

var flagBits = map[string]uint8{"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63, "NONE": 0}

func flags(list string) (bits uint8, ok bool) {
	for f := range strings.SplitSeq(list, ",") {
		b, known := flagBits[f]
		if !known {
			return 0, false
		}
		bits |= b
	}
	return bits, true
}

var icmpTypes = map[string]uint64{"echo-request": 8, "echo-reply": 0, "destination-unreachable": 3, "time-exceeded": 11, "parameter-problem": 12}

// icmp reads a type, or a type and a code.
func icmp(value string, names map[string]uint64, unknown []filter.Condition) ([]filter.Condition, error) {
	if value == "any" || value == "255" {
		return nil, nil
	}
	kind, code, coded := strings.Cut(value, "/")
	n, known := names[kind]
	if !known {
		var err error
		if n, err = strconv.ParseUint(kind, 10, 8); err != nil {
			return unknown, nil
		}
	}
	if !coded {
		return []filter.Condition{filter.Is(packets.Port, packets.Numbers(n<<8, n<<8|255))}, nil
	}
	c, err := strconv.ParseUint(code, 10, 8)
	if err != nil {
		return nil, fmt.Errorf("%q is no code of ICMP", code)
	}
	return []filter.Condition{filter.Is(packets.Port, packets.Numbers(n<<8|c, n<<8|c))}, nil
}
