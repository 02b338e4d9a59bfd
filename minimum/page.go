package minimum

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// WriteTable prints what was found, for people.
func WriteTable(to io.Writer, r *Results) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Cluster of %s, profile %s\n\nROLE\tRESOURCE\tLEAST\tWITH LESS\n", r.Shape, r.Profile)
	for _, l := range r.Least {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Role, l.Resource, l.amount(), l.Below)
	}
	for _, open := range r.stopped() {
		fmt.Fprintf(w, "\n%s\n", open)
	}
	return w.Flush()
}

func (l Least) amount() string {
	if l.Value == 0 {
		return fmt.Sprintf("more than %d %s", l.Resource.bounds().most, l.Resource.unit())
	}
	return fmt.Sprintf("%d %s", l.Value, l.Resource.unit())
}

// WriteMarkdown prints measurements as a page's sections.
func WriteMarkdown(to io.Writer, all ...*Results) error {
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintf(&b, "\n## %s, profile %s\n\nThe cluster runs: %s.\n\n", r.Shape, r.Profile, strings.Join(r.Components, ", "))
		if len(r.Least) > 0 {
			b.WriteString("| role | resource | least | exact to | with less |\n|---|---|---|---|---|\n")
		}
		for _, l := range r.Least {
			fmt.Fprintf(&b, "| %s | %s | **%s** | %d | %s |\n", l.Role, l.Resource, l.amount(), l.Resource.bounds().step, cell(l.Below))
		}
		for _, open := range r.stopped() {
			fmt.Fprintf(&b, "\n%s\n", open)
		}
		if missing := r.missing(); len(missing) > 0 {
			fmt.Fprintf(&b, "\nNot measured yet: %s.\n", strings.Join(missing, ", "))
		}
		b.WriteString("\nEach trial is a cluster of its own:\n\n| held to | s till it was up | s for the operations | outcome |\n|---|---|---|---|\n")
		for _, t := range r.Trials {
			outcome := "all works"
			if !t.OK {
				outcome = t.Failure
			}
			fmt.Fprintf(&b, "| %s | %.1f | %.1f | %s |\n", t, t.Up, t.Operations, cell(outcome))
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// missing are what nothing was tried of, of masters, workers and infra machines.
func (r *Results) missing() (what []string) {
	for _, role := range []contract.Role{contract.Master, contract.Worker, contract.Infra} {
		for _, resource := range Resources() {
			known := slices.ContainsFunc(r.Least, func(l Least) bool { return l.Role == role && l.Resource == resource }) ||
				slices.ContainsFunc(r.Trials, func(t Trial) bool { return t.Role == role && t.Resource == resource })
			if !known {
				what = append(what, fmt.Sprintf("%s %s", role, resource))
			}
		}
	}
	return what
}

// cell is text that does not end its cell.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

// WritePeers prints what others ask for.
func WritePeers(to io.Writer) error {
	var b strings.Builder
	b.WriteString("| who | role | memory | processors | disk |\n|---|---|---|---|---|\n")
	for _, p := range peers {
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %s | %s |\n", p.who, p.source, p.role, p.memory, p.cores, p.disk)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// WritePorts prints what each profile opens on a cluster of one master and one worker without options.
func WritePorts(to io.Writer) error {
	open := map[string]map[string]string{}
	for _, profile := range []string{"document", "minimal"} {
		file := cluster.Default("least")
		file.Profile = profile
		p, err := plan.Make(file)
		if err != nil {
			return err
		}
		open[profile] = ports(p)
	}
	var b strings.Builder
	b.WriteString("| role | direction | document | minimal |\n|---|---|---|---|\n")
	for _, role := range []contract.Role{contract.Master, contract.Worker} {
		for _, direction := range []contract.Kind{contract.Ingress, contract.Egress} {
			key := fmt.Sprintf("%s %s", role, direction)
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", role, direction, open["document"][key], open["minimal"][key])
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// ports are what a plan's rules open, by role and direction.
func ports(p *plan.Plan) map[string]string {
	found := map[string]string{}
	for _, r := range p.Rules {
		var texts []string
		for _, one := range r.Ports {
			texts = append(texts, one.String())
		}
		var peers []string
		for _, peer := range r.Peers {
			if len(p.Peers[peer]) > 0 {
				peers = append(peers, string(peer))
			}
		}
		key := fmt.Sprintf("%s %s", r.Role, r.Direction)
		if found[key] != "" {
			found[key] += "<br>"
		}
		found[key] += fmt.Sprintf("%s %s: %s", r.Protocol, strings.Join(texts, ", "), strings.Join(peers, ", "))
	}
	return found
}
