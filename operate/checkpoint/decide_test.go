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
	set    func(s *state, value int)
}

func yesNo(name string, set func(*state, bool)) dimension {
	return dimension{name, []string{"no", "yes"}, func(s *state, v int) { set(s, v == 1) }}
}

// bands are the times just before each bound, and after the last. The bounds' own places
// are TestBounds'.
func bands(name string, set func(*state, time.Duration), bounds ...time.Duration) dimension {
	d := dimension{name: name, values: []string{"0"}}
	for _, b := range bounds {
		d.values = append(d.values, fmt.Sprint(b.Seconds()))
	}
	d.set = func(s *state, v int) {
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
		{"kind", []string{"serving", "leading"}, func(s *state, v int) { s.Kind = kind(v) }},
		yesNo("runtime", func(s *state, v bool) { s.Runtime = v }),
		{"real", []string{"absent", "running", "ready"}, func(s *state, v int) { s.Real = processState(v) }},
		{"api", []string{"unknown", "unreachable", "answers"}, func(s *state, v int) { s.API = reached(v) }},
		yesNo("pod", func(s *state, v bool) { s.Pod = v }),
		yesNo("real-else", func(s *state, v bool) { s.RealElsewhere = v }),
		{"node", []string{"unknown", "new", "master", "other"}, func(s *state, v int) { s.Node = membership(v) }},
		yesNo("held", func(s *state, v bool) { s.HeldHere = v }),
		yesNo("checkpoint", func(s *state, v bool) { s.Checkpoint = v }),
		yesNo("active", func(s *state, v bool) { s.Active = v }),
		yesNo("seen", func(s *state, v bool) { s.SeenRunning = v }),
		bands("unreach", func(s *state, d time.Duration) { s.Ages.Unreachable = d }, 3*time.Second, 20*time.Second),
		bands("missing", func(s *state, d time.Duration) { s.Ages.Missing = d }, 15*time.Second),
		bands("ready", func(s *state, d time.Duration) { s.Ages.Ready = d }, 1*time.Second, 5*time.Second),
		bands("else", func(s *state, d time.Duration) { s.Ages.ReadyElsewhere = d }, 5*time.Second, 75*time.Second),
		bands("unrenewed", func(s *state, d time.Duration) { s.Ages.Unrenewed = d }, 10*time.Second, 17*time.Second),
		bands("left", func(s *state, d time.Duration) { s.Ages.Left = d }, 30*time.Second),
	}
}

