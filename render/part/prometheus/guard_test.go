package prometheus

import (
	"net/netip"
	"strings"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
)

// TestGuard protects Prometheus from pods: who may ask it are masters, by their addresses and by those
// that machines have among their pods'. That nft takes the text is seen where Prometheus starts.
func TestGuard(t *testing.T) {
	file := cluster.Default("demo")
	file.Masters, file.Workers = 3, 2
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	text := guard(p)
	if !strings.Contains(text, "policy drop") {
		t.Errorf("it drops nothing:\n%s", text)
	}
	masters := "ip saddr { 10.32.0.10, 10.32.0.11, 10.32.0.12 } tcp dport 9090 accept"
	machines := "ip saddr 10.64.0.0/11 ip saddr & 0.0.0.254 == 0.0.0.0 tcp dport 9090 accept"
	accepts := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == masters, line == machines, line == "iif lo accept", line == "ct state established,related accept":
			accepts++
		case strings.Contains(line, "accept"):
			t.Errorf("it lets in by %q", line)
		}
	}
	if accepts != 4 {
		t.Errorf("%d of 4 ways in are there:\n%s", accepts, text)
	}
	for _, worker := range p.Machines[3:] {
		if strings.Contains(text, worker.Address.String()) {
			t.Errorf("%s may ask", worker.Name)
		}
	}
	if p.Network.Pods != netip.MustParsePrefix("10.64.0.0/11") {
		t.Fatalf("pods are in %s", p.Network.Pods)
	}
}
