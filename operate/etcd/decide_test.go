package etcd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func peer(name string) string { return "https://" + name + ":2380" }

// members reads "m1 m2- m3+ m4?": healthy voters; - is down, + a learner that has caught
// up, +- one that is down, ~ one that is behind, ? one that never started. * leads.
func members(text string) []Member {
	var out []Member
	for i, word := range strings.Fields(text) {
		name := strings.TrimRight(word, "-+~?*")
		flags := word[len(name):]
		m := Member{ID: uint64(i + 1), Name: name, PeerURLs: []string{peer(name)}, ClientURLs: []string{"https://" + name + ":2379"},
			Healthy: true, Index: 1000, Leader: strings.Contains(flags, "*"), Learner: strings.ContainsAny(flags, "+~?")}
		switch {
		case strings.Contains(flags, "-"):
			m.Healthy, m.Index, m.Problem = false, 0, "connection refused"
		case strings.Contains(flags, "~"):
			m.Index = 899
		case strings.Contains(flags, "?"):
			m.Healthy, m.Index, m.Name, m.ClientURLs = false, 0, "", nil
		}
		out = append(out, m)
	}
	return out
}

func masters(names ...string) []Master {
	var out []Master
	for _, name := range names {
		out = append(out, Master{Name: name, PeerURL: peer(name), ClientURL: "https://" + name + ":2379"})
	}
	return out
}

// TestDecideKeep protects each single decision of the keeper, and that a refusal names the
// member, the figures and the machine that would help.
func TestDecideKeep(t *testing.T) {
	for _, test := range []struct {
		members, plan string
		kind          kind
		member        uint64
		reason        string
	}{
		{"m1*", "m1", none, 0, "the members are those of the plan"},
		{"m1* m2 m3", "m1 m2 m3", none, 0, "the members are those of the plan"},
		{"m1*", "m1 m2 m3", none, 0, "waiting for m2, m3 to join"},
		{"m1* m2+", "m1 m2 m3", promote, 2, "learner m2 has caught up"},
		{"m1* m2~", "m1 m2 m3", none, 0, "learner m2 has read up to entry 899 of 1000"},
		{"m1* m2+-", "m1 m2 m3", none, 0, "learner m2 does not answer: connection refused"},
		{"m1* m2?", "m1 m2 m3", none, 0, "learner 2 (https://m2:2380, never started) has not started yet"},
		{"m1* m2 m3- m4+", "m1 m2 m3 m4 m5", promote, 4, "caught up"},
		// Learners count for nothing: they may always go.
		{"m1* m9+", "m1", remove, 2, "learner m9: its machine is no longer in the plan"},
		{"m1* m9?", "m1", remove, 2, "no longer in the plan"},
		// 5 to 3, dead ones first, the leader last.
		{"m1 m2 m3 m4 m5", "m1 m2 m3", remove, 4, "member m4: its machine is no longer in the plan"},
		{"m1 m2 m3 m4 m5-", "m1 m2 m3", remove, 5, "member m5"},
		{"m1 m2 m3 m4* m5", "m1 m2 m3", remove, 5, "member m5"},
		{"m1 m2* m3", "m1", remove, 3, "member m3"},
		{"m1 m2*", "m1", remove, 2, "member m2"},
		// What works stays until those that come instead of it work.
		{"m1* m2 m3", "m1 m2 m4", none, 0, "member m3 stays, though its machine is no longer in the plan, until m4 joins"},
		{"m1* m2 m3 m4~", "m1 m2 m4", none, 0, "member m3 stays, though its machine is no longer in the plan, until learner m4 has read up to entry 899 of 1000"},
		{"m1* m2 m3 m4", "m1 m2 m4", remove, 3, "member m3"},
		{"m1* m2 m3-", "m1 m2 m4", remove, 3, "member m3"},
		{"m1*", "m4", none, 0, "member m1 stays, though its machine is no longer in the plan, until m4 joins"},
		{"m1* m4", "m4", remove, 1, "member m1"},
		// Quorum.
		{"m1* m2 m3-", "m1", remove, 3, "member m3"},
		{"m1* m2- m3 m4 m5-", "m1 m2 m3", remove, 5, ""},
		{"m1* m2- m3- m4 m5", "m1 m2 m3", refuse, 4, "removing member m4 would leave 2 of 4 voters healthy: quorum is 3; start machine m2 or m3 first"},
		{"m1* m2 m3-", "m1 m3", refuse, 2, "removing member m2 would leave 1 of 2 voters healthy: quorum is 2; start machine m3 first"},
		{"m1* m2- m3-", "m1", refuse, 0, "only 1 of 3 voters healthy: quorum is 2, so nothing can change; start machine m2 or m3 first"},
		{"m1- m2+", "m1 m2", refuse, 0, "only 0 of 1 voters healthy"},
		{"m1+", "m1", refuse, 0, "no voter is known"},
		{"", "m1", refuse, 0, "no voter is known"},
		{"m1* m2 m3", "", refuse, 0, "the plan has no master"},
	} {
		got := decide(view{Members: members(test.members), Masters: masters(strings.Fields(test.plan)...)})
		if got.Kind != test.kind || test.member != 0 && got.Member != test.member || !strings.Contains(got.Reason, test.reason) || got.Reason == "" {
			t.Errorf("%s, plan %s:\n got %+v\nwant %s %d %q", test.members, test.plan, got, test.kind, test.member, test.reason)
		}
	}
}

