package checkpoint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What the walk holds the checkpointers to, in seconds.
const (
	// boundAPI: with most machines on, there is an API server again, whatever has happened.
	boundAPI = 30
	// boundHung is more: till what hangs is ended, and started again for the second time.
	boundHung = lively + 10 + 4
	// boundLead: and somebody leads, once there is one.
	boundLead = 32
	// boundLeadHung is more: till who hangs is ended, started for the second time, and the
	// lease is nobody's.
	boundLeadHung = lively + 10 + 1 + leaseLasts + 2
	// boundGone: a stand-in is not there beside a real pod that is ready and stays so.
	boundGone = 12
)

// checkpointers has each machine's decide and act, and checks each decision. Static pods
// need two seconds after boot.
func (w *world) checkpointers() error {
	for _, m := range w.machines {
		if !m.powered || w.now < m.booted+2*sec {
			continue
		}
		for _, c := range all {
			l := w.look(m, c)
			d := decide(m.trackers[c].State(time.Time{}.Add(time.Hour+time.Duration(w.now)*tick), l))
			has := m.disk[c]
			if err := w.allowed(m, c, d); err != nil {
				return err
			}
			if d.Refresh {
				has.checkpoint = true
			}
			switch d.Action {
			case activate:
				has.active = true
			case deactivate:
				has.active = false
			case remove:
				has = stored{}
				m.removed = append(m.removed, c)
			}
			m.disk[c] = has
			if d.Action != leave {
				m.acted = w.now
				w.log("%s: %s %s: %s", m.name, d.Action, c, d.Reason)
			}
			if d.Action == activate {
				if m.begun[c]++; m.begun[c] > 2 {
					return fmt.Errorf("%s starts the stand-in of %s again and again", m.name, c)
				}
			}
			if err := w.goes(m, c, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// allowed checks a decision against what is really so, which the checkpointer cannot see.
func (w *world) allowed(m *machine, c string, d decision) error {
	real := m.real[c]
	switch d.Action {
	case activate:
		if real.works(w.now) && (c == server && w.inQuorum(m) || c != server && w.podReady(m, c)) {
			return fmt.Errorf("%s starts a stand-in of %s beside a real one that is ready", m.name, c)
		}
	case deactivate:
		if !m.disk[c].checkpoint {
			return fmt.Errorf("%s ends a stand-in of %s without a checkpoint", m.name, c)
		}
		works := slices.ContainsFunc(w.machines, func(x *machine) bool {
			return x.powered && x.real[server].works(w.now) && (x == m || !w.masters[m.name] && w.inQuorum(x))
		})
		if c == server && !works {
			return fmt.Errorf("%s ends the stand-in of %s, but no real one works", m.name, c)
		}
	case remove:
		if w.masters[m.name] {
			return fmt.Errorf("%s removes the checkpoint of %s, but is a master", m.name, c)
		}
		for _, x := range w.machines {
			// Who led till a moment ago still seems to: nobody can know sooner that he is away.
			seems := !x.powered && w.now-x.off < int(unrenewed/tick)
			if x != m && (w.serves(x) || c != server && (w.inQuorum(x) || seems)) && (x.disk[c].checkpoint || x.disk[c].active) {
				return nil
			}
		}
		return fmt.Errorf("%s removes the checkpoint of %s, the last way back", m.name, c)
	}
	return nil
}

// podReady is what the API says of this machine's pod, where it is the one that runs.
func (w *world) podReady(m *machine, c string) bool {
	for _, p := range w.pods {
		if p.component == c && p.node == m.name && p.ready && m.real[c] != nil && m.real[c].uid == p.uid {
			return w.reaches(m)
		}
	}
	return false
}

// goes checks that a stand-in goes when it is not needed any more.
func (w *world) goes(m *machine, c string, l look) error {
	fine := l.Real == processReady && m.disk[c].active && (c == server || w.leads(c))
	if !fine {
		m.fine[c] = 0
		return nil
	}
	if m.fine[c]++; m.fine[c] > boundGone*sec {
		return fmt.Errorf("%s keeps the stand-in of %s beside a real one that is ready", m.name, c)
	}
	return nil
}

// walk is one run of the model.
type walk struct {
	w *world
	// down and headless are for how long there has been no API, and nobody who leads.
	down     int
	headless map[string]int
}

// advance lets time pass and checks what must hold at every moment.
func (x *walk) advance(seconds int) error {
	w := x.w
	for range seconds * sec {
		w.step()
		if err := w.checkpointers(); err != nil {
			return err
		}
		quorum := false
		for _, m := range w.machines {
			quorum = quorum || w.inQuorum(m) && m.disk[server].checkpoint
		}
		if x.down++; !quorum || w.apiUp() {
			x.down = 0
		}
		boundAPI, boundLead := boundAPI, boundLead
		if w.hung {
			boundAPI, boundLead = boundHung, boundLeadHung
		}
		if min(x.down, w.now-w.lastEvent) > boundAPI*sec {
			return fmt.Errorf("no API server for %d s", x.down/sec)
		}
		for _, c := range all[1:] {
			// A machine that was no master for some time has a checkpoint again only after a real
			// pod has run there.
			way := slices.ContainsFunc(w.machines, func(m *machine) bool {
				return w.inQuorum(m) && (m.disk[c].checkpoint || m.real[c] != nil || m.standIn[c] != nil)
			})
			if x.headless[c]++; !way || !w.apiUp() || w.leads(c) {
				x.headless[c] = 0
			}
			if min(x.headless[c], w.now-w.lastEvent) > boundLead*sec {
				return fmt.Errorf("nobody leads as %s for %d s", c, x.headless[c]/sec)
			}
		}
	}
	return nil
}

// event notes that something has happened: bounds count from there. What hung before may
// still do.
func (w *world) event() {
	w.lastEvent, w.hung = w.now, false
	for _, m := range w.machines {
		clear(m.begun)
		for _, c := range all {
			for _, p := range []*process{m.real[c], m.standIn[c]} {
				w.hung = w.hung || p != nil && p.hangs > w.now
			}
		}
	}
}

// end puts everything right, lets it settle and checks that nothing is left of the trouble.
func (x *walk) end() error {
	w := x.w
	w.log("-- everything is put right")
	for _, m := range w.machines {
		m.cut = false
		if !m.powered {
			w.powerOn(m)
		}
	}
	w.event()
	if err := x.advance(40); err != nil {
		return err
	}
	for _, m := range w.machines {
		w.masters[m.name] = true
	}
	for _, c := range all {
		w.objects[c], w.bad[c] = true, false
	}
	w.event()
	if err := x.advance(300); err != nil {
		return err
	}
	for _, m := range w.machines {
		if w.now-m.acted < 60*sec {
			return fmt.Errorf("%s still acts after all is well", m.name)
		}
		for _, c := range all {
			// Once removed, it comes back with a real pod, which is not on each master.
			removed := m.disk[c] == stored{} && m.real[c] == nil && slices.Contains(m.removed, c)
			if m.disk[c] != (stored{checkpoint: true}) && !removed {
				return fmt.Errorf("%s: %s is %+v on disk after all is well", m.name, c, m.disk[c])
			}
		}
	}
	for _, c := range all {
		want := w.each
		if c == server {
			want = len(w.machines)
		}
		for _, m := range w.machines {
			if m.real[c].works(w.now) {
				want--
			}
		}
		if want != 0 {
			return fmt.Errorf("%d real pods of %s are missing after all is well", want, c)
		}
	}
	return nil
}

// TestRandomWalk has everything happen to clusters of one to three masters, from first boot
// on: never a stand-in started beside a real pod that is ready, never no API server for
// longer than the bound, never the last way back removed; stand-ins go when the real pods
// are there; nothing goes to and fro when all is well.
func TestRandomWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.SampledFrom([]int{1, 3, 2}).Draw(t, "masters"))
		w.each = rapid.IntRange(1, len(w.machines)).Draw(t, "pods of a deployment")
		x := &walk{w: w, headless: map[string]int{}}
		fail := func(err error) {
			if err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(w.trace, "\n"))
			}
		}
		if rapid.Bool().Draw(t, "settled") {
			fail(x.advance(120))
		}
		for range rapid.IntRange(0, 12).Draw(t, "events") {
			e := rapid.SampledFrom(events).Draw(t, "event")
			m := rapid.SampledFrom(w.machines).Draw(t, "machine")
			c := rapid.SampledFrom(all).Draw(t, "component")
			w.log("-- %s (%s, %s)", e.name, m.name, c)
			w.event()
			e.do(w, m, c)
			fail(x.advance(rapid.SampledFrom([]int{1, 2, 5, 12, 35, 100, 200}).Draw(t, "wait")))
		}
		fail(x.end())
	})
}

