package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// platformEtcd is where the embedded platform has the files of the etcd that it plays. They
// come with the cluster, so that the test puts its own in their place.
const platformEtcd = "/var/lib/craton/external/local/etcd/"

// TestExamples protects those who start from a file of examples/: each can be planned and
// rendered in every format.
func TestExamples(t *testing.T) {
	dir, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	t.Chdir(t.TempDir())
	externalEtcd(t)
	for _, original := range files {
		// What a file names is looked for beside it.
		text, err := os.ReadFile(original)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Base(original)
		text = bytes.ReplaceAll(text, []byte(platformEtcd), nil)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			for _, format := range []string{"table", "json", "yaml", "csv", "svg"} {
				run(t, "plan", "--file", file, "-o", format)
			}
			p, err := loadPlan(file)
			if err != nil {
				t.Fatal(err)
			}
			secrets := t.TempDir()
			for _, target := range targets() {
				if target.name == "haproxy" && !p.Network.LoadBalancer.IsValid() {
					continue
				}
				args := []string{"render", target.name, "--file", file, "--out", t.TempDir()}
				if target.secret {
					args = append(args, "--secrets", secrets)
				}
				run(t, args...)
			}
		})
	}
}

// externalEtcd makes the files that the user of an external etcd has: here they are those of
// another cluster's etcd.
func externalEtcd(t *testing.T) {
	p, err := plan.Make(cluster.Default("other"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := pki.Ensure(t.TempDir(), p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	client := s.Pairs["apiserver-etcd-client-other-master-1"]
	for name, text := range map[string][]byte{
		"ca.crt": s.Authorities[plan.EtcdCA].Cert, "client.crt": client.Cert, "client.key": client.Key,
	} {
		if len(text) == 0 {
			t.Fatalf("the other cluster has nothing for %s", name)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, args ...string) {
	t.Helper()
	cmd := NewCommand()
	cmd.SetArgs(args)
	cmd.SetOut(io.Discard)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Errorf("craton %s: %v", strings.Join(args, " "), err)
	}
}
