package plan

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"craton.dev/craton/cluster"
)

// parse is a plan of a cluster file's text.
func parse(t testing.TB, text string) *Plan {
	t.Helper()
	c, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return made(t, c)
}

func made(t testing.TB, c *cluster.Cluster) *Plan {
	t.Helper()
	p, err := Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The clusters that golden files are kept for.
const (
	small    = "name: demo\n"
	smallest = "name: demo\nprofile: minimal\n"
	infra    = "name: demo\nmasters: 3\nworkers: 2\ninfra: 2\nloadBalancer: false\ningress: hostPort\noptions: {infraTaint: true}\n"
	external = `name: demo
subdomain: example.com
masters: 3
workers: 0
apiPort: 6443
etcd: external
externalEtcd: {endpoints: ["https://192.0.2.11:2379", "https://192.0.2.12:2379"], caFile: ca.crt, certFile: client.crt, keyFile: client.key}
registries: [198.51.100.0/28]
timeServers: [192.0.2.123]
`
)

// anyCluster draws clusters that package cluster would accept.
func anyCluster(t *rapid.T) *cluster.Cluster {
	c := cluster.Default(rapid.StringMatching(`[a-z]([a-z0-9]{0,8}[a-z0-9])?`).Draw(t, "name"))
	c.Masters = rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "masters")
	c.Workers = rapid.IntRange(0, 40).Draw(t, "workers")
	c.Infra = rapid.IntRange(0, 4).Draw(t, "infra")
	c.LoadBalancer = c.Infra == 0 || rapid.Bool().Draw(t, "loadBalancer")
	c.SchedulableMasters = c.Workers == 0 || rapid.Bool().Draw(t, "schedulableMasters")
	c.Profile = rapid.SampledFrom([]string{"document", "minimal"}).Draw(t, "profile")
	c.Ingress = rapid.SampledFrom([]string{"nodePort", "hostPort"}).Draw(t, "ingress")
	c.Etcd = rapid.SampledFrom([]string{"internal", "external", "selfHosted"}).Draw(t, "etcd")
	if c.Etcd == "external" {
		c.ExternalEtcd = &cluster.ExternalEtcd{}
		for i := range rapid.IntRange(1, 3).Draw(t, "endpoints") {
			c.ExternalEtcd.Endpoints = append(c.ExternalEtcd.Endpoints, fmt.Sprintf("https://192.0.2.%d:2379", 11+i))
		}
	}
	c.APIPort = rapid.SampledFrom([]int{443, 6443, 1, 65535}).Draw(t, "apiPort")
	c.Registries = rapid.SampledFrom([][]string{nil, {"198.51.100.0/28"}, {"198.51.100.7/32", "198.51.100.0/30"}}).Draw(t, "registries")
	c.Resolvers = rapid.SampledFrom([][]string{nil, {"203.0.113.53"}}).Draw(t, "resolvers")
	c.TimeServers = rapid.SampledFrom([][]string{nil, {"192.0.2.123"}}).Draw(t, "timeServers")
	for name, to := range map[string]*bool{
		"nodePortRange": &c.Options.NodePortRange, "readOnlyPort": &c.Options.ReadOnlyPort,
		"etcdClientPort": &c.Options.EtcdClientPort, "infraTaint": &c.Options.InfraTaint,
		"nodeExporter": &c.Options.NodeExporter, "cAdvisor": &c.Options.CAdvisor,
	} {
		*to = rapid.Bool().Draw(t, name)
	}
	return c
}
