// Package verify asks whether what is, is what the plan says. Live sends probes to every
// port of a running cluster's machines, from every kind of peer, and compares what the
// fabric lets through with what the plan allows. Static reads rules instead, and decides
// about every packet without sending one.
//
// It changes nothing: it starts no service on a machine, touches no rule, and sends only
// between the namespaces of the cluster. It decides nothing about what should be open
// (package plan does).
package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// State is how a port is.
type State string

// A port is open where packets pass and answers come back, closed where they are dropped.
const (
	Open    State = "open"
	Closed  State = "closed"
	Unknown State = "unknown"
)

// Verification is what was asked and found.
type Verification struct {
	Kind    string  `json:"kind"`
	Checks  []Check `json:"checks"`
	Summary Summary `json:"summary"`
	Pairs   []Pair  `json:"pairs"`
	// NotUnderstood is what a reader of rules did not understand outside of rules; each
	// counts as unknown.
	NotUnderstood []string `json:"notUnderstood,omitempty"`
}

// Check is one range of ports between two places.
type Check struct {
	ID string `json:"id"`
	// Clause holds the ids of the clauses that open the ports, with commas; "" where none does.
	Clause string `json:"clause"`
	// Machine is the one whose rules decide, the receiver where both are; Peer is the other.
	Machine     string             `json:"machine"`
	Peer        string             `json:"peer"`
	Source      string             `json:"source"`
	Destination string             `json:"destination"`
	Protocol    contract.Protocol  `json:"protocol"`
	Ports       contract.PortRange `json:"ports"`
	Expected    State              `json:"expected"`
	Observed    State              `json:"observed"`
	Evidence    string             `json:"evidence"`
}

// Summary counts checks.
type Summary struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
}

// Pair counts the ports of one protocol from one place to another.
type Pair struct {
	Source         string            `json:"source"`
	Destination    string            `json:"destination"`
	Protocol       contract.Protocol `json:"protocol"`
	OpenExpected   int               `json:"openExpected"`
	OpenObserved   int               `json:"openObserved"`
	ClosedExpected int               `json:"closedExpected"`
	ClosedObserved int               `json:"closedObserved"`
	Unknown        int               `json:"unknown"`
	Mismatches     int               `json:"mismatches"`
	// Sent are the probes, Dropped what the rules between the two dropped meanwhile, and
	// Foreign how many of those were others' packets.
	Sent    int    `json:"sent"`
	Dropped uint64 `json:"dropped"`
	Foreign uint64 `json:"foreign"`
	// Connections is how many ports were tried with ordinary sockets too.
	Connections int     `json:"connections"`
	Seconds     float64 `json:"seconds"`
}

// Platform is what probes need of the embedded platform.
type Platform interface {
	Places(*plan.Plan) ([]local.Place, error)
	In(namespace string, f func() error) error
	Counters(context.Context) (clauses, drops map[string]nftables.Count, err error)
	Forget(src, dst local.Place, sourcePorts func(uint16) bool) error
}

var _ Platform = (*local.Platform)(nil)

// Options are what Live is told. The zero value probes everything.
type Options struct {
	// Rounds is how often a port that does not answer is probed; 0 means 3, at most 8.
	Rounds int
	// Random is how many ports, besides the rules' boundaries, are tried with ordinary
	// sockets; 0 means 20, and below 0 nothing is tried with them.
	Random int
	// Between limits the pairs; nil is all of them.
	Between func(src, dst local.Place) bool
	// Progress is told each pair before it is probed; it may be nil.
	Progress func(sentence string)
}

// The probes' source ports are outside of those that kernels give to connections.
const firstSource, lastSource = 61000, 64999

// Live probes every port, tcp and udp, between all places of which one is a machine, and
// between the user network and the outside. The error is of the probing itself: what it
// finds is in the result.
func Live(ctx context.Context, p Platform, pl *plan.Plan, opt Options) (*Verification, error) {
	if opt.Rounds == 0 {
		opt.Rounds = 3
	}
	if opt.Rounds < 1 || opt.Rounds > 8 {
		return nil, fmt.Errorf("%d rounds of probes: expected 1 to 8", opt.Rounds)
	}
	places, err := p.Places(pl)
	if err != nil {
		return nil, err
	}
	v := &prober{platform: p, plan: pl, opt: opt, stations: map[string]*station{}, source: firstSource + rand.IntN(lastSource-firstSource)}
	defer v.close()
	for _, place := range places {
		if v.stations[place.Namespace] != nil {
			continue
		}
		s, err := openStation(p, place, v.see)
		if err != nil {
			return nil, err
		}
		v.stations[place.Namespace] = s
	}
	pairs := pairsOf(places, opt.Between)
	tried, err := v.connections(ctx, pairs)
	if err != nil {
		return nil, err
	}
	result := &Verification{Kind: "Verification", Checks: []Check{}, Pairs: []Pair{}}
	for _, pair := range pairs {
		if opt.Progress != nil {
			opt.Progress(fmt.Sprintf("probing %d ports, tcp and udp, from %s to %s", ports, pair.src.Name, pair.dst.Name))
		}
		for _, protocol := range []contract.Protocol{contract.TCP, contract.UDP} {
			if err := v.pair(ctx, result, pair, protocol, tried); err != nil {
				return nil, err
			}
		}
	}
	return result, nil
}

