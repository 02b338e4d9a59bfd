package etcd

import (
	"context"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// complains tells whether a member that works reports an error. Asking for the list of
// alarms writes an entry into the log of every member, so that nobody should ask for it
// every two seconds.
func (s *seen) complains() bool {
	return slices.ContainsFunc(s.members, func(m Member) bool { return m.Healthy && m.Problem != "" })
}

// alarms are sentences, sorted.
func (k *keeper) alarms(ctx context.Context, s *seen) ([]string, error) {
	list, err := ask(ctx, k.clients, s.through, askFor, func(ctx context.Context, c *clientv3.Client) (*clientv3.AlarmResponse, error) {
		return c.AlarmList(ctx)
	})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range list.Alarms {
		called := hex(a.MemberID)
		if m := s.member(a.MemberID); m != nil {
			called = m.called()
		}
		switch a.Alarm {
		case pb.AlarmType_NOSPACE:
			out = append(out, fmt.Sprintf("NOSPACE on member %s: the data have reached their limit, so nothing can be written; delete objects, then compact, defragment and disarm the alarm", called))
		case pb.AlarmType_CORRUPT:
			out = append(out, fmt.Sprintf("CORRUPT on member %s: its data differ from the others'; replace machine %s", called, called))
		default:
			out = append(out, fmt.Sprintf("%s on member %s", a.Alarm, called))
		}
	}
	slices.Sort(out)
	return out, nil
}
