// Package etcd looks after the membership of the cluster's own etcd, where each master has
// a member. Join gives a machine its member, Keep makes the members what the plan says, and Snapshot
// copies the data (package snapshot looks at copies).
//
// What to do is decided by decide, which has no effects. Everything else asks it first, so
// that no caller removes a member that the others cannot do without.
//
// It starts no etcd: it only writes the configuration with which somebody else does. And it
// repairs no cluster that has lost its quorum for good: that is a recovery, which a person
// has to want.
package etcd

import (
	"fmt"
	"slices"
)

// Member is one of the running cluster's, as it was seen at one moment.
type Member struct {
	ID uint64
	// Name is empty until the member has started for the first time.
	Name       string
	PeerURLs   []string
	ClientURLs []string
	// Learner members receive all data and have no vote.
	Learner bool
	// Healthy members answer for themselves and know a leader.
	Healthy bool
	// Problem is why one is not healthy, or what a healthy one complains of.
	Problem string
	Leader  bool
	// Index is the last entry of raft's log that the member has applied.
	Index uint64
	// Size is that of the data on the disk, in bytes.
	Size int64
}

// Started tells whether the member has ever run.
func (m *Member) Started() bool { return m.Name != "" }

// called is what a sentence calls the member.
func (m *Member) called() string {
	if m.Name != "" {
		return m.Name
	}
	if len(m.PeerURLs) > 0 {
		return fmt.Sprintf("%x (%s, never started)", m.ID, m.PeerURLs[0])
	}
	return fmt.Sprintf("%x", m.ID)
}

// at tells whether the member has this name or this place. A machine that got the address
// of another one takes its place.
func (m *Member) at(name, peerURL string) bool {
	return m.Name == name || slices.Contains(m.PeerURLs, peerURL)
}

// Master is a machine of the plan that should have a member.
type Master struct {
	Name, PeerURL, ClientURL string
}

// quorum is how many of these voters have to agree.
func quorum(voters int) int { return voters/2 + 1 }
