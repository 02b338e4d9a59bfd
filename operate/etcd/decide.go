package etcd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// view is what there is when somebody asks for the next action.
type view struct {
	Members []Member
	// Masters are the plan's. Only the keeper has them.
	Masters []Master
	// Joins is the machine that asks for itself; nil where the keeper asks.
	Joins *joiner
}

// joiner is a machine without data that wants a member.
type joiner struct {
	Name, PeerURL string
	// Prepared says that any member of this machine which has never started was added for
	// the data directory that the machine has now (see data.prepare). Only then can it be
	// used: raft does not survive a member that forgets what it has acknowledged.
	Prepared bool
	// Overdue is the learner of another machine that this one has waited for in vain, or 0.
	Overdue uint64
}

// kind is what to do.
type kind string

const (
	// none: there is nothing to do now.
	none kind = "none"
	// add the machine that asks, as a learner.
	add kind = "add"
	// start the machine that asks: the cluster has a member for it.
	start kind = "start"
	// promote a learner to a voter.
	promote kind = "promote"
	// remove a member.
	remove kind = "remove"
	// refuse: something is to be done, and would do harm.
	refuse kind = "refuse"
)

// action is one step, with a sentence that says why.
type action struct {
	Kind kind
	// Member is the one to start, promote or remove.
	Member uint64
	Reason string
}

// decide names the next single step. No step leaves fewer healthy voters than the quorum of
// the members that are then left, and there is never more than one learner.
//
// It is to be asked again after each step, with what there is then.
func decide(v view) action {
	c := newCount(v.Members)
	if len(c.voters) == 0 {
		return action{Kind: refuse, Reason: "no voter is known: expected at least one"}
	}
	if len(c.healthy) < quorum(len(c.voters)) {
		return action{Kind: refuse, Reason: fmt.Sprintf("only %d of %d voters healthy: quorum is %d, so nothing can change; start machine %s first",
			len(c.healthy), len(c.voters), quorum(len(c.voters)), or(c.down))}
	}
	if v.Joins != nil {
		return c.join(*v.Joins)
	}
	return c.keep(v.Masters)
}

// count sorts the members, each kind by name.
type count struct {
	voters, healthy, down, learners []Member
}

