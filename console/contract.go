package console

import (
	"fmt"
	"html/template"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests/inventory"
)

// clauseRow is a clause as the table shows it.
type clauseRow struct {
	plan.Explained
	Path, Opens, From, To string
	State                 mark
	// Counted tells whether somebody counts for it.
	Counted        bool
	Packets, Bytes uint64
	Used           time.Time
}

// opens tells whether a clause is about ports.
func opens(e plan.Explained) bool {
	return e.Clause.Kind == contract.Ingress || e.Clause.Kind == contract.Egress
}

func rowOf(e plan.Explained, counters *inventory.Counters) clauseRow {
	e.From, e.To = sides(e.From, e.Clause.Role), sides(e.To, e.Clause.Role)
	row := clauseRow{Explained: e, Path: "/contract/" + e.Clause.ID, From: ends(e.From), To: ends(e.To)}
	row.State = state("ok", "Open")
	switch {
	case !e.Open:
		row.State = state("none", "Shut")
	case !opens(e):
		row.State = state("ok", "Holds")
	}
	if opens(e) {
		var protocols, ports []string
		for _, p := range e.Clause.Protocols {
			protocols = append(protocols, string(p))
		}
		for _, p := range e.Ports {
			ports = append(ports, p.String())
		}
		row.Opens = strings.Join(protocols, ", ") + " " + strings.Join(ports, ", ")
	}
	if counters != nil {
		if n, ok := counters.Clauses[e.Clause.ID]; ok {
			row.Counted, row.Packets, row.Bytes, row.Used = true, n.Packets, n.Bytes, n.Used
		}
	}
	return row
}

// sides are a side's ends, with the clause's own role in words that no peer has: "master machines"
// are each of them, and the peer "masters" is all of them together.
func sides(list []plan.End, own contract.Role) []plan.End {
	list = slices.Clone(list) // the clause is everybody's
	for i := range list {
		if list[i].Name == string(own) {
			list[i].Name += " machines"
		}
	}
	return list
}

// ends are the roles and peers of one side.
func ends(list []plan.End) string {
	var out []string
	for _, e := range list {
		out = append(out, e.Name)
	}
	return strings.Join(out, ", ")
}

// contract shows each clause: for whom it is open, and how much it is used.
func (c *Console) contract(a *asked) error {
	ctx := a.Context()
	held, err := contractOf(ctx, a.records)
	if err != nil {
		return err
	}
	if held == nil {
		c.tell(a, told{200, "Contract", "The contract is not in the cluster yet: craton up puts it there.", ""})
		return nil
	}
	counters, err := countersOf(ctx, a.records)
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	q := a.URL.Query()
	wanted, role, shut := q.Get("q"), q.Get("role"), q.Get("shut") != ""
	var rows []clauseRow
	for _, e := range held.Clauses {
		row := rowOf(e, counters)
		if (!e.Open && !shut) || role != "" && string(e.Clause.Role) != role ||
			!mentions(wanted, e.Clause.ID, e.Clause.Statement(), row.Opens, row.From, row.To) {
			continue
		}
		rows = append(rows, row)
	}
	d := map[string]any{"Rows": rows, "Query": wanted, "Role": role, "Shut": shut, "Roles": contract.Roles(), "Counters": counters}
	if counters != nil {
		d["Drops"] = dropsOf(counters)
	}
	if wanted == "" && role == "" {
		picture, err := pictureOf(held)
		if err != nil {
			return err
		}
		d["Picture"] = picture
	}
	return c.show(a, "contract", frame{
		Title: "Contract", Live: liveOf("configmaps"), Data: d,
		Lead: fmt.Sprintf("What the platform document asks for, and what of it is open in this cluster (profile %s). What no clause names is dropped.", held.Profile),
	})
}

// dropsOf are sentences' ends such as "12 into worker machines", for what was dropped.
func dropsOf(c *inventory.Counters) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(c.Drops)) {
		packets := c.Drops[id].Packets
		if packets == 0 {
			continue
		}
		role, direction, ofRole := strings.Cut(id, ".")
		where := "into " + role + " machines"
		switch {
		case !ofRole && id == "spoofed":
			where = "with an address that is not their sender's"
		case !ofRole:
			where = "that are " + id
		case direction == string(contract.Egress):
			where = "out of " + role + " machines"
		}
		out = append(out, thousands(packets)+" "+where)
	}
	return out
}

// pictureOf draws the plan's rules, in the page's own colours.
func pictureOf(c *inventory.Contract) (template.HTML, error) {
	p := &plan.Plan{Cluster: c.Cluster, Profile: c.Profile, Rules: c.Rules, Peers: c.Peers}
	for role, n := range c.Machines {
		for range n {
			p.Machines = append(p.Machines, plan.Machine{Role: role})
		}
	}
	var b strings.Builder
	if err := plan.WritePicture(&b, p); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil // package plan has escaped what is in it
}

// clause shows one clause: what it is for, who uses it, and what stops without it.
func (c *Console) clause(a *asked) error {
	held, err := contractOf(a.Context(), a.records)
	if err != nil {
		return err
	}
	if held == nil {
		return errNowhere
	}
	for _, e := range held.Clauses {
		if e.Clause.ID != a.PathValue("id") {
			continue
		}
		counters, err := countersOf(a.Context(), a.records)
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		return c.show(a, "clause", frame{
			Title: e.Clause.ID, Lead: e.Clause.Statement() + ".", Live: liveOf("configmaps"),
			Crumbs: []link{{Title: "Contract", Path: "/contract"}},
			Data:   map[string]any{"Row": rowOf(e, counters), "Line": e.Clause.Line},
		})
	}
	return errNowhere
}

// ruleRow is a rule as a machine's page shows it.
type ruleRow struct {
	Direction, Opens, Peers string
	Clauses                 []link
}

// rulesOf are the rules about a role's machines.
func rulesOf(c *inventory.Contract, role string) []ruleRow {
	var rows []ruleRow
	for _, r := range c.Rules {
		if string(r.Role) != role {
			continue
		}
		row := ruleRow{Direction: "in from"}
		if r.Direction == contract.Egress {
			row.Direction = "out to"
		}
		var ports, peers []string
		for _, p := range r.Ports {
			ports = append(ports, p.String())
		}
		for _, p := range r.Peers {
			peers = append(peers, string(p)+prefixes(c.Peers[p]))
		}
		for _, id := range r.Clauses {
			row.Clauses = append(row.Clauses, link{Title: id, Path: "/contract/" + id})
		}
		row.Opens, row.Peers = string(r.Protocol)+" "+strings.Join(ports, ", "), strings.Join(peers, ", ")
		rows = append(rows, row)
	}
	return rows
}

func prefixes(list []netip.Prefix) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return " (" + list[0].String() + ")"
	}
	return fmt.Sprintf(" (%s, +%d)", list[0], len(list)-1)
}