// TestDecideJoin protects what a machine without data may do for itself.
func TestDecideJoin(t *testing.T) {
	for _, test := range []struct {
		members, name string
		prepared      bool
		kind          kind
		member        uint64
		reason        string
	}{
		{"m1*", "m2", false, add, 0, "no member for this machine"},
		{"m1* m2 m3", "m4", false, add, 0, ""},
		{"m1* m2~", "m3", false, none, 2, "learner m2 is not promoted yet"},
		{"m1* m2?", "m3", true, none, 2, "one learner at a time"},
		// Its own, added and never started.
		{"m1* m2?", "m2", true, start, 2, "has not started yet"},
		{"m1* m2?", "m2", false, remove, 2, "has none of its data"},
		// Its own, of a disk that is lost.
		{"m1* m2- m3", "m2", true, remove, 2, "member m2: this machine has none of its data any more"},
		{"m1* m2+-", "m2", true, remove, 2, "learner m2"},
		{"m1* m2- m3 m4- m5", "m2", false, remove, 2, ""},
		{"m1* m2 m3", "m2", false, refuse, 2, "member m2 runs already at https://m2:2380"},
		{"m1* m2-", "m2", false, refuse, 0, "only 1 of 2 voters healthy: quorum is 2, so nothing can change; start machine m2 first"},
		{"m1* m2- m3-", "m2", false, refuse, 0, "start machine m2 or m3 first"},
		// etcd adds nobody where one more that does not answer would cost the quorum.
		{"m1* m2 m3-", "m4", false, refuse, 0, "with m4 one more, 2 of 4 voters would be healthy: quorum would be 3; start machine m3 first"},
		{"m1* m2 m3 m4 m5-", "m6", false, add, 0, ""},
		{"m1 m2", "m3", false, add, 0, ""},
	} {
		got := decide(view{Members: members(test.members), Joins: &joiner{Name: test.name, PeerURL: peer(test.name), Prepared: test.prepared}})
		if got.Kind != test.kind || test.member != 0 && got.Member != test.member || !strings.Contains(got.Reason, test.reason) || got.Reason == "" {
			t.Errorf("%s, %s joins:\n got %+v\nwant %s %d %q", test.members, test.name, got, test.kind, test.member, test.reason)
		}
	}
}

