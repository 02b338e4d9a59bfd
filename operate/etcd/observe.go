package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// seen is a running cluster at one moment.
type seen struct {
	cluster uint64
	members []Member
	// through is the endpoint that answered: changes go there.
	through string
	// alone says that there is no quorum: the members are those that one member knows of,
	// good for a sentence and for nothing else.
	alone bool
}

func (s *seen) member(id uint64) *Member {
	for i := range s.members {
		if s.members[i].ID == id {
			return &s.members[i]
		}
	}
	return nil
}

// observe asks every endpoint for the list of members, takes the first answer, and asks
// each member how it is. A list comes from a quorum: a member that is cut off from the
// others cannot give it. Where there is none, a member says what it knows; it fails where
// none answers at all.
func (c *clients) observe(ctx context.Context, endpoints []string) (*seen, error) {
	list, through, err := c.list(ctx, endpoints, false)
	alone := err != nil
	if alone {
		if list, through, _ = c.list(ctx, endpoints, true); list == nil {
			return nil, err
		}
	}
	s := &seen{cluster: list.Header.GetClusterId(), through: through, alone: alone, members: make([]Member, len(list.Members))}
	var group sync.WaitGroup
	for i, m := range list.Members {
		s.members[i] = Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner}
		group.Go(func() { c.health(ctx, s.cluster, &s.members[i]) })
	}
	group.Wait()
	return s, nil
}

// list asks for the members that a quorum knows or, where alone is set, one of them. It
// does not wait for a connection, as the client's own call would: an answer that there is
// nobody is one, too.
func (c *clients) list(ctx context.Context, endpoints []string, alone bool) (*pb.MemberListResponse, string, error) {
	type answer struct {
		list *pb.MemberListResponse
		from string
		err  error
	}
	if len(endpoints) == 0 {
		return nil, "", errors.New("etcd: no endpoint to ask")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, len(endpoints))
	for _, url := range endpoints {
		go func() {
			list, err := ask(ctx, c, url, askFor, func(ctx context.Context, client *clientv3.Client) (*pb.MemberListResponse, error) {
				return pb.NewClusterClient(client.ActiveConnection()).MemberList(ctx, &pb.MemberListRequest{Linearizable: !alone})
			})
			answers <- answer{list, url, err}
		}()
	}
	var errs []error
	for range endpoints {
		a := <-answers
		if a.err == nil {
			return a.list, a.from, nil
		}
		errs = append(errs, a.err)
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return nil, "", fmt.Errorf("no etcd answers with a list of its members: %w", errors.Join(errs...))
}

// health asks the member itself. What listens at its address may by now be another one: a
// machine with a new disk has the old one's address.
func (c *clients) health(ctx context.Context, cluster uint64, m *Member) {
	if len(m.ClientURLs) == 0 {
		m.Problem = "it has never started"
		return
	}
	status, err := ask(ctx, c, m.ClientURLs[0], askFor, func(ctx context.Context, client *clientv3.Client) (*pb.StatusResponse, error) {
		return pb.NewMaintenanceClient(client.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
	})
	switch {
	case err != nil:
		m.Problem = err.Error()
	case status.Header.GetMemberId() != m.ID || status.Header.GetClusterId() != cluster:
		m.Problem = fmt.Sprintf("member %x of cluster %x answers in its place", status.Header.GetMemberId(), status.Header.GetClusterId())
	case status.Leader == 0:
		m.Problem = "it knows no leader"
	default:
		m.Healthy = true
		m.Leader = status.Leader == m.ID
		m.Index = status.RaftAppliedIndex
		m.Size = status.DbSize
		if len(status.Errors) > 0 {
			m.Problem = status.Errors[0]
		}
	}
}

// somebodyListens tells whether a port of these takes connections. What answers there may
// be out of quorum, or refuse our certificate: it is a sign of a cluster all the same.
func somebodyListens(ctx context.Context, endpoints []string) (string, bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan string, len(endpoints))
	for _, endpoint := range endpoints {
		go func() {
			parsed, err := url.Parse(endpoint)
			if err != nil {
				found <- ""
				return
			}
			dialer := net.Dialer{Timeout: askFor}
			conn, err := dialer.DialContext(ctx, "tcp", parsed.Host)
			if err != nil {
				found <- ""
				return
			}
			conn.Close()
			found <- endpoint
		}()
	}
	for range endpoints {
		if at := <-found; at != "" {
			return at, true
		}
	}
	return "", false
}

// pause returns false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// decide asks the function of that name, about members that a quorum vouches for. One that is cut off may list as
// voters whom the others have removed long ago.
func (s *seen) decide(v view) action {
	v.Members = s.members
	next := decide(v)
	if s.alone && next.Kind != refuse {
		return action{Kind: refuse, Reason: fmt.Sprintf("there is no quorum, or an election goes on: %s knows no leader", s.through)}
	}
	return next
}

// besides is the endpoint of a healthy voter other than this one.
func (s *seen) besides(id uint64) string {
	for _, m := range s.members {
		if m.ID != id && m.Healthy && !m.Learner && len(m.ClientURLs) > 0 {
			return m.ClientURLs[0]
		}
	}
	return s.through
}
