package bootstrap

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// TestJournal protects what people see of an operation: how far it is, and how it ended; of
// several, each once. An API that does not answer holds nothing up.
func TestJournal(t *testing.T) {
	client := fake.NewClientset()
	var told []string
	c := &Cluster{Dir: t.TempDir(), opt: Options{Progress: func(s string) { told = append(told, s) }}}
	read := func() []inventory.Operation {
		t.Helper()
		held, err := client.CoreV1().ConfigMaps(manifests.System).Get(context.Background(), manifests.OperationsConfigMap, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if held.Labels[manifests.PlatformLabel] != "true" {
			t.Error("it is not marked as the platform's")
		}
		all, err := inventory.ParseOperations([]byte(held.Data[manifests.OperationsKey]))
		if err != nil {
			t.Fatal(err)
		}
		return all.Operations
	}

	j := c.journal("up", []string{"one", "two"})
	j.step(1)
	if j.client != nil {
		t.Error("it writes to a cluster that has no API yet")
	}
	j.client = client
	c.opt.say("waiting for %s", "somebody")
	j.write()
	if got := read(); len(got) != 1 || got[0].Step != 1 || got[0].Now != "waiting for somebody" || !got[0].Ended.IsZero() {
		t.Errorf("while it runs: %+v", got)
	}
	j.end(errors.New("the disk is full"))
	if got := read(); len(got) != 1 || got[0].Failed != "the disk is full" || got[0].Ended.IsZero() {
		t.Errorf("after it failed: %+v", got)
	}
	if len(told) != 1 {
		t.Errorf("others were told %q", told)
	}

	// One whose every write fails.
	client.PrependReactor("update", "configmaps", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no answer")
	})
	j = c.journal("replace x", nil)
	j.client = client
	j.end(nil)
	if got := read(); len(got) != 1 {
		t.Errorf("a failed write shows: %+v", got)
	}
	client.ReactionChain = client.ReactionChain[1:]
	j = c.journal("replace y", nil)
	j.client = client
	j.end(nil)
	if got := read(); len(got) != 2 || got[0].What != "replace y" || got[0].Failed != "" {
		t.Errorf("two: %+v", got)
	}
}
