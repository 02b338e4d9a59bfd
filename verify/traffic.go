package verify

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// Seen is what a fabric has counted, follows and has dropped.
type Seen struct {
	// Since is when the counters began.
	Since time.Time
	// Clauses are how many connections each clause has let through, by its id.
	Clauses map[string]nftables.Count
	Flows   []local.Flow
	// Drops are those of the log, whose rate is limited.
	Drops []local.Drop
}

// Traffic is who has used what.
type Traffic struct {
	Kind  string    `json:"kind"`
	Since time.Time `json:"since"`
	// Clauses are those that are open, in the contract's order.
	Clauses []Used `json:"clauses"`
	// Dropped are the packets of the log by what they were for, the most frequent first.
	Dropped []Refused `json:"dropped"`
}

// Used is how much a clause was used.
type Used struct {
	Clause string `json:"clause"`
	// Connections are those that began by it.
	Connections uint64 `json:"connections"`
	// Now are those that are there now, by their ends.
	Now []FlowGroup `json:"now"`
	// Operations are what the clause is there for.
	Operations []string `json:"operations"`
}

// FlowGroup is connections that differ in nothing but the source's port.
type FlowGroup struct {
	Source      string            `json:"source"`
	Destination string            `json:"destination"`
	Protocol    contract.Protocol `json:"protocol"`
	Port        uint16            `json:"port"`
	Count       int               `json:"count"`
	// Since is when the oldest of them began; the zero time where that was not noted.
	Since time.Time `json:"since,omitzero"`
}

