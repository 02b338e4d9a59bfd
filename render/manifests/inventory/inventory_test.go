package inventory

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"craton.dev/craton/plan"
)

func sample() *Inventory {
	return From(&plan.Plan{Cluster: "demo", Machines: []plan.Machine{
		{Name: "a", Role: "master", Address: netip.MustParseAddr("10.32.0.10"), Labels: map[string]string{"l": ""}, Taints: []string{"k:NoSchedule"}},
		{Name: "b", Role: "worker", Address: netip.MustParseAddr("10.32.1.0")},
	}}, map[string]string{"a": "aaaaaa", "b": "bbbbbb"})
}

// TestRoundTrip protects that the operator reads what the renderer wrote.
func TestRoundTrip(t *testing.T) {
	data, err := sample().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got, cmpopts.IgnoreUnexported(Inventory{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if m := got.Machine("b"); m == nil || m.TokenID != "bbbbbb" {
		t.Errorf("machine b: %+v", m)
	}
	if got.Machine("c") != nil {
		t.Error("there is a machine c")
	}
}

// TestParseRefuses protects the operator from a plan in which two machines are one.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`: "craton up",
		`{"machines":[{"name":"a","tokenID":"x"},{"name":"b","tokenID":"x"}]}`: "one token",
		`{"machines":[{"name":"a","tokenID":"x"},{"name":"a","tokenID":"y"}]}`: "two machines a",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}
