package etcd

import (
	"fmt"
	"time"

	"craton.dev/craton/render/manifests/inventory"
)

// Status is what Keep reports.
type Status = inventory.EtcdStatus

// MemberStatus is one member's.
type MemberStatus = inventory.EtcdMember

func newStatus(s *seen, now time.Time) Status {
	st := Status{Time: now.UTC(), Cluster: hex(s.cluster), Members: make([]MemberStatus, 0, len(s.members))}
	for _, m := range s.members {
		st.Members = append(st.Members, MemberStatus{
			ID: hex(m.ID), Name: m.Name, PeerURL: first(m.PeerURLs), ClientURL: first(m.ClientURLs),
			Learner: m.Learner, Healthy: m.Healthy, Problem: m.Problem, Bytes: m.Size,
		})
		if m.Leader {
			st.Leader = m.called()
		}
	}
	return st
}

// noStatus is one without an answer of the cluster.
func noStatus(problem string, now time.Time) Status {
	return Status{Time: now.UTC(), Members: []MemberStatus{}, Problem: problem}
}

func hex(id uint64) string { return fmt.Sprintf("%x", id) }

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
