package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
)

// infraPlan is a plan of a cluster without a load balancer.
func infraPlan(t *testing.T, masters, infra int) *plan.Plan {
	t.Helper()
	file := cluster.Default("demo")
	file.LoadBalancer, file.Masters, file.Infra, file.Workers = false, masters, infra, 1
	pl, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	return pl
}

// Names must lead to all who answer and to nobody else, but never to nobody at all.
func TestAnswering(t *testing.T) {
	const api, console = "demo-k8s.cluster.test", "demo.cluster.test"
	for _, c := range []struct {
		name   string
		silent []string
		want   map[string]string
	}{
		{"all answer", nil, map[string]string{api: "10.32.0.10 10.32.0.11 10.32.0.12", console: "10.32.0.20 10.32.0.21"}},
		{"a master is silent", []string{"10.32.0.11:443"}, map[string]string{api: "10.32.0.10 10.32.0.12", console: "10.32.0.20 10.32.0.21"}},
		{"an infra machine is silent", []string{"10.32.0.20:443"}, map[string]string{api: "10.32.0.10 10.32.0.11 10.32.0.12", console: "10.32.0.21"}},
		{"all infra machines are silent", []string{"10.32.0.20:443", "10.32.0.21:443"},
			map[string]string{api: "10.32.0.10 10.32.0.11 10.32.0.12", console: "10.32.0.20 10.32.0.21"}},
		{"only one is left", []string{"10.32.0.10:443", "10.32.0.12:443", "10.32.0.21:443"}, map[string]string{api: "10.32.0.11", console: "10.32.0.20"}},
	} {
		pl := infraPlan(t, 3, 2)
		before := fmt.Sprint(pl.Names)
		silent := map[netip.AddrPort]int{netip.MustParseAddrPort("10.32.0.10:443"): 0}
		for _, s := range c.silent {
			silent[netip.MustParseAddrPort(s)] = 1
		}
		for _, n := range answering(*pl, silent).Names {
			if got := strings.Join(n.Targets, " "); got != c.want[n.Name] {
				t.Errorf("%s: %s leads to %q, want %q", c.name, n.Name, got, c.want[n.Name])
			}
		}
		if fmt.Sprint(pl.Names) != before {
			t.Errorf("%s: the plan itself was changed", c.name)
		}
	}
}

// Only where there is a choice is anybody asked: masters by their API server's word, infra
// machines by their port for users.
func TestAskedOf(t *testing.T) {
	for _, c := range []struct {
		masters, infra int
		want           string
	}{
		{1, 1, ""},
		{1, 2, "10.32.0.20:443 10.32.0.21:443"},
		{3, 1, "10.32.0.10:443=demo-k8s.cluster.test 10.32.0.11:443=demo-k8s.cluster.test 10.32.0.12:443=demo-k8s.cluster.test"},
	} {
		all, err := askedOf(infraPlan(t, c.masters, c.infra))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range all {
			text := a.Address.String()
			if a.APIServer != "" {
				text += "=" + a.APIServer
			}
			got = append(got, text)
		}
		slices.Sort(got)
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%d masters, %d infra: asked are %q, want %q", c.masters, c.infra, text, c.want)
		}
	}
}

// testWatch is a watch of three masters of which those in down are silent.
func testWatch(t *testing.T) (w *watch, targets []netip.AddrPort, down map[netip.AddrPort]bool) {
	t.Helper()
	pl := infraPlan(t, 3, 1)
	all, err := askedOf(pl)
	if err != nil {
		t.Fatal(err)
	}
	targets, down = apiAddresses(pl), map[netip.AddrPort]bool{}
	w = &watch{
		spec: &gatewaySpec{
			Asked: all, Forward: []forward{{Port: 1, Targets: targets}},
			Zone: filepath.Join(t.TempDir(), "zone"), Names: plan.Plan{Network: pl.Network, Names: pl.Names},
		},
		ask: func(_ context.Context, a asked) error {
			if down[a.Address] {
				return errors.New("it is down")
			}
			return nil
		},
		heard: map[netip.AddrPort]int{}, silent: map[netip.AddrPort]int{}, ends: map[netip.AddrPort]map[int]func(){},
	}
	return w, targets, down
}

// askAll asks everybody once, one after another.
func (w *watch) askAll(ctx context.Context, number int) (changed bool) {
	for _, a := range w.spec.Asked {
		changed = w.question(ctx, a, number) || changed
	}
	return changed
}

