package etcd

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is a cluster without processes: machines that are on or off, with a disk that holds
// a member's data or nothing, and the members as etcd would list them. Its rules are
// etcd's, and its checks are written without decide's own words.
type model struct {
	t       fataler
	next    uint64
	members []Member
	// disk is which member's data each machine has.
	disk map[string]uint64
	// prepared is which machines have the note for a member that was added.
	prepared map[string]bool
	off      map[string]bool
	plan     []string
	log      []string
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newModel(t fataler) *model {
	m := &model{t: t, disk: map[string]uint64{}, prepared: map[string]bool{}, off: map[string]bool{}, plan: []string{"m1"}}
	m.members = []Member{{ID: 100, Name: "m1", PeerURLs: []string{peer("m1")}, Leader: true}}
	m.next, m.disk["m1"] = 101, 100
	return m
}

func (m *model) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

func machineOf(member Member) string {
	return member.PeerURLs[0][len("https://") : len(member.PeerURLs[0])-len(":2380")]
}

// seen fills in what observe would find out.
func (m *model) seen() []Member {
	out := slices.Clone(m.members)
	for i := range out {
		machine := machineOf(out[i])
		out[i].Healthy = out[i].Name != "" && !m.off[machine] && m.disk[machine] == out[i].ID
		if out[i].Healthy && (!out[i].Learner || out[i].Index > 0) {
			out[i].Index = 1000
		}
	}
	return out
}

func tally(members []Member) (healthy, voters, learners int) {
	for _, m := range members {
		switch {
		case m.Learner:
			learners++
		case m.Healthy:
			healthy++
			voters++
		default:
			voters++
		}
	}
	return healthy, voters, learners
}

// apply carries an action out and checks what has to hold after each.
func (m *model) apply(a action, joins string) {
	m.t.Helper()
	before := m.seen()
	m.note("%s %d: %s", a.Kind, a.Member, a.Reason)
	if a.Reason == "" {
		m.fail("an action without a reason")
	}
	i := slices.IndexFunc(m.members, func(x Member) bool { return x.ID == a.Member })
	switch a.Kind {
	case none, refuse:
		return
	case add:
		if slices.ContainsFunc(m.members, func(x Member) bool { return machineOf(x) == joins || x.Name == joins }) {
			m.fail("%s has two members", joins)
		}
		m.prepared[joins] = true
		m.members = append(m.members, Member{ID: m.next, Learner: true, PeerURLs: []string{peer(joins)}})
		m.next++
	case start:
		if i < 0 || machineOf(m.members[i]) != joins || m.members[i].Name != "" {
			m.fail("%s starts what is not its own new member", joins)
		}
	case promote:
		if i < 0 || !before[i].Learner || !before[i].Healthy {
			m.fail("promotes what is not a healthy learner")
		}
		m.members[i].Learner = false
	case remove:
		if i < 0 {
			m.fail("removes a member that is not there")
		}
		if before[i].Healthy && slices.Contains(m.plan, before[i].Name) {
			m.fail("removes a healthy member of the plan")
		}
		m.members = slices.Delete(m.members, i, i+1)
	default:
		m.fail("an unknown action")
	}
	after := m.seen()
	healthy, voters, learners := tally(after)
	if voters == 0 || healthy < voters/2+1 {
		m.fail("%d of %d voters healthy", healthy, voters)
	}
	if learners > 1 {
		m.fail("%d learners", learners)
	}
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	steps := ""
	for _, l := range m.log {
		steps += "\n\t" + l
	}
	m.t.Fatalf("%s\nmembers %+v\nplan %v, off %v, disks %v\nafter%s", fmt.Sprintf(format, args...), m.seen(), m.plan, m.off, m.disk, steps)
}

// join is one question of a machine that has no data of a member. It may have lost its
// patience with a learner.
func (m *model) join(name string, impatient bool) {
	if m.off[name] {
		return
	}
	if id, ok := m.disk[name]; ok {
		if slices.ContainsFunc(m.members, func(x Member) bool { return x.ID == id }) {
			return
		}
		delete(m.disk, name) // removed: moved aside
		delete(m.prepared, name)
	}
	var overdue uint64
	for _, x := range m.seen() {
		if impatient && x.Learner && !x.Healthy {
			overdue = x.ID
		}
	}
	a := decide(view{Members: m.seen(), Joins: &joiner{Name: name, PeerURL: peer(name), Prepared: m.prepared[name], Overdue: overdue}})
	m.apply(a, name)
	if a.Kind != start {
		return
	}
	i := slices.IndexFunc(m.members, func(x Member) bool { return x.ID == a.Member })
	m.members[i].Name = name
	m.disk[name] = a.Member
	delete(m.prepared, name)
}

func (m *model) keep() {
	if len(m.plan) == 0 {
		return
	}
	m.apply(decide(view{Members: m.seen(), Masters: masters(m.plan...)}), "")
	for i := range m.members { // learners read on
		if m.members[i].Learner && m.members[i].Name != "" {
			m.members[i].Index = 1000
		}
	}
}

// converged: the members are voters, and those of the plan.
func (m *model) converged() bool {
	var names []string
	for _, x := range m.seen() {
		if x.Learner || !x.Healthy {
			return false
		}
		names = append(names, x.Name)
	}
	slices.Sort(names)
	return slices.Equal(names, slices.Sorted(slices.Values(m.plan)))
}

// settle lets everybody ask until the members are those of the plan.
func (m *model) settle(rounds int) {
	m.t.Helper()
	for range rounds {
		for _, name := range m.plan {
			m.join(name, false)
		}
		m.keep()
		if m.converged() {
			return
		}
	}
	m.fail("not what the plan says after %d rounds", rounds)
}

var names = []string{"m1", "m2", "m3", "m4", "m5", "m6", "m7"}

// TestGrowAndShrink protects the way 1→3→5→3→1, and that it needs no more steps than there
// are members to change.
func TestGrowAndShrink(t *testing.T) {
	m := newModel(t)
	for _, plan := range [][]string{names[:3], names[:5], names[2:5], names[4:5]} {
		m.plan = plan
		m.settle(30)
	}
}

// TestDeadLearner protects those who come after a learner whose machine has died, and that
// it has its place when it is back.
func TestDeadLearner(t *testing.T) {
	for _, started := range []bool{false, true} {
		m := newModel(t)
		m.plan = names[:3]
		m.join("m2", false) // added
		if started {
			m.join("m2", false)
		}
		m.off["m2"] = true
		m.join("m3", false)
		if len(m.members) != 2 {
			m.fail("m3 did not wait for its turn")
		}
		for range 3 {
			m.join("m3", true)
		}
		m.keep()
		m.keep()
		if healthy, voters, _ := tally(m.seen()); healthy != 2 || voters != 2 {
			m.fail("%d of %d voters healthy, want 2 of 2", healthy, voters)
		}
		m.off["m2"] = false
		m.settle(10)
	}
}

// TestRandomLife protects the invariants of apply through any order of failures, lost disks
// and plans, and that the members become what the plan says once every machine is on.
func TestRandomLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		machine := rapid.SampledFrom(names)
		plans := rapid.SampledFrom([]int{1, 3, 5})
		for range rapid.IntRange(0, 120).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"join", "join", "keep", "keep", "off", "on", "disk", "plan"}).Draw(t, "what") {
			case "join":
				if name := machine.Draw(t, "joins"); slices.Contains(m.plan, name) {
					m.join(name, rapid.Bool().Draw(t, "impatient"))
				}
			case "keep":
				m.keep()
			case "off":
				name := machine.Draw(t, "off")
				m.off[name] = true
				m.note("%s is off", name)
			case "on":
				name := machine.Draw(t, "on")
				delete(m.off, name)
				m.note("%s is on", name)
			case "disk":
				m.loseDisk(machine.Draw(t, "disk"))
			case "plan":
				shuffled := rapid.Permutation(names).Draw(t, "plan")
				m.plan = shuffled[:plans.Draw(t, "masters")]
				m.note("plan %v", m.plan)
			}
		}
		clear(m.off)
		m.note("all on")
		m.settle(80)
	})
}