func newCount(members []Member) count {
	var c count
	sorted := slices.SortedFunc(slices.Values(members), func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	for _, m := range sorted {
		switch {
		case m.Learner:
			c.learners = append(c.learners, m)
			continue
		case m.Healthy:
			c.healthy = append(c.healthy, m)
		default:
			c.down = append(c.down, m)
		}
		c.voters = append(c.voters, m)
	}
	return c
}

func (c count) join(j joiner) action {
	for _, m := range slices.Concat(c.learners, c.down, c.healthy) {
		switch {
		case !m.at(j.Name, j.PeerURL):
		case j.Prepared && !m.Started() && slices.Contains(m.PeerURLs, j.PeerURL):
			return action{Kind: start, Member: m.ID, Reason: "the member was added for this machine and has not started yet"}
		case m.Healthy:
			return action{Kind: refuse, Member: m.ID, Reason: fmt.Sprintf("member %s runs already at %s, with data that this machine does not have: stop it there first",
				m.called(), strings.Join(m.PeerURLs, ","))}
		default:
			return c.remove(m, "this machine has none of its data any more")
		}
	}
	if len(c.learners) > 0 {
		// It has no vote, so nobody is worse off without it, and its machine joins anew when it
		// is back.
		if l := c.learners[0]; l.ID == j.Overdue && !l.Healthy {
			return c.remove(l, fmt.Sprintf("it does not answer (%s), and %s waits for its turn", l.Problem, j.Name))
		}
		return action{Kind: none, Member: c.learners[0].ID,
			Reason: fmt.Sprintf("learner %s is not promoted yet, and there is one learner at a time", c.learners[0].called())}
	}
	// etcd counts the newcomer as one that does not answer. A cluster of one has to grow.
	if needed := quorum(len(c.voters) + 1); len(c.voters) > 1 && len(c.healthy) < needed {
		return action{Kind: refuse, Reason: fmt.Sprintf("with %s one more, %d of %d voters would be healthy: quorum would be %d; start machine %s first, or take it out of the plan",
			j.Name, len(c.healthy), len(c.voters)+1, needed, or(c.down))}
	}
	return action{Kind: add, Reason: "the cluster has no member for this machine"}
}

func (c count) keep(masters []Master) action {
	if len(masters) == 0 {
		return action{Kind: refuse, Reason: "the plan has no master: expected at least one; no member is removed"}
	}
	planned := func(m Member) bool {
		return slices.ContainsFunc(masters, func(p Master) bool { return m.at(p.Name, p.PeerURL) })
	}
	var waiting string
	for _, m := range c.learners {
		switch {
		case !planned(m):
			return c.remove(m, "its machine is no longer in the plan")
		case !m.Started():
			waiting = fmt.Sprintf("learner %s has not started yet", m.called())
		case !m.Healthy:
			waiting = fmt.Sprintf("learner %s does not answer: %s", m.called(), m.Problem)
		case !c.caughtUp(m):
			waiting = fmt.Sprintf("learner %s has read up to entry %d of %d", m.called(), m.Index, c.index())
		default:
			return action{Kind: promote, Member: m.ID, Reason: fmt.Sprintf("learner %s has caught up", m.called())}
		}
	}
	gone := slices.DeleteFunc(slices.Concat(c.down, followersFirst(c.healthy)), planned)
	if len(gone) > 0 {
		m := gone[0]
		// One that works is worth having until those that come instead of it work as well.
		if m.Healthy && len(c.voters) <= len(masters) {
			return action{Kind: none, Reason: fmt.Sprintf("member %s stays, though its machine is no longer in the plan, until %s",
				m.called(), cmp.Or(waiting, c.missing(masters)+" joins"))}
		}
		return c.remove(m, "its machine is no longer in the plan")
	}
	if waiting != "" {
		return action{Kind: none, Reason: waiting}
	}
	if missing := c.missing(masters); missing != "" {
		return action{Kind: none, Reason: "waiting for " + missing + " to join"}
	}
	return action{Kind: none, Reason: "the members are those of the plan"}
}

// remove refuses where the members that are left could no longer decide anything. The
// quorum of none is one, so that the last voter stays.
func (c count) remove(m Member, why string) action {
	if m.Learner {
		return action{Kind: remove, Member: m.ID, Reason: fmt.Sprintf("learner %s: %s", m.called(), why)}
	}
	healthy, voters := len(c.healthy), len(c.voters)-1
	if m.Healthy {
		healthy--
	}
	if healthy < quorum(voters) {
		others := slices.DeleteFunc(slices.Clone(c.down), func(d Member) bool { return d.ID == m.ID })
		return action{Kind: refuse, Member: m.ID, Reason: fmt.Sprintf("removing member %s would leave %d of %d voters healthy: quorum is %d; start machine %s first",
			m.called(), healthy, voters, quorum(voters), or(others))}
	}
	return action{Kind: remove, Member: m.ID, Reason: fmt.Sprintf("member %s: %s", m.called(), why)}
}

// caughtUp is etcd's own measure: nine tenths of the leader's log. etcd has the last word,
// but a learner that only starts would otherwise fill its log with refusals.
func (c count) caughtUp(m Member) bool {
	last := c.index()
	return last > 0 && m.Index >= last-last/10
}

// index is the furthest that a healthy voter is.
func (c count) index() uint64 {
	var last uint64
	for _, m := range c.healthy {
		last = max(last, m.Index)
	}
	return last
}

// missing names the plan's masters that have no vote, or is "".
func (c count) missing(masters []Master) string {
	var names []string
	for _, p := range masters {
		if !slices.ContainsFunc(c.voters, func(m Member) bool { return m.at(p.Name, p.PeerURL) }) {
			names = append(names, p.Name)
		}
	}
	return strings.Join(names, ", ")
}

// followersFirst puts the leader last: while others choose a new one nobody can write.
func followersFirst(members []Member) []Member {
	return slices.SortedStableFunc(slices.Values(members), func(a, b Member) int {
		switch {
		case a.Leader == b.Leader:
			return 0
		case a.Leader:
			return 1
		}
		return -1
	})
}

// or lists members for a person to choose from.
func or(members []Member) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.called()
	}
	return strings.Join(names, " or ")
}
