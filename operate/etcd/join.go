package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-logr/logr"
	clientv3 "go.etcd.io/etcd/client/v3"

	"craton.dev/craton/durable"
)

// Options are what Join needs to know of its machine.
type Options struct {
	// Cluster is the cluster's name.
	Cluster string
	// Name and PeerURL are the machine's.
	Name, PeerURL string
	// Endpoints are the other masters' client URLs. The machine's own is no use: nothing
	// listens there yet.
	Endpoints []string
	// First allows the machine to start the cluster, alone. See Join.
	First bool
	// DataDir is etcd's. It has to be in a folder that Join may write to: beside it lie
	// DataDir+".cluster", and data that were moved aside.
	DataDir string
	// Manifest is the file by which the kubelet runs a member that is temporary, or "". When
	// the others have removed such a member, Join does not join again, but removes the file.
	Manifest string
	// Out is where etcd's configuration goes.
	Out    string
	TLS    TLS
	Server Server
	Log    logr.Logger
	// Every is the time between two questions; 0 is half a second.
	Every time.Duration
	// Patience is how long a learner of another machine may not answer before it is taken out,
	// so that this one has its turn; 0 is two minutes. It is far more than a machine needs to
	// start its etcd once it has a member, even where it has to load the image first.
	Patience time.Duration
}

// How says how a machine came to its member.
type How string

const (
	// Stayed: its data are there, and go on.
	Stayed How = "stayed"
	// Alone: it starts the cluster.
	Alone How = "alone"
	// Joined: the others took it in.
	Joined How = "joined"
	// Ended: the member was temporary, and the others have removed it. It is not to start.
	Ended How = "ended"
)

// Result is what Join did.
type Result struct {
	How How
	// Member is 0 where the machine starts the cluster.
	Member uint64
	// Moved is where data of a member went that the others have removed, or "".
	Moved string
}

// Join runs before a master's etcd starts, each time, and returns when the configuration is
// written with which it may start. It waits for the other masters for as long as ctx lasts.
// Killed anywhere, it goes on where it was when it is run again.
//
// A machine with data stays the member that it is, also where nobody answers: after a loss
// of power somebody has to start first. Where the others answer and have removed it, its
// data are moved aside, never deleted, and it joins as a new member.
//
// # Two clusters instead of one
//
// A machine without data that starts alone makes a new, empty cluster. Where there was one
// before, that would look as if all were lost, and clients would write to both. So a machine
// starts alone only where all of these hold:
//
//   - First is set. It should be for one machine of the plan, and only until the cluster
//     has been up once. This is what protects a replaced machine, with an empty disk, while
//     all the others happen to be down: nothing on the machine can tell it from a first one.
//   - No port of the others takes a connection. One that refuses us, or has no quorum, is a
//     cluster.
//   - The file DataDir+".cluster" is not there. It is written before etcd first starts, and
//     stays when the data are lost, deleted or moved.
//   - Or it is there, but the data directory still holds the note that the first start was
//     being prepared, and no log in which anything was committed: then nobody can have been
//     told that something was written. The note is lost with the data.
//
// Should two clusters come to be in spite of that, they never mix: each start alone has a
// random token, of which etcd derives the ids of the cluster and its members, and a member
// of one cluster does not talk to those of another. Join sees that the data are not of the
// cluster that the others have, and refuses.
//
// # A member that forgets
//
// A member whose disk is lost must not come back under its old id: the others count on what
// it has acknowledged. It is removed and a new one is added. A member that was added, but
// has never started, is used only where the note in the data directory shows that it was
// added for that directory; a new one costs nothing.
//
// # A learner that never comes
//
// There is one learner at a time. One whose machine has died would keep all others out until
// somebody mends it or takes it out of the plan, so that after Options.Patience the next one
// in line removes it.
func Join(ctx context.Context, o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	j := &joining{Options: o, data: data{filepath.Clean(o.DataDir)}, clients: newClients(o.TLS)}
	defer j.clients.close()
	var result Result
	id, ok, err := j.data.member()
	if err != nil {
		return result, err
	}
	if ok {
		if ok, err = j.data.usable(); err != nil {
			return result, err
		}
	}
	if ok {
		removed, err := j.removed(ctx, id)
		if err != nil {
			return result, err
		}
		if !removed {
			return Result{How: Stayed, Member: id.Member}, j.stay(id)
		}
		if result.Moved, err = j.data.moveAside("removed", time.Now()); err != nil {
			return result, err
		}
		o.Log.Info("the others have removed this machine's member: its data are moved aside", "to", result.Moved)
	}
	if err := j.data.clear(time.Now()); err != nil {
		return result, err
	}
	result.How, result.Member, err = j.wait(ctx)
	if errors.Is(err, errEnded) {
		result.How = Ended
		return result, j.end()
	}
	return result, err
}

func (o *Options) check() error {
	for _, f := range []struct{ name, value string }{
		{"Cluster", o.Cluster}, {"Name", o.Name}, {"DataDir", o.DataDir}, {"Out", o.Out},
	} {
		if f.value == "" {
			return fmt.Errorf("etcd: join: %s is empty", f.name)
		}
	}
	for _, u := range append([]string{o.PeerURL, o.Server.ClientURL}, o.Endpoints...) {
		if parsed, err := url.Parse(u); err != nil || parsed.Scheme != "https" || parsed.Port() == "" {
			return fmt.Errorf("etcd: join: %q: expected https://ADDRESS:PORT", u)
		}
	}
	if o.Every == 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Minute
	}
	_, err := o.TLS.Config()
	return err
}

