package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// KeepOptions are what Keep needs.
type KeepOptions struct {
	TLS TLS
	// Endpoints are asked besides those of the masters and of the members that are known:
	// the machine's own.
	Endpoints []string
	// Masters are the plan's, at this moment.
	Masters func() ([]Master, error)
	// Seed is the client URL of a temporary member, at this moment, or ""; it may be nil. The
	// plan has no such machine, so that it is removed once the masters' members work.
	Seed func() string
	// Needed says why a member that works is not to be removed yet, though the others could do
	// without it, or ""; it may be nil.
	Needed func(context.Context, Member) string
	// Report gets the status after each round; nil for nobody. It must not block.
	Report func(Status)
	Log    logr.Logger
	// Every is the time between two rounds; 0 is two seconds.
	Every time.Duration
}

// Keep makes the members what the plan says, one step at a time: it promotes learners that
// have caught up and removes members whose machines have left the plan, where the quorum
// allows. It adds nobody: machines ask for themselves, with Join.
//
// It is for one process of the cluster at a time. Two do no harm beyond what etcd itself
// prevents, but two removals might meet. It returns when ctx ends, which is no error, or at
// once where the files of TLS are not what they should be.
func Keep(ctx context.Context, o KeepOptions) error {
	if _, err := o.TLS.Config(); err != nil {
		return err
	}
	k := &keeper{KeepOptions: o, clients: newClients(o.TLS)}
	defer k.clients.close()
	for {
		status := k.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		k.tell(status)
		if o.Report != nil {
			o.Report(status)
		}
		every := cmp.Or(o.Every, 2*time.Second)
		if k.soon {
			every /= 5
		}
		if !pause(ctx, every) {
			return nil
		}
	}
}

type keeper struct {
	KeepOptions
	clients *clients
	// known are the members' URLs of the last round: a member that is to be removed is not
	// among the plan's masters, but may be the only one that answers.
	known []string
	// soon: something changes right now, and the next step may be possible in a moment.
	soon bool
	told string
}

func (k *keeper) round(ctx context.Context) Status {
	masters, err := k.Masters()
	if err != nil {
		return noStatus("the plan's masters: "+err.Error(), time.Now())
	}
	s, err := k.clients.observe(ctx, k.endpoints(masters))
	if err != nil {
		return noStatus(err.Error(), time.Now())
	}
	k.remember(s, masters)
	status := newStatus(s, time.Now())
	if !s.alone && s.complains() {
		if status.Alarms, err = k.alarms(ctx, s); err != nil {
			status.Problem = "etcd's alarms: " + err.Error()
		}
	}
	next := s.decide(view{Masters: masters})
	k.soon = next.Kind == promote || next.Kind == remove || slices.ContainsFunc(s.members, func(m Member) bool { return m.Learner })
	if m := s.member(next.Member); next.Kind == remove && m != nil && m.Healthy && k.Needed != nil {
		if why := k.Needed(ctx, *m); why != "" {
			next = action{Kind: none, Reason: fmt.Sprintf("member %s stays for now: %s", m.called(), why)}
		}
	}
	status.Action = string(next.Kind) + ": " + next.Reason
	if next.Kind == refuse {
		status.Refusal = next.Reason
		return status
	}
	switch err := k.apply(ctx, s, next, masters); {
	case errors.Is(err, rpctypes.ErrUnhealthy), errors.Is(err, rpctypes.ErrMemberLearnerNotReady):
		// Both end by themselves: where they would not, decide has refused.
		status.Action += fmt.Sprintf("; not yet: %v", changed(err))
	case err != nil:
		status.Refusal = fmt.Sprintf("%s failed (%s): %v", next.Kind, next.Reason, err)
	}
	return status
}

func (k *keeper) endpoints(masters []Master) []string {
	urls := slices.Concat(k.Endpoints, k.known)
	if k.Seed != nil {
		urls = append(urls, k.Seed())
	}
	for _, m := range masters {
		urls = append(urls, m.ClientURL)
	}
	urls = slices.DeleteFunc(urls, func(u string) bool { return u == "" })
	slices.Sort(urls)
	return slices.Compact(urls)
}

// remember keeps connections only to those that will be asked again.
func (k *keeper) remember(s *seen, masters []Master) {
	k.known = k.known[:0]
	for _, m := range s.members {
		k.known = append(k.known, first(m.ClientURLs))
	}
	urls := map[string]bool{}
	for _, u := range k.endpoints(masters) {
		urls[u] = true
	}
	k.clients.only(urls)
}

func (k *keeper) apply(ctx context.Context, s *seen, action action, masters []Master) (err error) {
	switch action.Kind {
	case promote:
		_, err = ask(ctx, k.clients, s.through, changeFor, func(ctx context.Context, c *clientv3.Client) (*clientv3.MemberPromoteResponse, error) {
			return c.MemberPromote(ctx, action.Member)
		})
	case remove:
		if m := s.member(action.Member); m != nil && m.Leader {
			k.handOver(ctx, s, m, masters)
		}
		// Not through the member itself: it stops in the middle of its answer.
		_, err = ask(ctx, k.clients, s.besides(action.Member), changeFor, func(ctx context.Context, c *clientv3.Client) (*clientv3.MemberRemoveResponse, error) {
			return c.MemberRemove(ctx, action.Member)
		})
	default:
		return nil
	}
	switch {
	case err == nil:
		k.Log.Info("changed the members of etcd", "action", action.Kind, "member", hex(action.Member), "because", action.Reason)
	case errors.Is(err, rpctypes.ErrMemberNotFound), errors.Is(err, rpctypes.ErrMemberNotLearner):
		return nil // it is done: somebody else did it, or we did and the answer was lost
	}
	return err
}

// handOver lets another member lead before the leader is removed, so that nobody waits for
// an election. Where it fails, the election comes.
func (k *keeper) handOver(ctx context.Context, s *seen, leader *Member, masters []Master) {
	for _, m := range s.members {
		stays := slices.ContainsFunc(masters, func(p Master) bool { return m.at(p.Name, p.PeerURL) })
		if m.ID == leader.ID || m.Learner || !m.Healthy || !stays {
			continue
		}
		_, err := ask(ctx, k.clients, first(leader.ClientURLs), changeFor, func(ctx context.Context, c *clientv3.Client) (*clientv3.MoveLeaderResponse, error) {
			return c.MoveLeader(ctx, m.ID)
		})
		if err != nil {
			k.Log.Info("the leader does not hand over", "leader", leader.called(), "to", m.called(), "because", err.Error())
			continue
		}
		return
	}
}

// tell logs what has changed since the last round.
func (k *keeper) tell(s Status) {
	now := fmt.Sprint(s.Action, s.Refusal, s.Problem, s.Alarms)
	if now == k.told {
		return
	}
	k.told = now
	k.Log.Info("etcd's members", "action", s.Action, "refusal", s.Refusal, "problem", s.Problem, "alarms", s.Alarms)
}