// row is one of the table's. allowed has a bit for each value of each dimension.
type row struct {
	line    int
	allowed uint64
	want    action
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
		for a := leave; a <= remove; a++ {
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
	var walk func(s state, bits uint64, offset, i int)
	check := func(s state, bits uint64) {
		states++
		d := decide(s)
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
	walk = func(s state, bits uint64, offset, i int) {
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
	walk(state{}, 0, 0, 0)
	if failures == 0 && states < 2_500_000 {
		t.Errorf("only %d states: a dimension is lost", states)
	}
	for _, r := range rows {
		if failures == 0 && !r.used {
			t.Errorf("decisions.txt:%d fits no state that the rows above it leave", r.line)
		}
	}
}

// forbidden says what must not be done in a state, in words that do not follow decide's.
func forbidden(s state, d decision) string {
	readyHere := s.Real == processReady && s.API == answers
	switch {
	case d.Reason == "":
		return "no reason is given"
	case !s.Runtime && (d.Action != leave || d.Refresh):
		return "it acts though it does not know what runs"
	case s.API == unknown && (d.Action != leave || d.Refresh):
		return "it acts though it does not know about the API"
	case s.API == unreachable && (d.Action == deactivate || d.Action == remove || d.Refresh):
		return "it gives something up while there is no API"
	case d.Refresh != (s.Runtime && readyHere):
		return "a checkpoint is made of a pod that is ready, and only of such"
	case d.Action == activate && readyHere:
		return "a stand-in is started beside a real pod that is ready"
	case d.Action == activate && (!s.Checkpoint || s.Active):
		return "there is nothing to start"
	case d.Action == activate && s.Kind == serving && s.API == answers && s.Real == processRunning:
		return "the kubelet's work is done for it"
	case d.Action == deactivate && (!s.Active || !s.Checkpoint):
		return "there is no stand-in, or no way back"
	case d.Action == deactivate && !readyHere && !s.RealElsewhere:
		return "a stand-in is ended though no real pod is ready"
	case d.Action == deactivate && !readyHere && s.Kind == serving && (s.Node != nodeOther || s.Pod || s.Real != processAbsent):
		return "a master's API server is ended for another master's"
	case d.Action == remove && (s.Node != nodeOther || s.Real != processAbsent || s.Pod):
		return "the way back is taken from a machine that has the component"
	case d.Action == remove && (!s.RealElsewhere || s.Active || s.Kind == leading && s.HeldHere):
		return "the last way back is removed"
	}
	return ""
}

// TestBounds protects each bound's place, to the nanosecond: an age that is it has passed it.
func TestBounds(t *testing.T) {
	serving := state{Kind: serving, Runtime: true, Checkpoint: true, SeenRunning: true, Node: nodeMaster}
	leading := state{Kind: leading, Runtime: true, Checkpoint: true, Node: nodeMaster, API: answers}
	for _, test := range []struct {
		name  string
		state state
		age   func(*state) *time.Duration
		bound time.Duration
		want  action
	}{
		{"crashed", with(serving, func(s *state) { s.API = unreachable }), func(s *state) *time.Duration { return &s.Ages.Unreachable }, 3 * time.Second, activate},
		{"hangs", with(serving, func(s *state) { s.API, s.Real = unreachable, processRunning }), func(s *state) *time.Duration { return &s.Ages.Unreachable }, 20 * time.Second, activate},
		{"kubelet cannot", with(serving, func(s *state) { s.API, s.Pod = answers, true }), func(s *state) *time.Duration { return &s.Ages.Missing }, 15 * time.Second, activate},
		{"hand-over", with(serving, func(s *state) { s.API, s.Real, s.Active = answers, processReady, true }), func(s *state) *time.Duration { return &s.Ages.Ready }, 1 * time.Second, deactivate},
		{"left", with(serving, func(s *state) { s.API, s.Node, s.RealElsewhere = answers, nodeOther, true }), func(s *state) *time.Duration { return &s.Ages.Left }, 30 * time.Second, remove},
		{"ends where it has left", with(serving, func(s *state) { s.API, s.Node, s.RealElsewhere, s.Active = answers, nodeOther, true, true }), func(s *state) *time.Duration { return &s.Ages.ReadyElsewhere }, 75 * time.Second, deactivate},
		{"nobody leads", leading, func(s *state) *time.Duration { return &s.Ages.Unrenewed }, 10 * time.Second, activate},
		{"one that is ready does not lead", with(leading, func(s *state) { s.RealElsewhere = true }), func(s *state) *time.Duration { return &s.Ages.Unrenewed }, 17 * time.Second, activate},
		{"leading hand-over", with(leading, func(s *state) { s.Active, s.Real = true, processReady }), func(s *state) *time.Duration { return &s.Ages.Ready }, 5 * time.Second, deactivate},
		{"hand-over elsewhere", with(leading, func(s *state) { s.Active, s.RealElsewhere = true, true }), func(s *state) *time.Duration { return &s.Ages.ReadyElsewhere }, 5 * time.Second, deactivate},
		{"leads itself", with(leading, func(s *state) { s.Active, s.RealElsewhere, s.HeldHere = true, true, true }), func(s *state) *time.Duration { return &s.Ages.ReadyElsewhere }, 75 * time.Second, deactivate},
	} {
		s := test.state
		for _, at := range []struct {
			age  time.Duration
			want action
		}{{test.bound - 1, leave}, {test.bound, test.want}} {
			*test.age(&s) = at.age
			if d := decide(s); d.Action != at.want {
				t.Errorf("%s at %s: %s (%s), want %s", test.name, at.age, d.Action, d.Reason, at.want)
			}
		}
	}
}

func with(s state, change func(*state)) state {
	change(&s)
	return s
}
