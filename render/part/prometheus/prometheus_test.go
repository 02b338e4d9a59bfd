package prometheus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// TestTargets protects that Prometheus reads what the plan lets a master read, and nothing that
// it does not: each target is one that a master's packets reach, in both profiles.
func TestTargets(t *testing.T) {
	for _, profile := range []string{"document", "minimal"} {
		for _, masters := range []int{1, 3} {
			file := cluster.Default("demo")
			file.Profile, file.Masters, file.Workers, file.Infra = profile, masters, 2, 1
			file.Options.NodeExporter, file.Options.CAdvisor, file.Options.Prometheus = true, true, true
			p, err := plan.Make(file)
			if err != nil {
				t.Fatal(err)
			}
			made, err := config(p)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, scrape := range made["scrape_configs"].([]map[string]any) {
				for _, target := range scrape["static_configs"].([]map[string]any) {
					at := target["targets"].([]string)[0]
					name := target["labels"].(map[string]string)["machine"]
					for _, m := range p.Machines {
						for _, master := range p.OfRole(contract.Master) {
							if m.Name != name {
								continue
							}
							var port uint16
							if _, err := fmt.Sscanf(strings.TrimPrefix(at, m.Address.String()+":"), "%d", &port); err != nil {
								t.Fatalf("%s: target %s is not at its address: %v", name, at, err)
							}
							seen++
							if ok, _ := p.Allows(master.Address, m.Address, contract.TCP, port); !ok {
								t.Errorf("%s, %d masters: %s is shut for %s", profile, masters, at, master.Name)
							}
						}
					}
				}
			}
			if seen == 0 {
				t.Error("no target")
			}
		}
	}
}

// TestAlerts protects those who get one: each has a name of its own and says what is so and
// what to do, docs/services.md names it, and a test on a real cluster has it fire by its fault.
func TestAlerts(t *testing.T) {
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{"..", "..", ".."}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page, tests := read("docs", "services.md"), read("test", "alerts_test.go")
	seen := map[string]bool{}
	for _, a := range Alerts() {
		if seen[a.Name] {
			t.Errorf("%s is there twice", a.Name)
		}
		seen[a.Name] = true
		if a.When == "" || a.For == "" || a.Summary == "" || a.Do == "" || (a.Severity != critical && a.Severity != warning) {
			t.Errorf("%s: something is missing: %+v", a.Name, a)
		}
		if !strings.Contains(page, "`"+a.Name+"`") {
			t.Errorf("docs/services.md does not say what %s is", a.Name)
		}
		if !strings.Contains(tests, `"`+a.Name+`"`) {
			t.Errorf("test/alerts_test.go does not have %s fire", a.Name)
		}
	}
}