// TestFirstBoot protects the pivot: temporary pods at first, real ones in the end, and no
// second without an API server in between.
func TestFirstBoot(t *testing.T) {
	for _, masters := range []int{1, 3, 5} {
		w := newWorld(masters)
		x := &walk{w: w, headless: map[string]int{}}
		up := false
		for range 150 {
			if err := x.advance(1); err != nil {
				t.Fatalf("%d masters: %v\n%s", masters, err, strings.Join(w.trace, "\n"))
			}
			if up && !w.apiUp() {
				t.Fatalf("%d masters: the API was away in the pivot\n%s", masters, strings.Join(w.trace, "\n"))
			}
			up = w.apiUp()
		}
		if err := x.end(); err != nil {
			t.Fatalf("%d masters: %v\n%s", masters, err, strings.Join(w.trace, "\n"))
		}
	}
}

// TestDaemonSetDeleted protects the hardest loss: the API servers' DaemonSet is deleted, so
// that they all end, the last with nobody left to ask. A stand-in comes, the DaemonSet is
// put back through it, and the real ones take over.
func TestDaemonSetDeleted(t *testing.T) {
	for _, masters := range []int{1, 3} {
		w := newWorld(masters)
		x := &walk{w: w, headless: map[string]int{}}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%d masters: %v\n%s", masters, err, strings.Join(w.trace, "\n"))
			}
		}
		must(x.advance(120))
		w.objects[server] = false
		w.event()
		away := 0
		for range 15 * sec {
			w.step()
			must(w.checkpointers())
			if !w.apiUp() {
				away++
			}
		}
		if away == 0 || away > 10*sec || !w.apiUp() {
			t.Errorf("%d masters: the API was away for %d ticks, and is up: %t\n%s", masters, away, w.apiUp(), strings.Join(w.trace, "\n"))
		}
		must(x.end())
	}
}