// New connections and names must leave who is silent at once and come back at once. Old
// connections must end once he is silent again, and only where there is somebody else.
func TestWatch(t *testing.T) {
	w, targets, down := testWatch(t)
	ended, forgotten, number := 0, 0, 0
	w.onSilence(targets[0], func() { ended++ })
	w.onSilence(targets[0], func() { forgotten++ })()
	ask := func(changed bool, firsts ...int) {
		t.Helper()
		number++
		if got := w.askAll(t.Context(), number); got != changed {
			t.Errorf("changed: %t, want %t", got, changed)
		}
		var got []int
		for turn := range targets {
			got = append(got, slices.Index(targets, w.order(targets, turn)[0]))
		}
		if !slices.Equal(got, firsts) {
			t.Errorf("tried first are %v, want %v", got, firsts)
		}
		if n := len(w.order(targets, 0)); n != len(targets) {
			t.Errorf("only %d targets are tried", n)
		}
	}
	ask(false, 0, 1, 2)
	down[targets[0]] = true
	ask(true, 1, 1, 2)
	if ended != 0 {
		t.Error("a connection was ended after one missing answer")
	}
	down[targets[0]] = false
	ask(true, 0, 1, 2)
	down[targets[0]] = true
	ask(true, 1, 1, 2)
	ask(false, 1, 1, 2)
	if ended != 1 || forgotten != 0 {
		t.Errorf("%d connections were ended and %d that were over already, want 1 and 0", ended, forgotten)
	}
	// One that hangs still takes connections: whoever got through to it meanwhile is sent on.
	w.onSilence(targets[0], func() { ended++ })
	ask(false, 1, 1, 2)
	if ended != 2 {
		t.Error("a connection to one that was silent already was not ended")
	}
	down[targets[1]], down[targets[2]] = true, true
	w.onSilence(targets[1], func() { t.Error("a connection was ended, and there is nobody else to go to") })
	ask(true, 0, 1, 2)
	ask(false, 0, 1, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	down[targets[0]] = false
	if w.askAll(ctx, number+1) {
		t.Error("an answer was taken over though the asking was broken off")
	}
}

// Questions overlap: one that was asked earlier and comes to nothing later must not put
// silent who has answered since, nor the other way round.
func TestWatchLateAnswers(t *testing.T) {
	w, targets, _ := testWatch(t)
	for _, c := range []struct {
		number           int
		answers, changed bool
	}{
		{2, true, false}, {1, false, false}, {3, false, true}, {2, true, false}, {5, true, true}, {4, false, false},
	} {
		if got := w.learn(targets[0], c.number, c.answers); got != c.changed {
			t.Errorf("question %d, answer %t: changed %t, want %t", c.number, c.answers, got, c.changed)
		}
	}
}

// A question that hangs must hold up neither the next one nor those to others, nor the
// names: they follow within the time for an answer.
func TestWatchDoesNotWait(t *testing.T) { synctest.Test(t, testWatchDoesNotWait) }

func testWatchDoesNotWait(t *testing.T) {
	w, targets, _ := testWatch(t)
	if err := w.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.ask = func(ctx context.Context, a asked) error {
		if a.Address != targets[1] {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(answerWithin):
		}
		return errors.New("no answer")
	}
	ended := make(chan time.Duration, 1)
	w.onSilence(targets[1], func() { ended <- time.Since(began) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.run(ctx) }()
	took := <-ended
	if limit := answerWithin + askEvery*(cutAfter-1); took > limit {
		t.Errorf("a connection to one that hangs ends after %s, expected %s at most", took, limit)
	}
	zone, err := os.ReadFile(w.spec.Zone)
	if err != nil || strings.Contains(string(zone), "A\t"+targets[1].Addr().String()+"\n") {
		t.Errorf("the zone still has the one that hangs (%v)", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The zone has to be there before the gateway is, and has to follow who answers.
func TestWatchWritesZone(t *testing.T) {
	w, targets, down := testWatch(t)
	has := func(a netip.AddrPort) bool {
		t.Helper()
		zone, err := os.ReadFile(w.spec.Zone)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(zone), "A\t"+a.Addr().String()+"\n")
	}
	down[targets[1]] = true
	if err := w.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !has(targets[0]) || has(targets[1]) || !has(targets[2]) {
		t.Errorf("the zone has %t %t %t of the masters, want all but the second", has(targets[0]), has(targets[1]), has(targets[2]))
	}
	down[targets[1]] = false
	if !w.askAll(t.Context(), 1) {
		t.Error("no change was seen")
	}
	if err := w.writeZone(); err != nil || !has(targets[1]) {
		t.Errorf("the second master is back, but in the zone: %t (%v)", has(targets[1]), err)
	}
}