// loseDisk takes a machine's data, unless too few would be left: no membership helps then.
func (m *model) loseDisk(name string) {
	held := maps.Clone(m.disk)
	delete(m.disk, name)
	delete(m.prepared, name)
	off := m.off
	m.off = nil // as it will be when every machine is on again
	healthy, voters, _ := tally(m.seen())
	m.off = off
	if healthy < voters/2+1 {
		m.disk = held
		return
	}
	m.note("%s loses its disk", name)
}

// TestModelFails protects the tests above from a model that lets everything pass.
func TestModelFails(t *testing.T) {
	for name, bad := range map[string]func(*model){
		"removing a healthy one of two, the other being off": func(m *model) { m.apply(action{remove, 101, "x"}, "") },
		"a second learner": func(m *model) {
			m.apply(action{add, 0, "x"}, "m4")
			m.apply(action{add, 0, "x"}, "m5")
		},
		"a second member of a machine": func(m *model) { m.apply(action{add, 0, "x"}, "m2") },
		"removing the plan's":          func(m *model) { m.apply(action{remove, 100, "x"}, "") },
	} {
		r := &recorder{}
		m := newModel(r)
		m.members = append(m.members, Member{ID: 101, Name: "m2", PeerURLs: []string{peer("m2")}}, Member{ID: 102, Name: "m3", PeerURLs: []string{peer("m3")}})
		m.disk["m2"], m.disk["m3"] = 101, 102
		m.off["m3"] = true
		func() {
			defer func() { recover() }()
			bad(m)
		}()
		if !r.failed {
			t.Errorf("%s: the model lets it pass", name)
		}
	}
}

type recorder struct{ failed bool }

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(string, ...any) {
	r.failed = true
	panic("stop")
}
