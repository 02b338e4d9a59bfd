package inventory

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// TestContractRoundTrip protects that the Console reads what `up` wrote: every clause, with
// whether it is open and why.
func TestContractRoundTrip(t *testing.T) {
	p, err := plan.Make(cluster.Default("demo"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ContractOf(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Clauses) != len(contract.Clauses()) || c.Machines[contract.Master] != 1 {
		t.Errorf("%d clauses of %d, machines %v", len(c.Clauses), len(contract.Clauses()), c.Machines)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 500_000 {
		t.Errorf("it has %d bytes, and a ConfigMap takes a million", len(text))
	}
	got, err := ParseContract(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// TestCountersNext protects when a clause was last used: when its counter was seen to move.
func TestCountersNext(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC) }
	counts := func(packets uint64) map[string]Count { return map[string]Count{"a": {Packets: packets}} }
	var c *Counters
	for minute, step := range []struct {
		packets uint64
		used    time.Time
	}{
		{0, time.Time{}}, // never
		{0, time.Time{}},
		{7, at(2)},
		{7, at(2)},
		{8, at(4)},
		{8, at(4)},
		{1, at(6)}, // the counter began anew, and has moved since
	} {
		c = c.Next(at(minute), counts(step.packets), counts(step.packets))
		for _, got := range []Count{c.Clauses["a"], c.Drops["a"]} {
			if got.Packets != step.packets || !got.Used.Equal(step.used) {
				t.Errorf("minute %d: %+v, want %+v", minute, got, step)
			}
		}
	}
	if first := (*Counters)(nil).Next(at(0), counts(5), nil); !first.Clauses["a"].Used.Equal(at(0)) {
		t.Errorf("one that has counted before anybody looked: %+v", first)
	}
}

// TestOperationsWith protects that an operation is there once, the latest first, and that old
// ones go.
func TestOperationsWith(t *testing.T) {
	o := &Operations{}
	for i := range mostOperations + 5 {
		o = o.With(Operation{ID: fmt.Sprint(i), What: "up"})
	}
	before := o
	o = o.With(Operation{ID: "20", What: "up", Step: 3})
	if len(o.Operations) != mostOperations || o.Operations[0].ID != "34" || o.Operations[14].Step != 3 || before.Operations[14].Step != 0 {
		t.Errorf("%d, first %s, %+v, before %+v", len(o.Operations), o.Operations[0].ID, o.Operations[14], before.Operations[14])
	}
}

// TestPeopleParse protects from what is no JSON: the error says what it is about.
func TestPeopleParse(t *testing.T) {
	for name, parse := range map[string]func([]byte) error{
		"contract":     func(b []byte) error { _, err := ParseContract(b); return err },
		"counters":     func(b []byte) error { _, err := ParseCounters(b); return err },
		"operations":   func(b []byte) error { _, err := ParseOperations(b); return err },
		"certificates": func(b []byte) error { _, err := ParseCertificates(b); return err },
	} {
		if err := parse([]byte("{")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if err := parse([]byte("{}")); err != nil {
			t.Errorf("%s, empty: %v", name, err)
		}
	}
}