// pair is two places, in order.
type pair struct{ src, dst local.Place }

// pairsOf leaves out what no packet of goes through the fabric, and what the plan has no
// word on, but for the user network and the outside, which nothing is to keep apart.
func pairsOf(places []local.Place, between func(src, dst local.Place) bool) []pair {
	var pairs []pair
	for _, src := range places {
		for _, dst := range places {
			end := func(p local.Place) bool { return p.Role != "" || p.Name == p.Namespace && p.Name != "balancer" }
			if src.Namespace == dst.Namespace || src.Role == "" && dst.Role == "" && !(end(src) && end(dst)) {
				continue
			}
			if between == nil || between(src, dst) {
				pairs = append(pairs, pair{src, dst})
			}
		}
	}
	return pairs
}

type prober struct {
	platform Platform
	plan     *plan.Plan
	opt      Options
	stations map[string]*station
	source   int
	current  atomic.Pointer[flight]
}

func (v *prober) close() {
	for _, s := range v.stations {
		s.close()
	}
}

// see is called by each station for what arrives there.
func (v *prober) see(s *station, p packet) {
	f := v.current.Load()
	if f == nil || !f.note(p) || p.protocol != contract.UDP {
		return
	}
	// Kernels answer few UDP packets a second with ICMP, and services as they like. An
	// answer that is lost is asked for again by the next round.
	b := make([]byte, maxFrame)
	_ = s.send(b, packet{
		src: p.dst, dst: p.src, protocol: p.protocol, sport: p.dport, dport: p.sport, reply: true, token: p.token,
	})
}

func (v *prober) pair(ctx context.Context, result *Verification, q pair, protocol contract.Protocol, tried map[trial]State) error {
	start := time.Now()
	if v.source+v.opt.Rounds > lastSource {
		v.source = firstSource
	}
	f := newFlight(q.src, q.dst, protocol, rand.Uint32(), uint16(v.source), v.opt.Rounds)
	v.source += v.opt.Rounds
	var counters []string
	if q.src.Role != "" {
		counters = append(counters, q.src.Role+"."+string(contract.Egress))
	}
	if q.dst.Role != "" {
		counters = append(counters, q.dst.Role+"."+string(contract.Ingress))
	}
	v.current.Store(f)
	from, b := v.stations[q.src.Namespace], make([]byte, maxFrame)
	err := f.fly(ctx, func(p packet) error { return from.send(b, p) }, func() (n uint64, err error) {
		_, drops, err := v.platform.Counters(ctx)
		for _, c := range counters {
			n += drops[c].Packets
		}
		return n, err
	})
	v.current.Store(nil)
	mine := func(port uint16) bool { return port >= f.sport && port < f.sport+uint16(f.rounds) }
	if forgetErr := v.platform.Forget(q.src, q.dst, mine); err == nil {
		err = forgetErr
	}
	if err != nil {
		return err
	}
	figures := Pair{Source: q.src.Name, Destination: q.dst.Name, Protocol: protocol, Sent: f.sent, Dropped: f.dropped, Foreign: f.foreign}
	for _, r := range merge(ports, func(port uint16) finding { return v.find(f, port, tried) }) {
		n := 0
		for port := int(r.First); port <= int(r.Last); port++ {
			if _, ok := tried[trial{q.src.Name, q.dst.Name, protocol, uint16(port)}]; ok {
				n++
			}
		}
		machine, peer := q.dst, q.src
		if machine.Role == "" {
			machine, peer = peer, machine
		}
		c := Check{
			ID:     fmt.Sprintf("%s>%s/%s/%s", q.src.Name, q.dst.Name, protocol, r.PortRange),
			Clause: strings.Join(r.clauses, ","), Machine: machine.Name, Peer: peer.Name,
			Source: q.src.Name, Destination: q.dst.Name, Protocol: protocol, Ports: r.PortRange,
			Expected: r.expected, Observed: r.observed, Evidence: f.evidence(r, counters, n),
		}
		result.Checks = append(result.Checks, c)
		result.Summary.count(c)
		figures.count(r)
		figures.Connections += n
	}
	figures.Seconds = time.Since(start).Seconds()
	result.Pairs = append(result.Pairs, figures)
	return nil
}

// find is what plan, probes and connections say of a port.
func (v *prober) find(f *flight, port uint16, tried map[trial]State) finding {
	allowed, clauses := v.plan.Allows(f.src.Address, f.dst.Address, f.protocol, port)
	r := finding{expected: Closed, observed: f.observe(int(port)), clauses: clauses}
	if allowed {
		r.expected = Open
	}
	if r.observed == Unknown {
		r.because = "no probe arrived, and the fabric has not counted the drop of each"
		if f.arrived[port].Load() != 0 {
			r.because = "probes arrived, but no answer came back"
		}
		return r
	}
	if got, ok := tried[trial{f.src.Name, f.dst.Name, f.protocol, port}]; ok && got != r.observed {
		r.because = fmt.Sprintf("probes find it %s, ordinary sockets find it %s", r.observed, got)
		r.observed = Unknown
	}
	return r
}
