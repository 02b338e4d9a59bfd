package plan

import (
	"slices"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// TestIngress protects where users find the ingress, by name and by address: at the load
// balancer, beside the API's address, or at the machines that have its ports.
func TestIngress(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*cluster.Cluster)
		role    contract.Role
		targets []string
		http    bool
	}{
		"node ports":            {func(*cluster.Cluster) {}, contract.Master, []string{"10.32.0.5"}, true},
		"host ports on workers": {func(c *cluster.Cluster) { c.Ingress = "hostPort" }, contract.Worker, []string{"10.32.1.0", "10.32.1.1"}, true},
		"host ports on infra": {func(c *cluster.Cluster) { c.Ingress, c.Infra, c.LoadBalancer = "hostPort", 1, false },
			contract.Infra, nil, false},
	} {
		file := cluster.Default("demo")
		file.Workers, file.Options.Ingress = 2, true
		c.change(file)
		p, err := Make(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in, ok := p.IngressController()
		if !ok || in.Role != c.role || (in.HTTP != 0) != c.http || in.HostPorts == (file.Ingress == "nodePort") {
			t.Errorf("%s: %+v %t", name, in, ok)
		}
		var at []string
		for _, a := range p.IngressAddresses() {
			if a.Port() != HTTPSPort {
				t.Errorf("%s: browsers do not look at %s", name, a)
			}
			at = append(at, a.Addr().String())
		}
		i := slices.IndexFunc(p.Names, func(n Name) bool { return n.Name == p.Network.Console })
		if i < 0 || !slices.Equal(p.Names[i].Targets, at) || c.targets != nil && !slices.Equal(at, c.targets) {
			t.Errorf("%s: the names are %v, the addresses %v", name, p.Names, at)
		}
		file.Options.Ingress = false
		if p, err := Make(file); err != nil || p.IngressAddresses() != nil {
			t.Errorf("%s: off, there are %v (%v)", name, p.IngressAddresses(), err)
		}
	}
}
