package cluster

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("cluster.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	if schema.DraftVersion != 2020 {
		t.Fatalf("the schema is of draft %d", schema.DraftVersion)
	}
	return schema
}

func schemaSays(schema *jsonschema.Schema, file []byte) error {
	var v any
	if err := yaml.Unmarshal(file, &v); err != nil {
		return err
	}
	return schema.Validate(v)
}

// An editor that checks a file by the schema says the same as the parser on all that a
// schema can express.
func TestSchemaAgreesWithParse(t *testing.T) {
	const etcdFiles = ", caFile: a, certFile: b, keyFile: c}"
	schema := compiledSchema(t)
	for _, c := range []struct {
		file string
		good bool
	}{
		{"name: x", true},
		{"{}", false},
		{"[]", false},
		{"apiVersion: craton.dev/v1alpha1\nkind: Cluster\nname: x", true},
		{"apiVersion: v1\nname: x", false},
		{"kind: Pod\nname: x", false},
		{"name: X", false},
		{"name: a.b", false},
		{"name: 5", false},
		{"name: x\ncolor: red", false},
		{"name: x\nsubdomain: a.b-c.test", true},
		{"name: x\nsubdomain: a..b", false},
		{"name: x\nmasters: 1", true},
		{"name: x\nmasters: 2", false},
		{"name: x\nmasters: 3", true},
		{"name: x\nmasters: 4", false},
		{"name: x\nmasters: 5", true},
		{"name: x\nmasters: 6", false},
		{"name: x\nmasters: 0", false},
		{"name: x\nmasters: '3'", false},
		{"name: x\nworkers: 0", true},
		{"name: x\nworkers: -1", false},
		{"name: x\nworkers: 1.5", false},
		{"name: x\nworkers:", false},
		{"name: x\nworkers: 0\nschedulableMasters: true", true},
		{"name: x\nworkers: 0\nschedulableMasters: false", false},
		{"name: x\ninfra: 211", true},
		{"name: x\ninfra: 212", false},
		{"name: x\nloadBalancer: false", false},
		{"name: x\nloadBalancer: false\ninfra: 0", false},
		{"name: x\nloadBalancer: false\ninfra: 1", true},
		{"name: x\nloadBalancer: no", false},
		{"name: x\nprofile: minimal", true},
		{"name: x\nprofile: maximal", false},
		{"name: x\nplatform: aws", false},
		{"name: x\nfirstBoot: cloud-init", true},
		{"name: x\nfirstBoot: script", false},
		{"name: x\ningress: hostPort", true},
		{"name: x\ningress: hostport", false},
		{"name: x\napiPort: 0", false},
		{"name: x\napiPort: 6443", true},
		{"name: x\napiPort: 65536", false},
		{"name: x\nuserNetwork: 192.168.0.0/24", true},
		{"name: x\nuserNetwork: 192.168.0.0", false},
		{"name: x\nuserNetwork: 192.168.0.256/24", false},
		{"name: x\nuserNetwork: fd00::/8", false},
		{"name: x\nmachineNetwork: 192.168.0.0/33", false},
		{"name: x\nregistries: [192.0.2.0/24]", true},
		{"name: x\nregistries: [192.0.2.1]", false},
		{"name: x\nregistries: 192.0.2.0/24", false},
		{"name: x\nresolvers: [192.0.2.1]", true},
		{"name: x\nresolvers: [a.test]", false},
		{"name: x\nresolvers: [192.0.2.1, 192.0.2.1]", false},
		{"name: x\nresolvers: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4]", false},
		{"name: x\ntimeServers: [1]", false},
		{"name: x\nsshKeys: [ssh-rsa]", false},
		{"name: x\nsshKeys: [key ssh-rsa]", false},
		{"name: x\netcd: selfHosted", true},
		{"name: x\netcd: none", false},
		{"name: x\netcd: external", false},
		{"name: x\netcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1:2379']" + etcdFiles, true},
		{"name: x\nexternalEtcd: {endpoints: ['https://192.0.2.1:2379']" + etcdFiles, false},
		{"name: x\netcd: external\nexternalEtcd: {endpoints: []" + etcdFiles, false},
		{"name: x\netcd: external\nexternalEtcd: {endpoints: ['http://192.0.2.1:2379']" + etcdFiles, false},
		{"name: x\netcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1']" + etcdFiles, false},
		{"name: x\netcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1:1'], caFile: a, certFile: b}", false},
		{"name: x\netcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1:1'], caFile: a, certFile: b, keyFile: ''}", false},
		{"name: x\noptions: {}", true},
		{"name: x\noptions: {cAdvisor: true}", true},
		{"name: x\noptions: {cAdvisor: 1}", false},
		{"name: x\noptions: {prometheus: true}", false},
		{"name: x\noptions: {prometheus: true, nodeExporter: false}", false},
		{"name: x\noptions: {prometheus: true, nodeExporter: true}", true},
		{"name: x\noptions: {cadvisor: true}", false},
		{"name: x\noptions: []", false},
		{"name: x\nversions: {kubernetes: v1.37.2}", true},
		{"name: x\nversions: {kubernetes: v1.36.2}", false},
	} {
		_, parser := Parse("c.yaml", []byte(c.file))
		byschema := schemaSays(schema, []byte(c.file))
		if (parser == nil) != c.good {
			t.Errorf("%q: parser says %v", c.file, parser)
		}
		if (byschema == nil) != c.good {
			t.Errorf("%q: schema says %v", c.file, byschema)
		}
	}
}

