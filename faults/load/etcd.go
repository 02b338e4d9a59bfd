package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"craton.dev/craton/faults/history"
)

// etcdPrefix is before all keys of the load, apart from all that Kubernetes has.
const etcdPrefix = "/craton-faults/"

// member is a client of one member of etcd.
type member struct {
	name   string
	prefix string
	client *clientv3.Client
}

func newMember(t Target, run string) (*member, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{t.URL}, TLS: t.TLS, Logger: zap.NewNop(),
		// A write is sent once: who asks decides whether to ask again.
		MaxUnaryRetries: 1, DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return t.Dial(ctx, "tcp", u.Host) }),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: time.Second,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("client of etcd's member %s: %w", t.Name, err)
	}
	return &member{name: t.Name, prefix: etcdPrefix + run + "/", client: client}, nil
}

func (m *member) removeAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	_, err := m.client.Delete(ctx, m.prefix, clientv3.WithPrefix())
	return err
}

// etcdClient asks the members by turns, in no order: what one has acknowledged, all have to
// know. It has some registers, and beside them keys that are written once each.
type etcdClient struct {
	id       int
	members  []*member
	recorder *recorder
	random   *rand.Rand
	run      string
	known    map[string]string
	written  int
	once     []string
}

func (c *etcdClient) name(key string) string { return etcdPrefix + c.run + "/" + key }

func (c *etcdClient) loop(ctx context.Context) {
	for pause(ctx, c.random) {
		m := c.members[c.random.IntN(len(c.members))]
		key := c.name(fmt.Sprint("register-", c.random.IntN(2)))
		old, ok := c.known[key]
		switch choice := c.random.Float64(); {
		case choice < 0.3:
			c.put(ctx, m)
		case !ok || choice < 0.55:
			c.read(ctx, m, key)
		default:
			c.cas(ctx, m, key, old)
		}
	}
}

// ask notes a request to a member. What has no answer may have been done, or be done yet:
// etcd's errors do not tell.
func (c *etcdClient) ask(ctx context.Context, m *member, op history.Op, call func(context.Context, *history.Op) error) error {
	op.Client, op.Via, op.Outcome = c.id, m.name, history.OK
	var problem error
	c.recorder.do(op, func(op *history.Op) {
		ctx, cancel := context.WithTimeout(ctx, attemptLimit)
		defer cancel()
		if problem = call(ctx, op); problem != nil {
			op.Outcome, op.Error = history.Unknown, problem.Error()
		}
	})
	return problem
}

func (c *etcdClient) put(ctx context.Context, m *member) {
	c.written++
	value := fmt.Sprintf("%d.%d", c.id, c.written)
	key := c.name("once-" + value)
	c.once = append(c.once, key)
	_ = c.ask(ctx, m, history.Op{Key: key, Kind: history.Put, New: value}, func(ctx context.Context, op *history.Op) error {
		_, err := m.client.Put(ctx, key, value)
		return err
	})
}

func (c *etcdClient) read(ctx context.Context, m *member, key string) {
	_ = c.ask(ctx, m, history.Op{Key: key, Kind: history.Read}, func(ctx context.Context, op *history.Op) error {
		got, err := m.client.Get(ctx, key)
		if err != nil {
			return err
		}
		for _, kv := range got.Kvs {
			op.Got = string(kv.Value)
		}
		c.known[key] = op.Got
		return nil
	})
}

func (c *etcdClient) cas(ctx context.Context, m *member, key, old string) {
	c.written++
	delete(c.known, key)
	op := history.Op{Key: key, Kind: history.CAS, Old: old, New: fmt.Sprintf("%d.%d", c.id, c.written)}
	_ = c.ask(ctx, m, op, func(ctx context.Context, op *history.Op) error {
		is := clientv3.Compare(clientv3.Value(key), "=", old)
		if old == "" {
			is = clientv3.Compare(clientv3.Version(key), "=", 0)
		}
		got, err := m.client.Txn(ctx).If(is).Then(clientv3.OpPut(key, op.New)).Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			return err
		}
		if got.Succeeded {
			c.known[key] = op.New
			return nil
		}
		op.Outcome = history.Refused
		for _, kv := range got.Responses[0].GetResponseRange().Kvs {
			op.Got = string(kv.Value)
		}
		return nil
	})
}

// readAll reads every key of the run at once. Keys that were never written are not in it,
// and count as read: they are not there.
func (c *etcdClient) readAll(ctx context.Context) error {
	var errs []error
	for _, m := range c.members {
		limited, cancel := context.WithTimeout(ctx, attemptLimit)
		call := time.Since(c.recorder.began)
		got, err := m.client.Get(limited, c.name(""), clientv3.WithPrefix())
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			continue
		}
		values := map[string]string{}
		for _, kv := range got.Kvs {
			values[string(kv.Key)] = string(kv.Value)
		}
		for _, key := range c.asked() {
			c.recorder.do(history.Op{Client: c.id, Key: key, Kind: history.Read, Got: values[key], Outcome: history.OK, Via: m.name}, func(op *history.Op) {
				op.Call = call
			})
		}
		return nil
	}
	return errors.Join(errs...)
}

// asked are the keys of etcd in the history.
func (c *etcdClient) asked() []string {
	seen := map[string]bool{}
	var out []string
	for _, op := range c.recorder.all() {
		if len(op.Key) > len(etcdPrefix) && op.Key[:len(etcdPrefix)] == etcdPrefix && !seen[op.Key] {
			seen[op.Key] = true
			out = append(out, op.Key)
		}
	}
	return out
}
