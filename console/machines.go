package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"craton.dev/craton/console/kube"
	"craton.dev/craton/contract"
	"craton.dev/craton/health"
	"craton.dev/craton/render/manifests/inventory"
)

// machine is a row of the list.
type machine struct {
	Name, Role, Address, Version string
	State                        mark
	// Ports are those that are open into the machine.
	Ports []string
}

// mostNodes bounds the list of nodes; the plan has no more machines.
const mostNodes = 10_000

// machines lists the plan's machines with what the API says of their nodes.
func (c *Console) machines(a *asked) error {
	ctx := a.Context()
	rows, err := machineRows(ctx, a.person, a.records)
	if err != nil {
		return err
	}
	wanted := a.URL.Query().Get("q")
	all := len(rows)
	rows = slices.DeleteFunc(rows, func(m machine) bool { return !mentions(wanted, m.Name, m.Role, m.Address, m.State.Text) })
	shown, at := part(a.Request, rows)
	open, err := contractOf(ctx, a.records)
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	for i := range shown {
		shown[i].Ports = portsInto(open, shown[i].Role)
	}
	return c.show(a, "machines", frame{
		Title: "Machines", Lead: count(all, "machine", "machines") + ", with what is open into each.",
		Live: liveOf("nodes", "configmaps"),
		Data: map[string]any{"Rows": shown, "At": at, "Query": wanted},
	})
}

// machineRows are the machines of the plan, and nodes that the plan does not have. Where the
// plan may not be read, they are the nodes.
func machineRows(ctx context.Context, p *kube.Person, r *records) ([]machine, error) {
	nodes, err := p.Table(ctx, kube.Nodes, kube.Ask{Take: mostNodes})
	if err != nil {
		return nil, err
	}
	plan, err := planOf(ctx, r)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	var rows []machine
	if plan != nil {
		for _, m := range plan.Machines {
			rows = append(rows, machine{Name: m.Name, Role: m.Role, Address: m.Address.String(), State: state("bad", "Has not joined")})
		}
	}
	for _, n := range nodes.Rows {
		i := slices.IndexFunc(rows, func(m machine) bool { return m.Name == n.Name })
		if i < 0 {
			rows = append(rows, machine{Name: n.Name, Address: nodes.Cell(n, "Internal-IP"), Role: nodes.Cell(n, "Roles")})
			i = len(rows) - 1
		}
		rows[i].Version = nodes.Cell(n, "Version")
		rows[i].State = nodeState(nodes.Cell(n, "Status"))
		if plan != nil && plan.Machine(n.Name) == nil {
			rows[i].Role, rows[i].State = "none", notPlanned
		}
	}
	return rows, nil
}

// notPlanned is a machine that the plan does not have.
var notPlanned = state("warn", "Not in the plan")

// nodeState makes a mark of a node's column Status, as in "Ready,SchedulingDisabled".
func nodeState(status string) mark {
	first, rest, _ := strings.Cut(status, ",")
	switch {
	case first == "Ready" && rest == "":
		return state("ok", "Ready")
	case first == "Ready" && rest == "SchedulingDisabled":
		return state("warn", "Ready, takes no new pods")
	case first == "Ready":
		return state("warn", status)
	case first == "NotReady":
		return state("bad", "Not ready")
	}
	return state("bad", status)
}

// portsInto are the ports that rules open into a role's machines, as "tcp 22".
func portsInto(c *inventory.Contract, role string) []string {
	var ports []string
	if c == nil {
		return nil
	}
	for _, r := range c.Rules {
		if string(r.Role) != role || r.Direction != contract.Ingress {
			continue
		}
		for _, p := range r.Ports {
			if text := fmt.Sprintf("%s %s", r.Protocol, p); !slices.Contains(ports, text) {
				ports = append(ports, text)
			}
		}
	}
	return ports
}

// machine shows one machine: why it is not well, what is open into it, what runs on it.
func (c *Console) machine(a *asked) error {
	ctx, name := a.Context(), a.PathValue("name")
	var node corev1.Node
	err := a.person.Get(ctx, kube.Nodes, "", name, &node)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	there := err == nil
	plan, err := planOf(ctx, a.records)
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	planned := plan.Machine(name)
	if !there && planned == nil {
		return errNowhere
	}
	d := map[string]any{"Name": name, "There": there, "Planned": planned}
	role := ""
	if planned != nil {
		role = planned.Role
		d["Role"], d["Address"] = planned.Role, planned.Address.String()
	}
	switch problem := health.Node(&node, time.Time{}); {
	case !there:
		d["State"], d["Problem"] = state("bad", "Has not joined"), "The plan has this machine, but its kubelet has not joined the cluster."
	case problem != "":
		d["State"], d["Problem"] = state("bad", "Not ready"), problem
	case plan != nil && planned == nil:
		d["State"] = notPlanned
	case node.Spec.Unschedulable:
		d["State"] = state("warn", "Ready, takes no new pods")
	default:
		d["State"] = state("ok", "Ready")
	}
	if there {
		d["Cordoned"], d["Info"], d["Since"] = node.Spec.Unschedulable, node.Status.NodeInfo, node.CreationTimestamp.Time
		d["Conditions"], d["Taints"] = node.Status.Conditions, taints(node.Spec.Taints)
		d["Labels"] = pairs(node.Labels)
		d["Allocatable"] = map[string]string{
			"CPU": node.Status.Allocatable.Cpu().String(), "Memory": mebibytes(node.Status.Allocatable.Memory().Value()),
			"Pods": node.Status.Allocatable.Pods().String(),
		}
	}
	open, err := contractOf(ctx, a.records)
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	if open != nil {
		d["Rules"] = rulesOf(open, role)
	}
	pods, err := a.person.Table(ctx, kube.Pods, kube.Ask{Select: kube.Select{Fields: "spec.nodeName=" + name}, Take: perPage, First: true})
	if apierrors.IsForbidden(err) {
		d["PodsRefused"] = refused(err, a.session.Name)
	} else if err != nil {
		return err
	} else {
		pods.Without("Node") // it is this one
		d["Pods"] = listing(kube.Pods, pods, true).beginning(pods.Total, "/workloads?"+values("q", name))
	}
	return c.show(a, "machine", frame{
		Title: name, Crumbs: []link{{Title: "Machines", Path: "/machines"}},
		Live: liveOf("nodes/"+name, podsOn+"/"+name, "configmaps"), Data: d,
	})
}

func mebibytes(n int64) string { return thousands(int(n>>20)) + " MiB" }

func taints(list []corev1.Taint) []string {
	var out []string
	for _, t := range list {
		out = append(out, t.ToString())
	}
	return out
}

// pairs are labels as people write them, sorted.
func pairs(m map[string]string) []string {
	var out []string
	for k, v := range m {
		if v != "" {
			k += "=" + v
		}
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
