package plan

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"craton.dev/craton/contract"
)

// WriteTable writes the changes for reading: + is new, - is gone, ~ is different. No
// change is one sentence.
func (c Changes) WriteTable(w io.Writer) error {
	if c.Empty() {
		_, err := fmt.Fprintln(w, "Nothing changes.")
		return err
	}
	t := lines{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	for _, s := range c.Settings {
		t.line("~", "setting", s.Name, arrow(s.Old, s.New))
	}
	for _, r := range c.Rules.Opened {
		t.line("+", "rule", opensWhat(r), strings.Join(r.Clauses, " "))
	}
	for _, r := range c.Rules.Closed {
		t.line("-", "rule", opensWhat(r), strings.Join(r.Clauses, " "))
	}
	for _, r := range c.Rules.Changed {
		what := arrow(opensWhat(r.Old), opensWhat(r.New))
		clauses := arrow(strings.Join(r.Old.Clauses, " ")+" "+string(r.Old.Level), strings.Join(r.New.Clauses, " ")+" "+string(r.New.Level))
		t.line("~", "rule", what, clauses)
	}
	for _, p := range c.Peers {
		for _, moved := range []struct {
			sign string
			set  []netip.Prefix
		}{{"+", p.Added}, {"-", p.Removed}} {
			if len(moved.set) > 0 {
				t.line(moved.sign, "peer", string(p.Peer), join(moved.set, netip.Prefix.String, " "))
			}
		}
	}
	set(t, "machine", c.Machines, func(m Machine) (string, string) {
		return m.Name, strings.Join(append([]string{m.Address.String(), labels(m)}, m.Taints...), " ")
	})
	set(t, "name", c.Names, func(n Name) (string, string) { return n.Name, n.Type + " " + strings.Join(n.Targets, " ") })
	set(t, "identity", c.Identities, func(id Identity) (string, string) {
		return id.Name, strings.Join(append([]string{id.CommonName}, id.sans()...), " ")
	})
	return t.Flush()
}

func set[T any](t lines, kind string, s Set[T], text func(T) (name, rest string)) {
	for _, v := range s.Added {
		name, rest := text(v)
		t.line("+", kind, name, rest)
	}
	for _, v := range s.Removed {
		name, rest := text(v)
		t.line("-", kind, name, rest)
	}
	for _, v := range s.Changed {
		name, before := text(v.Old)
		_, after := text(v.New)
		t.line("~", kind, name, arrow(before, after))
	}
}

// opensWhat is a rule in a few words: "tcp 22 user-network → master".
func opensWhat(r Rule) string {
	from, to := join(r.Peers, peerName, " "), string(r.Role)
	if r.Direction == contract.Egress {
		from, to = to, from
	}
	return fmt.Sprintf("%s %s %s %s → %s", r.Direction, r.Protocol, join(r.Ports, contract.PortRange.String, " "), from, to)
}

// arrow is a value before and after, or the value where both are the same.
func arrow(before, after string) string {
	if before == after {
		return after
	}
	if before == "" {
		before = "none"
	}
	if after == "" {
		after = "none"
	}
	return before + " => " + after
}