// Any valid cluster survives being written and read, and the schema
// accepts both forms.
func TestRoundTrip(t *testing.T) {
	schema := compiledSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		c := randomCluster(t)
		file := c.Canonical()
		got, err := Parse("c.yaml", file)
		if err != nil {
			t.Fatalf("%v\n%s", err, file)
		}
		if d := cmp.Diff(c, got); d != "" {
			t.Fatalf("%s\n%s", d, file)
		}
		again, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := Parse("c.yaml", again); err != nil || !cmp.Equal(got, second) {
			t.Fatalf("yaml.Marshal's form: %v\n%s", err, again)
		}
		if err := schemaSays(schema, file); err != nil {
			t.Fatalf("schema: %v\n%s", err, file)
		}
	})
}

func randomCluster(t *rapid.T) *Cluster {
	c := Default(rapid.StringMatching(`[a-z]([-a-z0-9]{0,20}[a-z0-9])?`).Draw(t, "name"))
	c.Masters = rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "masters")
	c.Workers = rapid.IntRange(0, 300).Draw(t, "workers")
	c.Infra = rapid.IntRange(0, MostInfra).Draw(t, "infra")
	c.LoadBalancer = c.Infra == 0 || rapid.Bool().Draw(t, "loadBalancer")
	c.SchedulableMasters = c.Workers == 0 || rapid.Bool().Draw(t, "schedulableMasters")
	c.APIPort = rapid.IntRange(1, 65535).Draw(t, "apiPort")
	c.Subdomain = rapid.SampledFrom([]string{"test", "a.b.test", "0.x"}).Draw(t, "subdomain")
	c.MachineNetwork = rapid.SampledFrom([]string{"10.32.0.0/16", "192.168.0.0/22", "172.16.0.0/12"}).Draw(t, "machineNetwork")
	for _, f := range fields() {
		if to, ok := anyText(c, &f); ok && len(f.enum) > 0 && f.name != "etcd" {
			*to = rapid.SampledFrom(words(f.enum)).Draw(t, f.name)
		}
	}
	for _, f := range optionFields() {
		*f.at(c).(*bool) = rapid.Bool().Draw(t, f.name)
	}
	if rapid.Bool().Draw(t, "sizes") {
		c.Sizes = []Size{{Role: "worker", MemoryMiB: rapid.IntRange(64, 1<<20).Draw(t, "memoryMiB")}, {Role: "master", MilliCPU: 500, DiskMiB: 4096}}
	}
	c.Options.Console = c.Options.Console && c.Options.SignIn
	// There is a way to the ingress: see relations.go.
	c.Options.Ingress = c.Options.Ingress && (c.Ingress == "nodePort" && c.LoadBalancer || c.Ingress == "hostPort" && c.Infra+c.Workers > 0)
	c.Options.Gateway = c.Options.Gateway && c.Options.Ingress
	c.Options.NodeExporter = c.Options.NodeExporter || c.Options.Prometheus
	if c.Options.SignIn {
		c.SignIn = randomSignIn(t)
	}
	if rapid.Bool().Draw(t, "external") {
		c.Etcd = "external"
		file := rapid.StringN(1, 12, -1).Filter(func(s string) bool { return strings.TrimSpace(s) != "" && !strings.ContainsFunc(s, unprintable) })
		c.ExternalEtcd = &ExternalEtcd{Endpoints: []string{"https://192.0.2.1:2379", "https://192.0.2.2:2379"},
			CAFile: file.Draw(t, "caFile"), CertFile: file.Draw(t, "certFile"), KeyFile: file.Draw(t, "keyFile")}
	}
	if rapid.Bool().Draw(t, "lists") {
		c.Registries, c.Resolvers, c.TimeServers = []string{"198.51.100.0/24", "203.0.113.7/32"}, []string{"192.0.2.53"}, []string{"192.0.2.123"}
	}
	return c
}

func anyText(c *Cluster, f *field) (*string, bool) {
	if f.kind != text {
		return nil, false
	}
	to, ok := f.at(c).(*string)
	return to, ok
}
