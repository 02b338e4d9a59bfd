package contract

import (
	"fmt"
	"strconv"
	"strings"
)

// allPorts is every port that a packet can name.
var allPorts = PortRange{1, 65535}

// ParsePortRange reads "N", "N-M" or "all". Ports are 1 to 65535, decimal, without
// sign or leading zero.
func ParsePortRange(text string) (PortRange, error) {
	if text == "all" {
		return allPorts, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	first, err := parsePort(from)
	if err != nil {
		return PortRange{}, fmt.Errorf("port range %q: %w", text, err)
	}
	if !isRange {
		return PortRange{first, first}, nil
	}
	last, err := parsePort(to)
	if err != nil {
		return PortRange{}, fmt.Errorf("port range %q: %w", text, err)
	}
	if last < first {
		return PortRange{}, fmt.Errorf("port range %q: it ends before it starts; write %d-%d", text, last, first)
	}
	return PortRange{first, last}, nil
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || text[0] == '0' || text[0] == '+' {
		return 0, fmt.Errorf(`%q is not a port: expected 1 to 65535, or "all" for every port`, text)
	}
	return uint16(port), nil
}

// String is the range's text form.
func (r PortRange) String() string {
	switch {
	case r == allPorts:
		return "all"
	case r.First == r.Last:
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Contains tells whether port is in the range.
func (r PortRange) Contains(port uint16) bool { return r.First <= port && port <= r.Last }

// MarshalText writes the range's text form; a range that has none is an error.
func (r PortRange) MarshalText() ([]byte, error) {
	if r.First == 0 || r.Last < r.First {
		return nil, fmt.Errorf("port range {%d %d} has no text form: expected 1 <= first <= last", r.First, r.Last)
	}
	return []byte(r.String()), nil
}

// UnmarshalText reads what ParsePortRange reads.
func (r *PortRange) UnmarshalText(text []byte) error {
	parsed, err := ParsePortRange(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}
