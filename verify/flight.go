package verify

import (
	"context"
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
)

const (
	ports = 65535
	// batch is how many ports are probed between two looks at the fabric's counters.
	batch = 8192
	// quiet is how long nothing must arrive before a round counts as over.
	quiet = 4 * time.Millisecond
	// patience is how long packets that neither arrived nor were counted as dropped are
	// waited for.
	patience = 500 * time.Millisecond
	// parts is into how many parts a range is split to find the ports that lose probes,
	// and searches how many ranges of a flight are: after that they stay unknown.
	parts    = 16
	searches = 32
)

// flight is the probes of one protocol from one place to another.
type flight struct {
	src, dst local.Place
	protocol contract.Protocol
	token    uint32
	// sport is the first round's source port; each round has the next one, so that every
	// probe is a new flow.
	sport  uint16
	rounds int
	// patience is the constant, but in tests.
	patience time.Duration
	// arrived and answered have bit n set where round n's probe to that port was.
	arrived, answered []atomic.Uint32
	seen              atomic.Int64
	// missing are the sent probes of a port's batch that neither arrived nor were dropped
	// by a counted rule.
	missing  []int
	searches int
	sent     int
	dropped  uint64
	foreign  uint64 // dropped packets that were not ours
}

func newFlight(src, dst local.Place, protocol contract.Protocol, token uint32, sport uint16, rounds int) *flight {
	return &flight{
		src: src, dst: dst, protocol: protocol, token: token, sport: sport, rounds: rounds, patience: patience, searches: searches,
		arrived: make([]atomic.Uint32, ports+1), answered: make([]atomic.Uint32, ports+1), missing: make([]int, ports+1),
	}
}

// note takes down a packet; it tells whether it is one of the flight's probes at its goal.
func (f *flight) note(p packet) (arrival bool) {
	if p.protocol != f.protocol {
		return false
	}
	if !p.reply {
		round := int(p.sport) - int(f.sport)
		if p.src != f.src.Address || p.dst != f.dst.Address || p.token != f.token || round < 0 || round >= f.rounds {
			return false
		}
		f.seen.Add(1)
		f.arrived[p.dport].Or(1 << round)
		return true
	}
	round := int(p.dport) - int(f.sport)
	if p.src != f.dst.Address || p.dst != f.src.Address || p.token != f.token || round < 0 || round >= f.rounds {
		return false
	}
	f.seen.Add(1)
	f.answered[p.sport].Or(1 << round)
	return false
}

// fly sends all probes. drops reads how many packets the rules between the two have
// dropped since they were loaded.
func (f *flight) fly(ctx context.Context, send func(packet) error, drops func() (uint64, error)) error {
	for first := 1; first <= ports; first += batch {
		if err := f.probe(ctx, first, min(first+batch-1, ports), send, drops); err != nil {
			return err
		}
	}
	return nil
}

// probe sends the probes of a range that have no answer yet. Where some of them are
// missing it probes smaller and smaller parts of the range anew: that finds the ports
// which lose packets without a counter, and clears those that merely had bad luck.
func (f *flight) probe(ctx context.Context, first, last int, send func(packet) error, drops func() (uint64, error)) error {
	before, err := drops()
	if err != nil {
		return err
	}
	var asked []int
	for port := first; port <= last; port++ {
		if f.answered[port].Load() == 0 {
			asked = append(asked, port)
			f.arrived[port].Store(0)
		}
	}
	sent := 0
	for round := range f.rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		here := 0
		for _, port := range asked {
			if f.answered[port].Load() != 0 {
				continue
			}
			if err := send(packet{
				src: f.src.Address, dst: f.dst.Address, protocol: f.protocol,
				sport: f.sport + uint16(round), dport: uint16(port), token: f.token,
			}); err != nil {
				return fmt.Errorf("send a probe from %s: %w", f.src.Name, err)
			}
			here++
		}
		if sent += here; here > 0 {
			f.settle()
		}
	}
	missing, err := f.account(asked, sent, before, drops)
	if err != nil {
		return err
	}
	for _, port := range asked {
		f.missing[port] = missing
	}
	if missing == 0 || first == last || f.searches == 0 {
		return nil
	}
	f.searches--
	part := (last - first + parts) / parts
	for ; first <= last; first += part {
		if err := f.probe(ctx, first, min(first+part-1, last), send, drops); err != nil {
			return err
		}
	}
	return nil
}

// settle waits till no more packets come in.
func (f *flight) settle() {
	for still := 0; still < 2; {
		n := f.seen.Load()
		time.Sleep(quiet / 2)
		if f.seen.Load() == n {
			still++
		} else {
			still = 0
		}
	}
}

// account compares what was sent with what arrived or was dropped by a counted rule, and
// waits for packets that are still to be read.
func (f *flight) account(asked []int, sent int, before uint64, drops func() (uint64, error)) (missing int, err error) {
	for end := time.Now().Add(f.patience); ; time.Sleep(quiet) {
		after, err := drops()
		if err != nil {
			return 0, err
		}
		arrived := 0
		for _, port := range asked {
			arrived += bits.OnesCount32(f.arrived[port].Load())
		}
		gone := after - before
		missing = sent - arrived - int(gone)
		if missing <= 0 || time.Now().After(end) {
			f.sent += sent
			f.dropped += gone
			f.foreign += uint64(max(-missing, 0))
			return max(missing, 0), nil
		}
	}
}

// observe is what the flight says of a port.
func (f *flight) observe(port int) State {
	return judge(f.arrived[port].Load() != 0, f.answered[port].Load() != 0, f.missing[port])
}
