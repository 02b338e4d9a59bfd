package plan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"net/netip"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/golden"
)

// TestPlans shows whole plans: what changes here changes what is opened in clusters.
func TestPlans(t *testing.T) {
	for name, text := range map[string]string{
		"1+1-document.golden": small, "1+1-minimal.golden": smallest,
		"3+2+infra.golden": infra, "external-etcd.golden": external,
	} {
		var out bytes.Buffer
		if err := WriteTable(&out, parse(t, text)); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, name, out.Bytes())
	}
}

// TestPlanJSON keeps the shape that other tools read, and that a plan read back is the
// same plan.
func TestPlanJSON(t *testing.T) {
	p := parse(t, smallest)
	var out bytes.Buffer
	if err := WriteJSON(&out, p); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "1+1-minimal.json", out.Bytes())
	var back Plan
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*p, back, cmpopts.IgnoreFields(Plan{}, "File"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("a plan changes by being written and read (-want +got):\n%s", diff)
	}
	var asYAML bytes.Buffer
	if err := WriteYAML(&asYAML, p); err != nil || !strings.Contains(asYAML.String(), "apiServer: demo-k8s.cluster.test\n") {
		t.Errorf("YAML: %v:\n%s", err, asYAML.String())
	}
}

// TestSameInputSameBytes protects against map order and shared state getting into plans.
func TestSameInputSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCluster(t)
		var outs [2][]byte
		for i := range outs {
			p, err := Make(c)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for _, write := range []func() error{
				func() error { return WriteJSON(&out, p) }, func() error { return WriteTable(&out, p) },
				func() error { return WriteCSV(&out, p) }, func() error { return WriteSVG(&out, p) },
			} {
				if err := write(); err != nil {
					t.Fatal(err)
				}
			}
			outs[i] = out.Bytes()
		}
		if !bytes.Equal(outs[0], outs[1]) {
			t.Fatalf("two plans of one cluster differ:\n%s", cmp.Diff(string(outs[0]), string(outs[1])))
		}
	})
}

// TestMakeRefuses gives Make clusters that no parser has checked: it says which field has
// no plan, and does not panic.
func TestMakeRefuses(t *testing.T) {
	for want, change := range map[string]func(*cluster.Cluster){
		"apiPort: 0":               func(c *cluster.Cluster) { c.APIPort = 0 },
		"machineNetwork: \"x\"":    func(c *cluster.Cluster) { c.MachineNetwork = "x" },
		"podNetwork: \"fd00::/8\"": func(c *cluster.Cluster) { c.PodNetwork = "fd00::/8" },
		"serviceNetwork: 10.96":    func(c *cluster.Cluster) { c.ServiceNetwork = "10.96.0.0/29" },
		"machineNetwork: 10.32":    func(c *cluster.Cluster) { c.MachineNetwork = "10.32.0.0/24" },
		"masters: 11":              func(c *cluster.Cluster) { c.Masters = 11 },
		"workers: -1":              func(c *cluster.Cluster) { c.Workers = -1 },
		"infra: nothing answers":   func(c *cluster.Cluster) { c.LoadBalancer = false },
		"registries[0]":            func(c *cluster.Cluster) { c.Registries = []string{"docker.io"} },
		"resolvers[0]":             func(c *cluster.Cluster) { c.Resolvers = []string{"dns"} },
		"timeServers[0]":           func(c *cluster.Cluster) { c.TimeServers = []string{"::1"} },
		"externalEtcd.endpoints[0]:": func(c *cluster.Cluster) {
			c.ExternalEtcd = &cluster.ExternalEtcd{Endpoints: []string{"https://etcd:2379"}}
		},
		"externalEtcd.endpoints[0]: https://192.0.2.1:2380": func(c *cluster.Cluster) {
			c.ExternalEtcd = &cluster.ExternalEtcd{Endpoints: []string{"https://192.0.2.1:2380"}}
		},
	} {
		c := cluster.Default("demo")
		change(c)
		if _, err := Make(c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want an error that starts with %s", err, want)
		}
	}
}

// TestMachines checks the layout at its edges, and that machines are sorted by address,
// which looking one up relies on.
func TestMachines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCluster(t)
		p, err := Make(c)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Machines) != c.Masters+c.Infra+c.Workers {
			t.Fatalf("%d machines", len(p.Machines))
		}
		for i, m := range p.Machines {
			if i > 0 && !p.Machines[i-1].Address.Less(m.Address) {
				t.Fatalf("%s is not after %s", m.Address, p.Machines[i-1].Address)
			}
			if m.Role == contract.Master && c.SchedulableMasters != (len(m.Taints) == 0) {
				t.Fatalf("schedulable masters %v, and taints %v", c.SchedulableMasters, m.Taints)
			}
			if _, node := m.Labels["node-role.kubernetes.io/node"]; node != (m.Role == contract.Worker || m.Role == contract.Master && c.SchedulableMasters) {
				t.Fatalf("%s has labels %v", m.Name, m.Labels)
			}
			if tainted := len(m.Taints) > 0; m.Role == contract.Infra && tainted != c.Options.InfraTaint {
				t.Fatalf("infraTaint %v, and taints %v", c.Options.InfraTaint, m.Taints)
			}
		}
	})
}
