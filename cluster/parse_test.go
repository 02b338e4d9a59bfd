package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"craton.dev/craton/golden"
)

// A name alone is a whole file; this is what it means. Other packages rely on each value.
func TestParseDefaults(t *testing.T) {
	got, err := Parse("c.yaml", []byte("name: demo\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Cluster{
		APIVersion: "craton.dev/v1alpha1", Kind: "Cluster", Name: "demo", Subdomain: "cluster.test",
		UserNetwork: "10.0.0.0/24", MachineNetwork: "10.32.0.0/16", PodNetwork: "10.64.0.0/11", ServiceNetwork: "10.96.0.0/16",
		APIPort: 443, Masters: 1, Workers: 1, Profile: "document", Platform: "local", LoadBalancer: true,
		Etcd: "internal", Ingress: "nodePort", FirstBoot: "ignition",
		SignIn: SignIn{FirstAdministrator: true, TokenMinutes: 10, SessionHours: 12}, // of no account while it is off
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want, Default("demo")); d != "" {
		t.Errorf("Default and Parse differ: %s", d)
	}
}

// Each field of a file reaches its own place in the cluster.
func TestParseEveryField(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f you@example"
	got, err := Parse("c.yaml", []byte(`
apiVersion: craton.dev/v1alpha1
kind: Cluster
name: x1
subdomain: a.example
masters: 3
workers: 4
infra: 2
loadBalancer: false
schedulableMasters: true
profile: minimal
platform: local
firstBoot: cloud-init
ingress: hostPort
userNetwork: 192.168.1.0/24
machineNetwork: 172.16.0.0/20
podNetwork: 172.20.0.0/16
serviceNetwork: 172.21.0.0/20
apiPort: 6443
etcd: external
externalEtcd: {endpoints: ["https://192.0.2.10:2379"], caFile: ca, certFile: /c, keyFile: k}
registries: [198.51.100.0/24]
resolvers: [192.0.2.53]
timeServers: [192.0.2.123]
sshKeys: ["`+key+`"]
options: {nodePortRange: true, readOnlyPort: true, etcdClientPort: true, infraTaint: true, nodeExporter: true, cAdvisor: true, metricsServer: true, prometheus: true, signIn: true, console: true, ingress: true, gateway: true}
signIn: {sessionHours: 8}
versions: {kubernetes: v1.37.2}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Cluster{
		APIVersion: "craton.dev/v1alpha1", Kind: "Cluster", Name: "x1", Subdomain: "a.example",
		UserNetwork: "192.168.1.0/24", MachineNetwork: "172.16.0.0/20", PodNetwork: "172.20.0.0/16", ServiceNetwork: "172.21.0.0/20",
		APIPort: 6443, Masters: 3, Workers: 4, Infra: 2, SchedulableMasters: true, Profile: "minimal", Platform: "local",
		Etcd: "external", Ingress: "hostPort", FirstBoot: "cloud-init",
		ExternalEtcd: &ExternalEtcd{Endpoints: []string{"https://192.0.2.10:2379"}, CAFile: "ca", CertFile: "/c", KeyFile: "k"},
		Registries:   []string{"198.51.100.0/24"}, Resolvers: []string{"192.0.2.53"}, TimeServers: []string{"192.0.2.123"},
		SSHKeys:  []string{key},
		Options:  Options{true, true, true, true, true, true, true, true, true, true, true, true},
		SignIn:   SignIn{FirstAdministrator: true, TokenMinutes: 10, SessionHours: 8},
		Versions: Versions{Kubernetes: "v1.37.2"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Where there are no workers the masters take their part, unless the file says more.
func TestParseSchedulableMasters(t *testing.T) {
	for file, want := range map[string]bool{
		"name: x\nworkers: 0":                            true,
		"name: x\nworkers: 1":                            false,
		"name: x\nworkers: 1\nschedulableMasters: true":  true,
		"name: x\nschedulableMasters: false\nworkers: 2": false,
	} {
		c, err := Parse("c.yaml", []byte(file))
		if err != nil {
			t.Fatalf("%q: %v", file, err)
		}
		if c.SchedulableMasters != want {
			t.Errorf("%q: schedulableMasters is %t, want %t", file, c.SchedulableMasters, want)
		}
	}
}

// What people read: one file with many faults, all shown at once, in order.
func TestParseManyErrors(t *testing.T) {
	data, err := os.ReadFile("testdata/many.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse("many.yaml", data)
	golden.Check(t, "many.errors", fmt.Sprintln(err))
}

// The errors can be taken apart by programs: by position and field, and by errors.As.
func TestErrorsType(t *testing.T) {
	_, err := Parse("c.yaml", []byte("name: x\nmasters: 2\nworkerz: 1\n"))
	var all Errors
	if !errors.As(err, &all) || len(all) != 2 {
		t.Fatalf("got %#v, want two Errors", err)
	}
	var one *Error
	if !errors.As(err, &one) || one.File != "c.yaml" || one.Line != 2 || one.Column != 10 || one.Path != "masters" {
		t.Errorf("first error is %#v", one)
	}
	if got := one.Error(); !strings.HasPrefix(got, "c.yaml:2:10: masters: ") || !strings.Contains(got, "; ") {
		t.Errorf("printed as %q", got)
	}
}

// A file that is not there is told apart from one with faults, and says what to do.
func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	_, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "craton init") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("name: demo\nmasters: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":2:10: masters: ") {
		t.Errorf("bad file: %v", err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("# much\n", largest/7+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(path); err == nil || !strings.Contains(err.Error(), "larger than 256 KiB") {
		t.Errorf("huge file: %v", err)
	}
}

// A cluster file and the files beside it must mean the same from whichever folder craton
// is started in.
func TestLoadResolvesFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "clusters"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "name: x\netcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1:1'], caFile: ca.crt, certFile: ../c.crt, keyFile: /k}\n"
	if err := os.WriteFile(filepath.Join(dir, "clusters", "c.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, path string }{
		{dir, "clusters/c.yaml"},
		{filepath.Join(dir, "clusters"), "c.yaml"},
		{"/", filepath.Join(dir, "clusters", "c.yaml")},
	} {
		t.Chdir(c.from)
		got, err := Load(c.path)
		if err != nil {
			t.Fatal(err)
		}
		want := &ExternalEtcd{Endpoints: []string{"https://192.0.2.1:1"},
			CAFile: filepath.Join(dir, "clusters", "ca.crt"), CertFile: filepath.Join(dir, "c.crt"), KeyFile: "/k"}
		if d := cmp.Diff(want, got.ExternalEtcd); d != "" {
			t.Errorf("%s, started in %s: %s", c.path, c.from, d)
		}
	}
}

// Every example is a valid file; more tests elsewhere use them.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("found %v, %v", paths, err)
	}
	for _, path := range paths {
		if _, err := Load(path); err != nil {
			t.Error(err)
		}
	}
}

// What the pages show of cluster files can be typed as it stands, a part of a file after the cluster's name.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, path := range append(pages, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
			var kind struct{ Kind, Name string }
			if err := yaml.Unmarshal(block[1], &kind); err != nil {
				t.Errorf("%s: %v in\n%s", path, err, block[1])
				continue
			}
			if kind.Kind != "" && kind.Kind != "Cluster" {
				continue
			}
			file := block[1]
			if kind.Name == "" {
				file = append([]byte("name: demo\n"), file...)
			}
			shown++
			if _, err := Parse(filepath.Base(path), file); err != nil {
				t.Errorf("%v in\n%s", err, file)
			}
		}
	}
	if shown < 8 {
		t.Errorf("%d parts of cluster files were found in %d pages", shown, len(pages)+1)
	}
}
