package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// TestEveryConditionHasADecider fails when somebody adds a condition to the contract and
// no line here says when it holds: its clauses would then never be opened. It reads the
// contract's source, since a condition that no clause uses yet counts as well.
func TestEveryConditionHasADecider(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../contract/condition.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[contract.Condition]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared[contract.Condition(text)] = spec.Names[i].Name
		}
		return true
	})
	if len(declared) < 20 {
		t.Fatalf("found %d conditions in the contract's source: this test no longer understands it", len(declared))
	}
	for condition, name := range declared {
		if deciders[condition] == nil {
			t.Errorf("contract.%s (%q) has no decider: say in conditions.go when it holds", name, condition)
		}
	}
	for condition := range deciders {
		if _, ok := declared[condition]; !ok {
			t.Errorf("conditions.go decides %q, which is no condition of the contract", condition)
		}
	}
}

// TestConditions holds each decider to a cluster where it holds and to the default one
// (1 master, 1 worker, nothing turned on), or a change of it, where it does not.
func TestConditions(t *testing.T) {
	external := func(c *cluster.Cluster) { c.Etcd = "external" }
	selfHosted := func(c *cluster.Cluster) { c.Etcd = "selfHosted" }
	three := func(c *cluster.Cluster) { c.Masters = 3 }
	nothing := func(*cluster.Cluster) {}
	for _, test := range []struct {
		condition contract.Condition
		change    func(*cluster.Cluster)
		want      bool
	}{
		{contract.Always, nothing, true},
		{contract.IfNodePortIngress, nothing, true},
		{contract.IfNodePortIngress, func(c *cluster.Cluster) { c.Ingress = "hostPort" }, false},
		{contract.IfHostPortIngress, nothing, false},
		{contract.IfHostPortIngress, func(c *cluster.Cluster) { c.Ingress = "hostPort" }, true},
		{contract.IfNodePortRange, nothing, false},
		{contract.IfNodePortRange, func(c *cluster.Cluster) { c.SchedulableMasters = true }, false},
		{contract.IfNodePortRange, func(c *cluster.Cluster) { c.Options.NodePortRange = true }, true},
		{contract.IfEtcdClientPort, nothing, false},
		{contract.IfEtcdClientPort, func(c *cluster.Cluster) { c.Options.EtcdClientPort = true }, true},
		{contract.IfEtcdClientPort, three, true},
		{contract.IfEtcdClientPort, func(c *cluster.Cluster) { external(c); three(c); c.Options.EtcdClientPort = true }, false},
		{contract.IfHostPortIngress, func(c *cluster.Cluster) { c.Ingress, c.Infra = "hostPort", 1 }, false},
		{contract.IfReadOnlyPort, nothing, false},
		{contract.IfReadOnlyPort, func(c *cluster.Cluster) { c.Options.ReadOnlyPort = true }, true},
		{contract.IfExternalEtcd, nothing, false},
		{contract.IfExternalEtcd, external, true},
		{contract.IfOwnEtcd, nothing, true},
		{contract.IfOwnEtcd, external, false},
		{contract.IfSelfHostedEtcd, nothing, false},
		{contract.IfSelfHostedEtcd, selfHosted, true},
		{contract.IfEtcdSeed, nothing, false},
		{contract.IfEtcdSeed, selfHosted, true},
		{contract.IfAPIAmongRegistries, nothing, true},
		{contract.IfIngressApart, nothing, false},
		{contract.IfIngressApart, func(c *cluster.Cluster) { c.Infra = 1 }, true},
		{contract.IfIngressApart, func(c *cluster.Cluster) { c.Ingress = "hostPort" }, true},
		{contract.IfAPIAmongRegistries, func(c *cluster.Cluster) { c.APIPort = 6443 }, false},
		{contract.IfCloudPlugin, nothing, false},
		{contract.IfCloudPlugin, func(c *cluster.Cluster) { c.Platform = "aws" }, true},
		{contract.IfMasterIsNode, nothing, false},
		{contract.IfMasterIsNode, func(c *cluster.Cluster) { c.SchedulableMasters = true }, true},
		{contract.IfLoadBalancer, nothing, true},
		{contract.IfNoLoadBalancer, nothing, false},
		{contract.IfLoadBalancer, func(c *cluster.Cluster) { c.LoadBalancer = false }, false},
		{contract.IfNoLoadBalancer, func(c *cluster.Cluster) { c.LoadBalancer = false }, true},
		{contract.IfInfraTaint, nothing, false},
		{contract.IfInfraTaint, func(c *cluster.Cluster) { c.Options.InfraTaint = true }, true},
		{contract.IfNodeExporter, nothing, false},
		{contract.IfNodeExporter, func(c *cluster.Cluster) { c.Options.NodeExporter = true }, true},
		{contract.IfCAdvisor, nothing, false},
		{contract.IfCAdvisor, func(c *cluster.Cluster) { c.Options.CAdvisor = true }, true},
		{contract.IfSeveralMasters, nothing, false},
		{contract.IfSeveralMasters, three, true},
		{contract.IfInternalEtcd, nothing, false},
		{contract.IfInternalEtcd, three, true},
		{contract.IfInternalEtcd, func(c *cluster.Cluster) { three(c); external(c) }, false},
		{contract.IfInternalEtcd, func(c *cluster.Cluster) { three(c); selfHosted(c) }, false},
		{contract.IfInfraNodes, nothing, false},
		{contract.IfInfraNodes, func(c *cluster.Cluster) { c.Infra = 1 }, true},
		{contract.IfOwnClock, nothing, false},
		{contract.IfOwnClock, func(c *cluster.Cluster) { c.TimeServers = []string{"192.0.2.1"} }, true},
		{contract.IfRegistriesApart, nothing, false},
		{contract.IfRegistriesApart, func(c *cluster.Cluster) { c.APIPort = 6443 }, true},
		{contract.IfRegistriesApart, func(c *cluster.Cluster) { c.Registries = []string{"192.0.2.0/28"} }, true},
		{contract.IfConsole, nothing, false},
		{"the moon is full", nothing, false},
	} {
		c := cluster.Default("demo")
		test.change(c)
		if got := Holds(test.condition, c); got != test.want {
			t.Errorf("%q of %+v: got %v, want %v", test.condition, c, got, test.want)
		}
	}
}
