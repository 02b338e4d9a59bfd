package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

const examplesCluster = "ciexample"

// TestExamples protects those who begin with a file of examples/ that has several masters: each comes up
// as it is but for its name, which may be taken, and its control plane is pods of DaemonSets and Deployments.
// That of ha.yaml also loses the power of one master, and of all machines.
func TestExamples(t *testing.T) {
	needHost(t)
	for _, name := range []string{"ha", "infra", "self-hosted-etcd", "external-etcd"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, examplesCluster)
			t.Cleanup(func() { l.diagnose(t) })
			l.exampleAsItIs(t, "../examples/"+name+".yaml")
			l.up(t)
			l.ready(t)
			testSelfHosted(t, l)
			if name != "ha" {
				return
			}
			l.keep(t, "before")
			l.powerOff(t, l.plan(t).OfRole(contract.Master)[0].Name)
			l.up(t)
			l.ready(t)
			l.kept(t, "before", true)
			time.Sleep(10 * time.Second) // what the first loss has left to do is not the second one's
			l.allOff(t)
			l.kept(t, "before", true)
			testSelfHosted(t, l)
		})
	}
}

// exampleAsItIs writes the cluster file of an example with this cluster's name, which also names the
// cluster's folder.
func (l *lab) exampleAsItIs(t *testing.T, path string) {
	t.Helper()
	file, err := cluster.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	l.copyExample(t, path, map[string]any{"name": l.name})
	text, err := os.ReadFile(l.file)
	if err != nil {
		t.Fatal(err)
	}
	folder := func(name string) string { return filepath.Join(bootstrap.StateRoot, name) + "/" }
	if err := os.WriteFile(l.file, []byte(strings.ReplaceAll(string(text), folder(file.Name), folder(l.name))), 0o600); err != nil {
		t.Fatal(err)
	}
}