// TestHungServer protects from a real API server that hangs: alone, it is away until the
// kubelet has ended it; beside a stand-in, it is ended all the same, and meanwhile nobody
// waits for it. The other way round it is the stand-in that is taken away, at once.
func TestHungServer(t *testing.T) {
	for _, test := range []struct {
		name          string
		real, standIn bool // which of them hang, where there are both
		alone         bool
		away          int // for how many seconds at most
	}{
		{"the only one", true, false, true, lively + 5},
		{"the real one", true, false, false, 0},
		{"the stand-in", false, true, false, 5},
	} {
		w := newWorld(1)
		x := &walk{w: w, headless: map[string]int{}}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v\n%s", test.name, err, strings.Join(w.trace, "\n"))
			}
		}
		must(x.advance(120))
		m := w.machines[0]
		if !test.alone {
			m.standIn[server] = &process{starts: w.now - 10*sec}
			m.disk[server] = stored{checkpoint: true, active: true}
		}
		w.event()
		if test.real {
			w.hang(m.real[server])
		}
		if test.standIn {
			w.hang(m.standIn[server])
		}
		away := 0
		for range 60 * sec {
			w.step()
			must(w.checkpointers())
			if !w.apiUp() {
				away++
			}
		}
		if away > test.away*sec || m.standIn[server] != nil || !m.real[server].works(w.now) {
			t.Errorf("%s: the API was away for %d s; a stand-in: %t, the real one works: %t\n%s", test.name, away/sec,
				m.standIn[server] != nil, m.real[server].works(w.now), strings.Join(w.trace, "\n"))
		}
		must(x.end())
	}
}