// TestDecideOverdue protects machines that wait behind a learner whose machine is dead, and
// learners that answer, those that others wait for, and voters from being taken for one.
func TestDecideOverdue(t *testing.T) {
	for _, test := range []struct {
		members string
		overdue uint64
		kind    kind
		reason  string
	}{
		{"m1* m2+-", 2, remove, "learner m2: it does not answer (connection refused), and m3 waits for its turn"},
		{"m1* m2?", 2, remove, "never started"},
		{"m1* m2+-", 0, none, "one learner at a time"},
		{"m1* m2~", 2, none, "one learner at a time"}, // it answers again
		{"m1* m2- m4 m5?", 2, none, "one learner at a time"},
		{"m1* m2- m4 m5", 2, add, ""},
		{"m1- m2+-", 2, refuse, "quorum"},
	} {
		got := decide(view{Members: members(test.members), Joins: &joiner{Name: "m3", PeerURL: peer("m3"), Overdue: test.overdue}})
		if got.Kind != test.kind || got.Kind == remove && got.Member != test.overdue || !strings.Contains(got.Reason, test.reason) {
			t.Errorf("%s, overdue %d:\n got %+v\nwant %s %q", test.members, test.overdue, got, test.kind, test.reason)
		}
	}
}

// TestOverdue protects a learner that is slow: only one that has been silent all the time counts.
func TestOverdue(t *testing.T) {
	j := &joining{Options: Options{Patience: time.Minute}}
	at := time.Unix(0, 0)
	for _, step := range []struct {
		members string
		after   time.Duration
		want    uint64
	}{
		{"m1* m2?", 0, 0}, {"m1* m2?", 59 * time.Second, 0}, {"m1* m2?", time.Second, 2}, {"m1* m2+-", time.Second, 2},
		{"m1* m2~", time.Second, 0}, {"m1* m2+-", time.Hour, 0}, {"m1* m2+-", time.Minute, 2},
		{"m1* m2 m4?", time.Minute, 0}, {"m1* m2 m4?", time.Minute, 3}, {"m1* m2-", time.Minute, 0},
	} {
		at = at.Add(step.after)
		if got := j.overdue(members(step.members), at); got != step.want {
			t.Errorf("%s at %s: overdue is %d, want %d", step.members, at.Sub(time.Unix(0, 0)), got, step.want)
		}
	}
}

// TestSameAddress protects that a new machine at an old one's address takes its place,
// rather than that two members claim it.
func TestSameAddress(t *testing.T) {
	old := members("m1* m2 m9-")
	got := decide(view{Members: old, Joins: &joiner{Name: "m3", PeerURL: peer("m9")}})
	if got.Kind != remove || got.Member != 3 {
		t.Errorf("m3 at the address of m9: %+v, want m9 removed", got)
	}
	// And a machine with a new address does not keep its old member beside the new one.
	if got := decide(view{Members: members("m1* m2 m3-"), Joins: &joiner{Name: "m3", PeerURL: peer("m9")}}); got.Kind != remove || got.Member != 3 {
		t.Errorf("m3 at a new address: %+v, want its old member removed", got)
	}
	plan := masters("m1", "m2", "m3")
	plan[2].PeerURL = peer("m9")
	if got := decide(view{Members: members("m1* m2 m9?"), Masters: plan}); got.Kind != none {
		t.Errorf("the keeper, while m3 has been added and not started: %+v, want nothing", got)
	}
}

// TestOrderOfMembers protects that the answer does not hang on the order in which etcd
// lists the members: two who ask at once decide the same.
func TestOrderOfMembers(t *testing.T) {
	all := members("m1 m2* m3- m4 m5 m6~")
	plan := masters("m1", "m2", "m3", "m6")
	want := decide(view{Members: all, Masters: plan})
	for range all {
		all = append(all[1:], all[0])
		if got := decide(view{Members: all, Masters: plan}); got != want {
			t.Errorf("%v: %+v, want %+v", fmt.Sprint(all), got, want)
		}
	}
	slices.Reverse(all)
	if got := decide(view{Members: all, Masters: plan}); got != want {
		t.Errorf("backwards: %+v, want %+v", got, want)
	}
}