// Refused is packets that were dropped, and what they would have been.
type Refused struct {
	Source      string    `json:"source"`
	Destination string    `json:"destination"`
	Protocol    string    `json:"protocol"`
	Port        uint16    `json:"port"`
	Rule        string    `json:"rule"`
	Count       int       `json:"count"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	// Clauses name the port, and are shut here or open to others; Operations are what these are for.
	Clauses    []string `json:"clauses"`
	Operations []string `json:"operations"`
	Detail     string   `json:"detail"`
}

// Traffics says which clauses of a plan were used, by which connections, and what the packets were for that
// were dropped.
func Traffics(p *plan.Plan, seen Seen) (*Traffic, error) {
	t := &Traffic{Kind: "Traffic", Since: seen.Since, Clauses: []Used{}, Dropped: []Refused{}}
	now := map[string][]FlowGroup{}
	for _, f := range seen.Flows {
		ok, clauses := p.Allows(f.Source, f.Destination, f.Protocol, f.Port)
		if !ok {
			continue // its next packet is dropped, and then it is among those
		}
		for _, id := range clauses {
			now[id] = grouped(now[id], FlowGroup{whose(p, f.Source), whose(p, f.Destination), f.Protocol, f.Port, 1, f.Began})
		}
	}
	for _, id := range p.Opening() {
		u := Used{Clause: id, Connections: seen.Clauses[id].Packets, Now: now[id], Operations: operationsOf(id)}
		if u.Now == nil {
			u.Now = []FlowGroup{}
		}
		slices.SortStableFunc(u.Now, func(a, b FlowGroup) int { return b.Count - a.Count })
		t.Clauses = append(t.Clauses, u)
	}
	for _, d := range seen.Drops {
		if d.Time.Before(seen.Since) {
			continue // another fabric's
		}
		one := Refused{Source: whose(p, d.Source), Destination: whose(p, d.Destination), Protocol: d.Protocol, Port: d.Port, Rule: d.Rule}
		i := slices.IndexFunc(t.Dropped, func(r Refused) bool {
			return r.Source == one.Source && r.Destination == one.Destination && r.Protocol == one.Protocol && r.Port == one.Port && r.Rule == one.Rule
		})
		if i < 0 {
			one.First = d.Time
			if err := one.meant(p, d); err != nil {
				return nil, err
			}
			i, t.Dropped = len(t.Dropped), append(t.Dropped, one)
		}
		t.Dropped[i].Count++
		t.Dropped[i].Last = d.Time
	}
	slices.SortStableFunc(t.Dropped, func(a, b Refused) int { return b.Count - a.Count })
	return t, nil
}

// grouped counts a flow among those of its ends.
func grouped(list []FlowGroup, one FlowGroup) []FlowGroup {
	i := slices.IndexFunc(list, func(g FlowGroup) bool {
		return g.Source == one.Source && g.Destination == one.Destination && g.Protocol == one.Protocol && g.Port == one.Port
	})
	if i < 0 {
		return append(list, one)
	}
	list[i].Count++
	if !one.Since.IsZero() && (list[i].Since.IsZero() || one.Since.Before(list[i].Since)) {
		list[i].Since = one.Since
	}
	return list
}

// whose is the name of the machine that has an address, of the narrowest peer that does, or the address.
func whose(p *plan.Plan, a netip.Addr) string {
	for _, m := range p.Machines {
		if m.Address == a {
			return m.Name
		}
	}
	name, bits := a.String(), 0
	for _, peer := range slices.Sorted(maps.Keys(p.Peers)) {
		for _, prefix := range p.Peers[peer] {
			if prefix.Contains(a) && prefix.Bits() > bits {
				name, bits = string(peer), prefix.Bits()
			}
		}
	}
	return name
}

func operationsOf(clause string) []string {
	out := []string{}
	for _, o := range contract.Operations() {
		if slices.Contains(o.Clauses, clause) {
			out = append(out, o.Sentence)
		}
	}
	return out
}

// meant finds out what a dropped packet was for: the clauses of the rules that dropped it that name its port.
func (r *Refused) meant(p *plan.Plan, d local.Drop) error {
	r.Clauses, r.Operations = []string{}, []string{}
	if r.Rule == nftables.Spoofed {
		r.Detail = "its sender's address is not that of the machine that it came from"
		return nil
	}
	protocol := contract.Protocol(d.Protocol)
	if protocol != contract.TCP && protocol != contract.UDP {
		r.Detail = "no clause is about protocols other than tcp and udp"
		return nil
	}
	if ok, clauses := p.Allows(d.Source, d.Destination, protocol, d.Port); ok {
		r.Clauses = append(r.Clauses, clauses...)
		r.Detail = "the plan lets it through: it came while the rules were others, or in the middle of a connection that nobody follows"
		return nil
	}
	role, direction, _ := strings.Cut(r.Rule, ".")
	peer := d.Source
	if contract.Kind(direction) == contract.Egress {
		peer = d.Destination
	}
	var details []string
	for _, c := range contract.Select(contract.Role(role), "", "") {
		if c.Kind != contract.Kind(direction) {
			continue
		}
		e, err := plan.Explain(p, c.ID)
		if err != nil {
			return err
		}
		one := e.Clauses[0]
		speaks := slices.ContainsFunc(c.Protocols, func(x contract.Protocol) bool { return x == protocol || x == contract.Any })
		if !speaks || !slices.ContainsFunc(one.Ports, func(x contract.PortRange) bool { return x.First <= d.Port && d.Port <= x.Last }) {
			continue
		}
		if slices.Equal(c.Ports, []contract.PortRange{{First: 1, Last: 65535}}) && !slices.ContainsFunc(c.Peers, func(x contract.Peer) bool {
			return slices.ContainsFunc(p.Peers[x], func(n netip.Prefix) bool { return n.Contains(peer) })
		}) {
			continue // one that opens every port to others says nothing of this one
		}
		r.Clauses = append(r.Clauses, c.ID)
		for _, o := range operationsOf(c.ID) {
			if !slices.Contains(r.Operations, o) {
				r.Operations = append(r.Operations, o)
			}
		}
		why := one.WhyNot
		if why == "" {
			var peers []string
			for _, x := range c.Peers {
				peers = append(peers, string(x))
			}
			why = "it is for " + strings.Join(peers, ", ")
		}
		details = append(details, c.ID+": "+why)
	}
	r.Detail = cmp.Or(strings.Join(details, "; "), "no clause names this port")
	return nil
}

// WriteTraffic prints traffic for people.
func WriteTraffic(to io.Writer, t *Traffic) error {
	fmt.Fprintf(to, "Connections since %s, when the fabric was made\n\n", stamp(t.Since))
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLAUSE\tCONNECTIONS\tNOW\tBETWEEN")
	const most = 3
	for _, u := range t.Clauses {
		if u.Connections == 0 && len(u.Now) == 0 {
			continue
		}
		n, texts := 0, []string{}
		for i, g := range u.Now {
			n += g.Count
			if i < most {
				texts = append(texts, g.String())
			}
		}
		if more := len(u.Now) - most; more > 0 {
			texts = append(texts, fmt.Sprintf("%d more", more))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", u.Clause, u.Connections, n, cmp.Or(strings.Join(texts, "; "), "-"))
	}
	fmt.Fprintln(w, "\nNEVER USED\tWHAT IT IS FOR")
	for _, u := range t.Clauses {
		if u.Connections == 0 && len(u.Now) == 0 {
			fmt.Fprintf(w, "%s\t%s\n", u.Clause, cmp.Or(strings.Join(u.Operations, "; "), "no operation is known to need it"))
		}
	}
	if len(t.Dropped) > 0 {
		fmt.Fprintln(w, "\nDROPPED\tTO\tPORT\tTIMES\tLAST\tWHY\tWHAT IT WOULD HAVE BEEN")
	}
	for _, r := range t.Dropped {
		port := r.Protocol
		if r.Port > 0 {
			port = fmt.Sprintf("%s %d", r.Protocol, r.Port)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Source, r.Destination, port, r.Count, stamp(r.Last), r.Detail, cmp.Or(strings.Join(r.Operations, "; "), "-"))
	}
	return w.Flush()
}

func (g FlowGroup) String() string {
	text := fmt.Sprintf("%s to %s %s %d", g.Source, g.Destination, g.Protocol, g.Port)
	if g.Count > 1 {
		text = fmt.Sprintf("%d× %s", g.Count, text)
	}
	if !g.Since.IsZero() {
		text += " since " + stamp(g.Since)
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }
