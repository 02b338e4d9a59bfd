package checkpoint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// dimension is one thing that a decision depends on, with all its values.
type dimension struct {
	name   string
	values []string
	set    func(s *State, value int)
}

func yesNo(name string, set func(*State, bool)) dimension {
	return dimension{name, []string{"no", "yes"}, func(s *State, v int) { set(s, v == 1) }}
}

// bands are the times just before each bound, and after the last. The bounds' own places
// are TestBounds'.
func bands(name string, set func(*State, time.Duration), bounds ...time.Duration) dimension {
	d := dimension{name: name, values: []string{"0"}}
	for _, b := range bounds {
		d.values = append(d.values, fmt.Sprint(b.Seconds()))
	}
	d.set = func(s *State, v int) {
		if v == len(bounds) {
			set(s, 1000*time.Hour)
		} else {
			set(s, bounds[v]-1)
		}
	}
	return d
}

func dimensions() []dimension {
	return []dimension{
		{"kind", []string{"serving", "leading"}, func(s *State, v int) { s.Kind = Kind(v) }},
		yesNo("runtime", func(s *State, v bool) { s.Runtime = v }),
		{"real", []string{"absent", "running", "ready"}, func(s *State, v int) { s.Real = Process(v) }},
		{"api", []string{"unknown", "unreachable", "answers"}, func(s *State, v int) { s.API = Reach(v) }},
		yesNo("pod", func(s *State, v bool) { s.Pod = v }),
		yesNo("real-else", func(s *State, v bool) { s.RealElsewhere = v }),
		{"node", []string{"unknown", "new", "master", "other"}, func(s *State, v int) { s.Node = Membership(v) }},
		yesNo("held", func(s *State, v bool) { s.HeldHere = v }),
		yesNo("checkpoint", func(s *State, v bool) { s.Checkpoint = v }),
		yesNo("active", func(s *State, v bool) { s.Active = v }),
		yesNo("seen", func(s *State, v bool) { s.SeenRunning = v }),
		bands("unreach", func(s *State, d time.Duration) { s.Ages.Unreachable = d }, 3*time.Second, 20*time.Second),
		bands("missing", func(s *State, d time.Duration) { s.Ages.Missing = d }, 15*time.Second),
		bands("ready", func(s *State, d time.Duration) { s.Ages.Ready = d }, 1*time.Second, 5*time.Second),
		bands("else", func(s *State, d time.Duration) { s.Ages.ReadyElsewhere = d }, 5*time.Second, 75*time.Second),
		bands("unrenewed", func(s *State, d time.Duration) { s.Ages.Unrenewed = d }, 10*time.Second, 17*time.Second),
		bands("left", func(s *State, d time.Duration) { s.Ages.Left = d }, 30*time.Second),
	}
}

// row is one of the table's. allowed has a bit for each value of each dimension.
type row struct {
	line    int
	allowed uint64
	want    Action
	used    bool
}

func readTable(t *testing.T, dims []dimension) []*row {
	t.Helper()
	text, err := os.ReadFile("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows []*row
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells, action, _ := strings.Cut(line, "|")
		fields := strings.Fields(cells)
		if len(fields) != len(dims) {
			t.Fatalf("decisions.txt:%d has %d values, want %d", i+1, len(fields), len(dims))
		}
		r := &row{line: i + 1, want: -1}
		for a := Keep; a <= Remove; a++ {
			if a.String() == strings.TrimSpace(action) {
				r.want = a
			}
		}
		if r.want < 0 {
			t.Fatalf("decisions.txt:%d: %q is no action", i+1, action)
		}
		offset := 0
		for j, d := range dims {
			for _, value := range strings.Split(fields[j], ",") {
				if value == "*" {
					r.allowed |= (1<<len(d.values) - 1) << offset
					continue
				}
				k := slices.Index(d.values, value)
				if k < 0 {
					t.Fatalf("decisions.txt:%d: %s is %q: expected one of %q", i+1, d.name, value, d.values)
				}
				r.allowed |= 1 << (offset + k)
			}
			offset += len(d.values)
		}
		rows = append(rows, r)
	}
	return rows
}

// TestAllStates compares every state there is with the table, and with what must never
// happen whatever the table says.
func TestAllStates(t *testing.T) {
	dims := dimensions()
	rows := readTable(t, dims)
	var failures, states int
	var walk func(s State, bits uint64, offset, i int)
	check := func(s State, bits uint64) {
		states++
		d := Decide(s)
		if wrong := forbidden(s, d); wrong != "" {
			failures++
			t.Errorf("%+v: %s (%s): %s", s, d.Action, d.Reason, wrong)
		}
		for _, r := range rows {
			if bits&^r.allowed != 0 {
				continue
			}
			r.used = true
			if d.Action != r.want {
				failures++
				t.Errorf("%+v: %s (%s), but decisions.txt:%d says %s", s, d.Action, d.Reason, r.line, r.want)
			}
			return
		}
		failures++
		t.Errorf("decisions.txt has no row for %+v", s)
	}
	walk = func(s State, bits uint64, offset, i int) {
		if failures > 10 {
			return
		}
		if i == len(dims) {
			check(s, bits)
			return
		}
		for v := range dims[i].values {
			dims[i].set(&s, v)
			walk(s, bits|1<<(offset+v), offset+len(dims[i].values), i+1)
		}
	}
	walk(State{}, 0, 0, 0)
	if failures == 0 && states < 2_500_000 {
		t.Errorf("only %d states: a dimension is lost", states)
	}
	for _, r := range rows {
		if failures == 0 && !r.used {
			t.Errorf("decisions.txt:%d fits no state that the rows above it leave", r.line)
		}
	}
}

// forbidden says what must not be done in a state, in words that do not follow Decide's.
func forbidden(s State, d Decision) string {
	readyHere := s.Real == Ready && s.API == Answers
	switch {
	case d.Reason == "":
		return "no reason is given"
	case !s.Runtime && (d.Action != Keep || d.Refresh):
		return "it acts though it does not know what runs"
	case s.API == Unknown && (d.Action != Keep || d.Refresh):
		return "it acts though it does not know about the API"
	case s.API == Unreachable && (d.Action == Deactivate || d.Action == Remove || d.Refresh):
		return "it gives something up while there is no API"
	case d.Refresh != (s.Runtime && readyHere):
		return "a checkpoint is made of a pod that is ready, and only of such"
	case d.Action == Activate && readyHere:
		return "a stand-in is started beside a real pod that is ready"
	case d.Action == Activate && (!s.Checkpoint || s.Active):
		return "there is nothing to start"
	case d.Action == Activate && s.Kind == Serving && s.API == Answers && s.Real == Running:
		return "the kubelet's work is done for it"
	case d.Action == Deactivate && (!s.Active || !s.Checkpoint):
		return "there is no stand-in, or no way back"
	case d.Action == Deactivate && !readyHere && !s.RealElsewhere:
		return "a stand-in is ended though no real pod is ready"
	case d.Action == Deactivate && !readyHere && s.Kind == Serving && (s.Node != NodeOther || s.Pod || s.Real != Absent):
		return "a master's API server is ended for another master's"
	case d.Action == Remove && (s.Node != NodeOther || s.Real != Absent || s.Pod):
		return "the way back is taken from a machine that has the component"
	case d.Action == Remove && (!s.RealElsewhere || s.Active || s.Kind == Leading && s.HeldHere):
		return "the last way back is removed"
	}
	return ""
}

// TestBounds protects each bound's place, to the nanosecond: an age that is it has passed it.
func TestBounds(t *testing.T) {
	serving := State{Kind: Serving, Runtime: true, Checkpoint: true, SeenRunning: true, Node: NodeMaster}
	leading := State{Kind: Leading, Runtime: true, Checkpoint: true, Node: NodeMaster, API: Answers}
	for _, test := range []struct {
		name  string
		state State
		age   func(*State) *time.Duration
		bound time.Duration
		want  Action
	}{
		{"crashed", with(serving, func(s *State) { s.API = Unreachable }), func(s *State) *time.Duration { return &s.Ages.Unreachable }, 3 * time.Second, Activate},
		{"hangs", with(serving, func(s *State) { s.API, s.Real = Unreachable, Running }), func(s *State) *time.Duration { return &s.Ages.Unreachable }, 20 * time.Second, Activate},
		{"kubelet cannot", with(serving, func(s *State) { s.API, s.Pod = Answers, true }), func(s *State) *time.Duration { return &s.Ages.Missing }, 15 * time.Second, Activate},
		{"hand-over", with(serving, func(s *State) { s.API, s.Real, s.Active = Answers, Ready, true }), func(s *State) *time.Duration { return &s.Ages.Ready }, 1 * time.Second, Deactivate},
		{"left", with(serving, func(s *State) { s.API, s.Node, s.RealElsewhere = Answers, NodeOther, true }), func(s *State) *time.Duration { return &s.Ages.Left }, 30 * time.Second, Remove},
		{"ends where it has left", with(serving, func(s *State) { s.API, s.Node, s.RealElsewhere, s.Active = Answers, NodeOther, true, true }), func(s *State) *time.Duration { return &s.Ages.ReadyElsewhere }, 75 * time.Second, Deactivate},
		{"nobody leads", leading, func(s *State) *time.Duration { return &s.Ages.Unrenewed }, 10 * time.Second, Activate},
		{"one that is ready does not lead", with(leading, func(s *State) { s.RealElsewhere = true }), func(s *State) *time.Duration { return &s.Ages.Unrenewed }, 17 * time.Second, Activate},
		{"leading hand-over", with(leading, func(s *State) { s.Active, s.Real = true, Ready }), func(s *State) *time.Duration { return &s.Ages.Ready }, 5 * time.Second, Deactivate},
		{"hand-over elsewhere", with(leading, func(s *State) { s.Active, s.RealElsewhere = true, true }), func(s *State) *time.Duration { return &s.Ages.ReadyElsewhere }, 5 * time.Second, Deactivate},
		{"leads itself", with(leading, func(s *State) { s.Active, s.RealElsewhere, s.HeldHere = true, true, true }), func(s *State) *time.Duration { return &s.Ages.ReadyElsewhere }, 75 * time.Second, Deactivate},
	} {
		s := test.state
		for _, at := range []struct {
			age  time.Duration
			want Action
		}{{test.bound - 1, Keep}, {test.bound, test.want}} {
			*test.age(&s) = at.age
			if d := Decide(s); d.Action != at.want {
				t.Errorf("%s at %s: %s (%s), want %s", test.name, at.age, d.Action, d.Reason, at.want)
			}
		}
	}
}

func with(s State, change func(*State)) State {
	change(&s)
	return s
}
