package plan

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// noSchedule keeps users' workloads off masters that are no workers. The contract names
// no taint for masters; the label's key is the one that Kubernetes' own tools use.
const noSchedule = ":NoSchedule"

// machinesOf are a cluster's machines, by role and number. The file's parser has checked
// that they fit; an error here means a cluster that did not come from it.
func machinesOf(c *cluster.Cluster, network Network, clauses []contract.Clause) ([]Machine, error) {
	for _, of := range []struct {
		field       string
		count, most int
	}{
		{"masters", c.Masters, cluster.FirstInfra - cluster.FirstMaster},
		{"infra", c.Infra, cluster.MostInfra},
		{"workers", c.Workers, 1 << 24},
	} {
		if of.count < 0 || of.count > of.most {
			return nil, fmt.Errorf("%s: %d are more than the address layout has room for, or fewer than none: want 0 to %d", of.field, of.count, of.most)
		}
	}
	machines := make([]Machine, 0, c.Masters+c.Infra+c.Workers)
	for _, of := range []struct {
		role  contract.Role
		first int
	}{
		{contract.Master, cluster.FirstMaster},
		{contract.Infra, cluster.FirstInfra},
		{contract.Worker, cluster.FirstWorker},
	} {
		for i := range count(c, of.role) {
			name := cluster.MachineName(c.Name, string(of.role), i+1)
			address, ok := at(network.Machines, of.first+i)
			if !ok {
				return nil, fmt.Errorf("machineNetwork: %s has no address for %s: give a larger network or fewer machines", network.Machines, name)
			}
			labels, taints := marks(of.role, c, clauses)
			machines = append(machines, Machine{Name: name, Role: of.role, Address: address, Labels: labels, Taints: taints, Size: sizeOf(c, of.role)})
		}
	}
	return machines, nil
}

// OfRole are the machines of these roles, in the plan's order.
func (p *Plan) OfRole(roles ...contract.Role) []Machine {
	var of []Machine
	for _, m := range p.Machines {
		if slices.Contains(roles, m.Role) {
			of = append(of, m)
		}
	}
	return of
}

// sizeOf is how large the file says that a role's machines are.
func sizeOf(c *cluster.Cluster, role contract.Role) Size {
	for _, s := range c.Sizes {
		if s.Role == string(role) {
			return Size{MemoryMiB: s.MemoryMiB, MilliCPU: s.MilliCPU, DiskMiB: s.DiskMiB}
		}
	}
	return Size{}
}

// marks are the labels and taints that a role's machine clauses ask for. Each machine gets
// its own map, so that nobody who changes one changes five thousand.
func marks(role contract.Role, c *cluster.Cluster, clauses []contract.Clause) (map[string]string, []string) {
	labels, taints := map[string]string{}, []string{}
	for i := range clauses {
		clause := &clauses[i]
		if clause.Kind != contract.Machine || clause.Role != role {
			continue
		}
		for _, label := range clause.Labels {
			key, value, _ := strings.Cut(label, "=")
			if role == contract.Master && clause.Condition == contract.Always && !c.SchedulableMasters {
				taints = append(taints, key+noSchedule)
			}
			labels[key] = value
		}
		taints = append(taints, clause.Taints...)
	}
	return labels, taints
}
