package history

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// at makes an operation of key "k" that lasts from call to the return.
func at(call, ret int, op Op) Op {
	op.Key, op.Call, op.Return = "k", time.Duration(call), time.Duration(ret)
	if op.Outcome == "" {
		op.Outcome = OK
	}
	return op
}

func read(call, ret int, got string) Op { return at(call, ret, Op{Kind: Read, Got: got}) }

func cas(call, ret int, old, new string, outcome ...Outcome) Op {
	op := Op{Kind: CAS, Old: old, New: new}
	if len(outcome) > 0 {
		op.Outcome = outcome[0]
	}
	return at(call, ret, op)
}

func put(call, ret int, new string, outcome ...Outcome) Op {
	op := Op{Kind: Put, New: new}
	if len(outcome) > 0 {
		op.Outcome = outcome[0]
	}
	return at(call, ret, op)
}

// TestCheck protects from a checker that passes what no correct cluster does, and from one
// that fails what a correct one may do.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		ops  []Op
		lost int
		pass bool
	}{
		{"one after another", []Op{cas(0, 1, "", "a"), read(2, 3, "a"), cas(4, 5, "a", "b"), read(6, 7, "b")}, 0, true},
		{"nothing written", []Op{read(0, 1, "")}, 0, true},
		{"lost at the end", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b"), read(4, 5, "a")}, 1, false},
		{"all is lost", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b"), read(4, 5, "")}, 2, false},
		{"lost, and written over", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b"), cas(4, 5, "a", "c"), read(6, 7, "c")}, 1, false},
		{"stale read", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b"), read(4, 5, "a"), read(6, 7, "b")}, 0, false},
		{"read while it is written", []Op{cas(0, 1, "", "a"), cas(2, 9, "a", "b"), read(3, 4, "a"), read(10, 11, "b")}, 0, true},
		{"back to the old value", []Op{cas(0, 1, "", "a"), cas(2, 9, "a", "b"), read(3, 4, "b"), read(5, 6, "a"), read(10, 11, "b")}, 0, false},
		{"value of nobody", []Op{cas(0, 1, "", "a"), read(2, 3, "x"), read(4, 5, "a")}, 0, false},
		{"unknown, not done", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b", Unknown), read(4, 5, "a")}, 0, true},
		{"unknown, done", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b", Unknown), read(4, 5, "b")}, 0, true},
		{"unknown, done late", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b", Unknown), read(4, 5, "a"), read(6, 7, "b")}, 0, true},
		{"unknown, done and undone", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b", Unknown), read(4, 5, "b"), read(6, 7, "a")}, 0, false},
		{"unknown, done, and taken further", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b", Unknown), cas(4, 5, "b", "c"), read(6, 7, "c")}, 0, true},
		{"unknown, seen before it was asked for", []Op{cas(0, 1, "", "a"), read(2, 3, "b"), cas(4, 5, "a", "b", Unknown), read(6, 7, "b")}, 0, false},
		{"failed, but done", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b", Failed), read(4, 5, "b")}, 1, false},
		{"refused rightly", []Op{cas(0, 1, "", "a"), cas(2, 3, "x", "b", Refused), read(4, 5, "a")}, 0, true},
		{"refused, but the value was right", []Op{cas(0, 1, "", "a"), cas(2, 3, "a", "b", Refused), read(4, 5, "a")}, 0, false},
		{"refused, but done", []Op{cas(0, 1, "", "a"), cas(2, 3, "x", "b", Refused), read(4, 5, "b")}, 1, false},
		{"two replace the same", []Op{cas(0, 1, "", "a"), cas(2, 9, "a", "b"), cas(2, 9, "a", "c"), read(10, 11, "c")}, 1, false},
		{"put is there", []Op{put(0, 1, "a"), read(2, 3, "a")}, 0, true},
		{"put is lost", []Op{put(0, 1, "a"), read(2, 3, "")}, 1, false},
		{"put unknown is not there", []Op{put(0, 1, "a", Unknown), read(2, 3, "")}, 0, true},
		{"put unknown is there", []Op{put(0, 1, "a", Unknown), read(2, 3, "a")}, 0, true},
		{"nobody has looked since", []Op{cas(0, 1, "", "a"), read(2, 3, "a"), cas(4, 5, "a", "b")}, 0, false},
		{"nobody has looked since, and what was before is lost", []Op{cas(0, 1, "", "a"), read(2, 3, ""), cas(4, 5, "a", "b")}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Check(c.ops, time.Minute)
			if v.Passed() != c.pass || v.Lost != c.lost {
				t.Errorf("passed %v with %d lost, expected %v with %d: %+v", v.Passed(), v.Lost, c.pass, c.lost, v)
			}
		})
	}
}

// TestUndecidedIsNotPassed protects from a run that had no time to find out.
func TestUndecidedIsNotPassed(t *testing.T) {
	v := Check([]Op{read(0, 1, "")}, time.Minute)
	v.Undecided = append(v.Undecided, "k")
	if v.Passed() {
		t.Error("a key that could not be decided counts as passed")
	}
}

// TestCounts protects the columns of the report.
func TestCounts(t *testing.T) {
	v := Check([]Op{
		cas(0, 1, "", "a"), cas(2, 3, "a", "b", Unknown), cas(2, 3, "x", "c", Refused), cas(2, 3, "a", "d", Failed),
		read(4, 5, "a"), at(6, 7, Op{Kind: Read, Outcome: Unknown}),
	}, time.Minute)
	if want := (Verdict{Tried: 4, Acked: 1, Unclear: 1, Reads: 1}); !cmp.Equal(v, want) {
		t.Error(cmp.Diff(want, v))
	}
}

// machine is a register that loses answers, and nothing else unless it is told so.
type machine struct {
	value string
	clock time.Duration
	ops   []Op
	know  []string // what each client last read
	n     int
}

func (m *machine) step(t *rapid.T) {
	client := rapid.IntRange(0, len(m.know)-1).Draw(t, "client")
	m.clock += 10
	call := m.clock - time.Duration(rapid.IntRange(0, 9).Draw(t, "early"))
	op := Op{Client: client, Key: "k", Call: call, Return: m.clock + time.Duration(rapid.IntRange(0, 9).Draw(t, "late")), Outcome: OK}
	if rapid.Bool().Draw(t, "read") {
		op.Kind, op.Got = Read, m.value
		m.know[client] = m.value
		m.ops = append(m.ops, op)
		return
	}
	m.n++
	op.Kind, op.Old, op.New = CAS, m.know[client], fmt.Sprint(m.n)
	answered := rapid.IntRange(0, 3).Draw(t, "answered") > 0
	done := op.Old == m.value
	if done && (answered || rapid.Bool().Draw(t, "done")) {
		m.value = op.New
		m.know[client] = op.New
	}
	switch {
	case !answered:
		op.Outcome = Unknown
	case !done:
		op.Outcome = Refused
	}
	m.ops = append(m.ops, op)
}

// TestRandomHistories protects both ways on histories that nobody thought of: one of a
// right register passes; one in which a value goes back to what it was fails.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{know: make([]string, 3)}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m.step(t)
		}
		m.clock += 100
		m.ops = append(m.ops, Op{Kind: Read, Key: "k", Got: m.value, Outcome: OK, Call: m.clock, Return: m.clock + 1})
		if v := Check(m.ops, time.Minute); !v.Passed() {
			t.Fatalf("a right history fails: %+v", v)
		}
		if m.value == "" {
			return
		}
		broken := slices.Clone(m.ops)
		broken[len(broken)-1].Got = "" // the disk is empty again
		acked := slices.ContainsFunc(m.ops, func(op Op) bool { return op.Kind == CAS && op.Outcome == OK })
		if v := Check(broken, time.Minute); v.Passed() && acked {
			t.Fatal("a history with a lost write passes")
		}
	})
}

// TestManyUnknown protects from a check that takes longer the more requests had no answer.
func TestManyUnknown(t *testing.T) {
	var ops []Op
	value := ""
	for i := range 2000 {
		next, outcome := fmt.Sprint(i), OK
		if i%2 == 0 {
			outcome = Unknown
		}
		ops = append(ops, cas(10*i, 10*i+25, value, next, outcome))
		if i%4 != 0 {
			value = next
		}
	}
	ops = append(ops, read(100000, 100001, value))
	began := time.Now()
	if v := Check(ops, 20*time.Second); len(v.Undecided) > 0 {
		t.Errorf("undecided after %s", time.Since(began))
	}
}

// TestFile protects the histories that failed runs leave: they can be checked again.
func TestFile(t *testing.T) {
	ops := []Op{cas(0, 1, "", "a"), read(2, 3, "a"), put(4, 5, "b", Unknown)}
	var b bytes.Buffer
	if err := Write(&b, ops); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil || !cmp.Equal(got, ops) {
		t.Errorf("%v %s", err, cmp.Diff(ops, got))
	}
	if err := os.WriteFile(path, append(b.Bytes(), "no\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), ":4:") {
		t.Errorf("a broken line: %v", err)
	}
}
