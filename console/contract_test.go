package console

import (
	"slices"
	"testing"

	"craton.dev/craton/render/manifests/inventory"
)

// TestDropsOf protects the words for what the rules have dropped: each kind has its own, and
// what never happened is not told.
func TestDropsOf(t *testing.T) {
	got := dropsOf(&inventory.Counters{Drops: map[string]inventory.Count{
		"worker.ingress": {Packets: 96}, "infra.egress": {Packets: 7}, "spoofed": {Packets: 1}, "invalid": {Packets: 2}, "master.ingress": {},
	}})
	want := []string{"7 out of infra machines", "2 that are invalid", "1 with an address that is not their sender's", "96 into worker machines"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
