package verify

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
)

// world is a fabric, two ends and a counter in memory.
type world struct {
	f       *flight
	dropped uint64
	// of says what happens to a probe of a port in a round.
	of func(port uint16, round int) fate
}

type fate int

const (
	passes       fate = iota // arrives and is answered
	unheard                  // arrives, and its answer does not
	drops                    // is dropped and counted
	disappears               // is dropped and not counted
	dropsForeign             // is dropped and counted, as is another's packet
)

func (w *world) send(p packet) error {
	back := p
	back.src, back.dst, back.sport, back.dport, back.reply = p.dst, p.src, p.dport, p.sport, true
	switch w.of(p.dport, int(p.sport-w.f.sport)) {
	case passes:
		w.f.note(p)
		w.f.note(back)
	case unheard:
		w.f.note(p)
	case drops:
		w.dropped++
	case dropsForeign:
		w.dropped += 2
	}
	return nil
}

func fly(t *testing.T, of func(port uint16, round int) fate) *flight {
	src := local.Place{Name: "a", Address: netip.MustParseAddr("10.0.0.2")}
	dst := local.Place{Name: "b", Address: netip.MustParseAddr("10.32.0.10")}
	w := &world{f: newFlight(src, dst, contract.TCP, 77, 61000, 3), of: of}
	w.f.patience = time.Millisecond // nothing comes in late here
	if err := w.f.fly(t.Context(), w.send, func() (uint64, error) { return w.dropped, nil }); err != nil {
		t.Fatal(err)
	}
	return w.f
}

func states(f *flight) map[State][]int {
	found := map[State][]int{}
	for port := 1; port <= ports; port++ {
		s := f.observe(port)
		found[s] = append(found[s], port)
	}
	return found
}

// A port is told open or closed only where that was seen, to the port, at both ends of the
// range of ports and of the batches.
func TestFlight(t *testing.T) {
	open := []uint16{1, 443, batch, batch + 1, ports}
	silent, lossy := uint16(8472), uint16(20000)
	for name, test := range map[string]struct {
		of      func(port uint16, round int) fate
		unknown []int
	}{
		"as it should be": {func(uint16, int) fate { return drops }, nil},
		"the first two rounds are lost, and not counted": {func(port uint16, round int) fate {
			if port == lossy && round < 2 {
				return disappears
			}
			return drops
		}, []int{int(lossy)}},
		"nothing comes back from a port": {func(port uint16, _ int) fate {
			if port == silent {
				return unheard
			}
			return drops
		}, []int{int(silent)}},
		"a port is dropped and not counted": {func(port uint16, _ int) fate {
			if port == lossy {
				return disappears
			}
			return drops
		}, []int{int(lossy)}},
	} {
		t.Run(name, func(t *testing.T) {
			found := states(fly(t, func(port uint16, round int) fate {
				if slices.Contains(open, port) {
					return passes
				}
				return test.of(port, round)
			}))
			if !slices.Equal(found[Open], []int{1, 443, batch, batch + 1, ports}) {
				t.Errorf("open: %v", found[Open])
			}
			if !slices.Equal(found[Unknown], test.unknown) {
				t.Errorf("unknown: %v, expected %v", found[Unknown], test.unknown)
			}
			if n := len(found[Closed]); n != ports-len(open)-len(test.unknown) {
				t.Errorf("%d are closed", n)
			}
		})
	}
}

// A probe that got lost once is no finding: the range is asked anew.
func TestFlightLosesOne(t *testing.T) {
	asked := 0
	found := states(fly(t, func(port uint16, _ int) fate {
		if port == 5000 {
			if asked++; asked == 1 {
				return disappears
			}
		}
		return drops
	}))
	if len(found[Closed]) != ports {
		t.Errorf("unknown: %v, open: %v", found[Unknown], found[Open])
	}
	if asked < 4 {
		t.Errorf("the port was asked %d times, though a probe was missing", asked)
	}
}

// An open port whose first probes are lost is open; what others drop meanwhile is noted.
func TestFlightRounds(t *testing.T) {
	f := fly(t, func(port uint16, round int) fate {
		switch {
		case port == 443 && round < 2:
			return disappears
		case port == 443:
			return passes
		case port == 444 && round == 0:
			return dropsForeign
		}
		return drops
	})
	if f.observe(443) != Open {
		t.Errorf("443 is %s", f.observe(443))
	}
}

// Packets of another flight, or of nobody's, are not taken for the flight's own.
func TestNote(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.32.0.10")
	mine := packet{src: a, dst: b, protocol: contract.TCP, sport: 61002, dport: 22, token: 77}
	for name, change := range map[string]func(*packet){
		"":              func(*packet) {},
		"source":        func(p *packet) { p.src = b },
		"destination":   func(p *packet) { p.dst = a },
		"protocol":      func(p *packet) { p.protocol = contract.UDP },
		"token":         func(p *packet) { p.token++ },
		"round too low": func(p *packet) { p.sport = 60999 },
		"round too big": func(p *packet) { p.sport = 61003 },
		"direction":     func(p *packet) { p.reply = true },
	} {
		f := newFlight(local.Place{Address: a}, local.Place{Address: b}, contract.TCP, 77, 61000, 3)
		p := mine
		change(&p)
		if got := f.note(p); got != (name == "") {
			t.Errorf("another %s: taken for the flight's: %t", name, got)
		}
		if f.answered[22].Load() != 0 {
			t.Errorf("another %s: a probe was taken for an answer", name)
		}
	}
}
