package bootstrap

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// TestWriteCounters protects what people see of a clause's use: the packets of now, and since
// when they have not changed, also after whoever writes them was started anew. Counters that
// stand still are not written again and again.
func TestWriteCounters(t *testing.T) {
	client := fake.NewClientset()
	at := func(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }
	n := func(packets uint64) map[string]inventory.Count {
		return map[string]inventory.Count{"master.ingress.ssh": {Packets: packets, Bytes: packets * 60}}
	}
	var last *inventory.Counters
	for _, step := range []struct {
		second  int
		packets uint64
		anew    bool
		writes  int
		used    time.Time
	}{
		{1, 5, false, 1, at(1)},
		{2, 5, false, 0, at(1)},
		{3, 6, false, 1, at(3)},
		{4, 6, true, 0, at(3)}, // it read in the cluster what it had written
		{5, 7, false, 1, at(5)},
	} {
		if step.anew {
			last = nil
		}
		before := len(client.Actions())
		var err error
		if last, err = writeCounters(t.Context(), client, last, n(step.packets), n(step.packets), at(step.second)); err != nil {
			t.Fatal(err)
		}
		writes := 0
		for _, a := range client.Actions()[before:] {
			if a.GetVerb() == "create" || a.GetVerb() == "update" && step.second > 1 {
				writes++
			}
		}
		held, err := client.CoreV1().ConfigMaps(manifests.System).Get(t.Context(), manifests.CountersConfigMap, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := inventory.ParseCounters([]byte(held.Data[manifests.CountersKey]))
		if err != nil {
			t.Fatal(err)
		}
		if c := got.Clauses["master.ingress.ssh"]; c.Packets != step.packets || !c.Used.Equal(step.used) || writes != step.writes {
			t.Errorf("second %d: %+v after %d writes, want %d packets, used %v, %d writes", step.second, c, writes, step.packets, step.used, step.writes)
		}
	}
}
