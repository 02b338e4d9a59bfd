package plan

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the plan for reading: machines, rules, names and identities.
func WriteTable(w io.Writer, p *Plan) error {
	fmt.Fprintf(w, "Cluster %s, profile %s\nComponents: %s\n", p.Cluster, p.Profile, strings.Join(p.Components, ", "))

	t := section(w, "MACHINE", "ROLE", "ADDRESS", "LABELS", "TAINTS")
	for _, m := range p.Machines {
		t.line(m.Name, string(m.Role), m.Address.String(), labels(m), strings.Join(m.Taints, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = section(w, "ROLE", "DIRECTION", "PROTOCOL", "PORTS", "SOURCE", "DESTINATION", "LEVEL", "FOR", "CLAUSES")
	for _, r := range p.rows() {
		t.line(string(r.rule.Role), string(r.rule.Direction), string(r.rule.Protocol), r.ports,
			r.source.name, r.destination.name, string(r.rule.Level), purposes(r.rule), strings.Join(r.rule.Clauses, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = section(w, "PEER", "ADDRESSES")
	for _, peer := range slices.Sorted(maps.Keys(p.Peers)) {
		t.line(string(peer), join(p.Peers[peer], netip.Prefix.String, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = section(w, "NAME", "TYPE", "TARGETS")
	for _, n := range p.Names {
		t.line(n.Name, n.Type, strings.Join(n.Targets, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = section(w, "IDENTITY", "AUTHORITY", "COMMON NAME", "ORGANIZATIONS", "NAMES", "USAGES", "DAYS")
	for _, id := range p.Identities {
		t.line(id.Name, id.CA, id.CommonName, strings.Join(id.Organizations, " "), strings.Join(id.sans(), " "),
			strings.Join(id.Usages, " "), fmt.Sprint(id.Days))
	}
	return t.Flush()
}

// sans are an identity's names and addresses.
func (id Identity) sans() []string {
	out := slices.Clone(id.DNSNames)
	for _, a := range id.Addresses {
		out = append(out, a.String())
	}
	return out
}

// labels are a machine's labels as kubectl writes them, sorted.
func labels(m Machine) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
		if value := m.Labels[key]; value != "" {
			key += "=" + value
		}
		out = append(out, key)
	}
	return strings.Join(out, " ")
}

// lines is a table in the making.
type lines struct{ *tabwriter.Writer }

// section begins a table after an empty line.
func section(w io.Writer, heads ...string) lines {
	fmt.Fprintln(w)
	t := lines{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.line(heads...)
	return t
}

// line writes a row; an empty cell becomes a dash, so that columns can be told apart.
func (t lines) line(cells ...string) {
	for i, cell := range cells {
		if cell == "" {
			cell = "-"
		}
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, cell)
	}
	fmt.Fprintln(t)
}