type joining struct {
	Options
	data    data
	clients *clients
	told    string
	// learner is the one that does not answer, and since when.
	learner uint64
	since   time.Time
}

// removed tells whether the running cluster has no such member any more. Where nobody
// answers, it has it.
func (j *joining) removed(ctx context.Context, id identity) (bool, error) {
	if len(j.Endpoints) == 0 {
		return false, nil
	}
	list, through, err := j.clients.list(ctx, j.Endpoints, false)
	if err != nil {
		return false, ctx.Err()
	}
	if other := list.Header.GetClusterId(); other != id.Cluster {
		return false, fmt.Errorf("%s holds data of cluster %x, but %s is of cluster %x: there are two; look into both before you move one aside",
			j.DataDir, id.Cluster, through, other)
	}
	for _, m := range list.Members {
		if m.ID == id.Member {
			return false, nil
		}
	}
	return true, nil
}

// stay writes the configuration of a member that has its data. etcd looks at none of what
// it says about the other members then.
func (j *joining) stay(id identity) error {
	if err := j.data.mark(fmt.Sprintf("%x", id.Cluster), time.Now()); err != nil {
		return err
	}
	if err := j.data.started(); err != nil {
		return err
	}
	return j.out(stateExisting, j.Name+"="+j.PeerURL, j.Cluster)
}

func (j *joining) out(state, initialCluster, token string) error {
	text, err := j.config(state, initialCluster, token)
	if err != nil {
		return err
	}
	return durable.WriteFile(j.Out, text, 0o600)
}

// wait goes step by step until the machine has a member.
func (j *joining) wait(ctx context.Context) (How, uint64, error) {
	for {
		member, err := j.step(ctx)
		switch {
		case errors.Is(err, errEnded):
			return "", 0, err
		case err == nil && member != 0:
			return Joined, member, nil
		case err == nil: // one step further: at once to the next
			continue
		case errors.Is(err, errNobody):
			alone, why, err := j.mayStart()
			if err != nil {
				return "", 0, err
			}
			if alone {
				return Alone, 0, j.alone()
			}
			if len(j.Endpoints) == 0 {
				return "", 0, errors.New(why)
			}
			j.tell(why)
		default:
			j.tell(err.Error())
		}
		if !pause(ctx, j.Every) {
			return "", 0, fmt.Errorf("%s has not joined: %w; last: %s", j.Name, ctx.Err(), j.told)
		}
	}
}

// notJoined is how a machine says that it waits.
const notJoined = "not joined yet"

// tell says once what is waited for.
func (j *joining) tell(why string) {
	if why != j.told {
		j.told = why
		j.Log.Info(notJoined, "because", why)
	}
}

var errNobody = errors.New("no other master's etcd answers")

// step does what decide says, once. The member is 0 while there is more to do.
func (j *joining) step(ctx context.Context) (uint64, error) {
	at, listens := somebodyListens(ctx, j.Endpoints)
	if !listens {
		return 0, errNobody
	}
	s, err := j.clients.observe(ctx, j.Endpoints)
	if err != nil {
		return 0, fmt.Errorf("%s takes connections, so there is a cluster: %w", at, err)
	}
	if err := j.data.mark(fmt.Sprintf("%x", s.cluster), time.Now()); err != nil {
		return 0, err
	}
	if j.Manifest != "" && !s.alone {
		return 0, errEnded
	}
	prepared, err := j.data.prepared()
	if err != nil {
		return 0, err
	}
	action := s.decide(view{Joins: &joiner{Name: j.Name, PeerURL: j.PeerURL, Prepared: prepared == toJoin, Overdue: j.overdue(s.members, time.Now())}})
	switch action.Kind {
	case start:
		return j.start(s, action.Member)
	case remove:
		j.Log.Info("remove a member", "because", action.Reason)
		_, err := ask(ctx, j.clients, s.through, changeFor, func(ctx context.Context, c *clientv3.Client) (*clientv3.MemberRemoveResponse, error) {
			return c.MemberRemove(ctx, action.Member)
		})
		return 0, changed(err)
	case add:
		// The note comes first: whatever member of this machine there is from here on was
		// added for this directory, also if the answer is lost.
		if err := j.data.prepare(toJoin); err != nil {
			return 0, err
		}
		_, err := ask(ctx, j.clients, s.through, changeFor, func(ctx context.Context, c *clientv3.Client) (*clientv3.MemberAddResponse, error) {
			return c.MemberAddAsLearner(ctx, []string{j.PeerURL})
		})
		// The next step finds it. For a second after a removal etcd says "member not found":
		// it makes the id of the address and the second, and a removed one never comes back.
		return 0, changed(err)
	}
	return 0, errors.New(action.Reason)
}

// overdue is the learner that has not answered for all of the patience; 0 where there is none.
func (j *joining) overdue(members []Member, now time.Time) uint64 {
	i := slices.IndexFunc(members, func(m Member) bool { return m.Learner && !m.Healthy })
	switch {
	case i < 0:
		j.learner = 0
	case members[i].ID != j.learner:
		j.learner, j.since = members[i].ID, now
	case now.Sub(j.since) >= j.Patience:
		return j.learner
	}
	return 0
}

func (j *joining) start(s *seen, member uint64) (uint64, error) {
	if err := j.out(stateExisting, initial(j.Name, member, s.members), j.Cluster); err != nil {
		return 0, err
	}
	j.Log.Info("joins as a learner", "member", fmt.Sprintf("%x", member), "through", s.through)
	return member, nil
}
