package prometheus

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"craton.dev/craton/command"
)

// promtool names a program, such as the one that `make bin/promtool` builds.
const promtool = "CRATON_PROMTOOL"

// TestRules protects that the alerts of the API and of etcd fire when they should, and not by a
// restart: Prometheus' own evaluation over what it would have read. That they fire by real faults,
// test/alerts_test.go says.
func TestRules(t *testing.T) {
	program := os.Getenv(promtool)
	if program == "" {
		t.Skip(promtool + " is not set: expected the path of promtool, such as the one that `make bin/promtool` builds")
	}
	text, err := yaml.Marshal(rules())
	if err != nil {
		t.Fatal(err)
	}
	const tests = "alerts.yaml"
	cases, err := os.ReadFile(filepath.Join("testdata", tests))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{rulesKey: text, tests: cases} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := command.Run(context.Background(), program, "test", "rules", filepath.Join(dir, tests)); err != nil {
		t.Error(err)
	}
}
