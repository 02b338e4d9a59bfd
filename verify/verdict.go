package verify

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
)

// judge says what the probes of a port show. Silence alone shows nothing, as a probe can
// get lost on a busy host: a port is closed where the fabric's counters have the drop of
// every probe that did not arrive.
func judge(arrived, answered bool, missing int) State {
	switch {
	case answered:
		return Open
	case arrived || missing > 0:
		return Unknown
	}
	return Closed
}

// finding is what one port's rules and probes say.
type finding struct {
	expected, observed State
	clauses            []string
	// because is why observed is unknown, or why the two ways of asking differ.
	because string
}

func (f finding) equal(g finding) bool {
	return f.expected == g.expected && f.observed == g.observed && f.because == g.because && slices.Equal(f.clauses, g.clauses)
}

// run is a contiguous range of ports with one finding.
type run struct {
	contract.PortRange
	finding
}

// merge joins the findings of ports 1 to last into as few ranges as there can be.
func merge(last int, of func(port uint16) finding) []run {
	var runs []run
	for port := 1; port <= last; port++ {
		f := of(uint16(port))
		if n := len(runs); n > 0 && runs[n-1].equal(f) {
			runs[n-1].Last = uint16(port)
			continue
		}
		runs = append(runs, run{contract.PortRange{First: uint16(port), Last: uint16(port)}, f})
	}
	return runs
}

// count adds a check to the summary.
func (s *Summary) count(c Check) {
	switch {
	case c.Observed == Unknown:
		s.Unknown++
	case c.Observed == c.Expected:
		s.Passed++
	default:
		s.Failed++
	}
}

// count adds a range to the pair's figures.
func (p *Pair) count(r run) {
	n := int(r.Last) - int(r.First) + 1
	if r.expected == Open {
		p.OpenExpected += n
	} else {
		p.ClosedExpected += n
	}
	switch {
	case r.observed == Unknown:
		p.Unknown += n
	case r.observed == Open:
		p.OpenObserved += n
	default:
		p.ClosedObserved += n
	}
	if r.observed != Unknown && r.observed != r.expected {
		p.Mismatches += n
	}
}

func (f *flight) evidence(r run, counters []string, tried int) string {
	var s string
	switch r.observed {
	case Open:
		s = "a probe to each port arrived and was answered"
	case Closed:
		s = fmt.Sprintf("%d probes to each port: none arrived, and the fabric counted their drops (%s)", f.rounds, strings.Join(counters, ", "))
	default:
		return r.because
	}
	if tried > 0 {
		s += fmt.Sprintf("; %d of the ports tried with ordinary sockets too", tried)
	}
	return s
}
