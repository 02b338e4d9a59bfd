package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	passed   = "passed"
	failed   = "failed"
	unplayed = "not played"
)

// row is what became of a scenario, one line of the table. Times are in seconds.
type row struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	// Played is when, in UTC, Version and Commit what was played, and Bare how long bare etcd and
	// API server took to start just before.
	Played  string  `json:"played,omitempty"`
	Version string  `json:"version,omitempty"`
	Commit  string  `json:"commit,omitempty"`
	Bare    float64 `json:"bare,omitempty"`
	// Gap, Works and Ready are as in bounds. Settled is when no stand-in was left as well.
	Gap        float64 `json:"gap"`
	GapBound   float64 `json:"gapBound"`
	Works      float64 `json:"works"`
	WorksBound float64 `json:"worksBound"`
	// Machines is when the API answered and called every machine ready; rows of before have none.
	Machines      float64 `json:"machines,omitempty"`
	MachinesBound float64 `json:"machinesBound,omitempty"`
	Ready         float64 `json:"ready"`
	ReadyBound    float64 `json:"readyBound"`
	Settled       float64 `json:"settled"`
	SettledBound  float64 `json:"settledBound"`
	Tried         int     `json:"tried"`
	Acked         int     `json:"acked"`
	Unclear       int     `json:"unclear"`
	Lost          int     `json:"lost"`
	Reads         int     `json:"reads"`
	// Verdict is passed, failed or not played; Reasons say why.
	Verdict string   `json:"verdict"`
	Reasons []string `json:"reasons,omitempty"`
	Notes   []note   `json:"notes,omitempty"`

	mu sync.Mutex
}

// note is something that was seen, so many seconds after the fault.
type note struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
}

func (r *row) fail(format string, args ...any) {
	r.Verdict = failed
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

// within fails the row where something took longer than it may.
func (r *row) within(what string, took, bound float64) {
	if took > bound {
		r.fail("%s for %.1f s, at most %.1f", what, took, bound)
	}
}

func (r *row) note(p *play, format string, args ...any) { r.noteAt(p, time.Now(), format, args...) }

func (r *row) noteAt(p *play, at time.Time, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Notes = append(r.Notes, note{at.Sub(p.began).Seconds(), fmt.Sprintf(format, args...)})
	slices.SortStableFunc(r.Notes, func(a, b note) int { return cmp.Compare(a.At, b.At) })
}

// report is the whole as Markdown. It is the same for the same rows.
func report(rows []*row) string {
	var b strings.Builder
	b.WriteString("# What the cluster does under faults\n\n" + table(rows))
	for _, r := range rows {
		if r.Verdict != failed {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\nSeed %d. Times are since the fault.\n\n", r.Scenario, r.Seed)
		for _, reason := range r.Reasons {
			fmt.Fprintf(&b, "- **%s**\n", reason)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "- %+.1f s: %s\n", n.At, strings.ReplaceAll(n.Text, "\n", " / "))
		}
	}
	return b.String()
}

// figure is what was measured, and what it may be at most.
func figure(took, bound float64) string {
	if bound == 0 {
		return fmt.Sprintf("%.1f", took)
	}
	return fmt.Sprintf("%.1f ≤ %.0f", took, bound)
}

// cell is text that does not end its cell.
func cell(s string) string {
	s = strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
	return fmt.Sprintf("%.400s", s)
}

// table says when the rows were played, with what, and what came of it.
func table(rows []*row) string {
	var b strings.Builder
	var when, what, seeds []string
	count := map[string]int{}
	for _, r := range rows {
		count[r.Verdict]++
		if r.Verdict != unplayed {
			day, _, _ := strings.Cut(r.Played, " ")
			when, what = append(when, day), append(what, r.Version)
			if r.Seed != 0 { // of the oldest rows nobody knows it
				seeds = append(seeds, fmt.Sprint(r.Seed))
			}
		}
	}
	for _, s := range []*[]string{&when, &what, &seeds} {
		slices.Sort(*s)
		*s = slices.Compact(*s)
	}
	if len(when) > 0 {
		fmt.Fprintf(&b, "Played till %s (UTC) with %s, seed %s.\n\n", when[len(when)-1], strings.Join(what, "; "), strings.Join(seeds, ", "))
	}
	fmt.Fprintf(&b, "%d scenarios: %d passed, %d failed, %d cannot be played here, %d not played yet.\n\n",
		len(scenarios()), count[passed], count[failed], count[unplayed], max(0, len(scenarios())-len(rows)))
	b.WriteString("| scenario | without API, s | a Deployment waits, s | machines ready, s | ready again, s | without stand-ins, s | writes tried | acknowledged | unclear | lost | reads | played | verdict |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		if r.Verdict == unplayed {
			fmt.Fprintf(&b, "| %s | | | | | | | | | | | | %s: %s |\n", r.Scenario, unplayed, cell(strings.Join(r.Reasons, "; ")))
			continue
		}
		verdict := r.Verdict
		if verdict != passed {
			verdict = "**" + verdict + "**: " + cell(strings.Join(r.Reasons, "; "))
		}
		machines := ""
		if r.MachinesBound > 0 {
			machines = figure(r.Machines, r.MachinesBound)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %d | %d | %d | %d | %d | %s | %s |\n", r.Scenario,
			figure(r.Gap, r.GapBound), figure(r.Works, r.WorksBound), machines, figure(r.Ready, r.ReadyBound), figure(r.Settled, r.SettledBound),
			r.Tried, r.Acked, r.Unclear, r.Lost, r.Reads, strings.TrimSpace(r.Played+" "+r.Commit), verdict)
	}
	return b.String()
}

// The table stands in a page between these lines, one of its own each.
const tableBegins, tableEnds = "<!-- what follows is written by: go run ./faults -page -->", "<!-- till here -->"

// writePage puts the table in its place in a page.
func writePage(path string, rows []*row) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(page, []byte(tableBegins+"\n"))
	_, after, ends := bytes.Cut(rest, []byte(tableEnds+"\n"))
	if !begins || !ends {
		return fmt.Errorf("%s: expected a line %q, and after it a line %q: the table is put between them", path, tableBegins, tableEnds)
	}
	text := string(before) + tableBegins + "\n\n" + table(rows) + "\n" + tableEnds + "\n" + string(after)
	return os.WriteFile(path, []byte(text), 0o644)
}
