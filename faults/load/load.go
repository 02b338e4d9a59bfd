// Package load is a number of clients that use a cluster while something befalls it: they
// write and read config maps and leases through the API, and keys of etcd directly, and
// note each request with its answer as a history. Beside them, probes measure how long a
// client that retries is without the API.
//
// It does nothing to the cluster but that, and decides nothing about what it was told:
// package history does.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"craton.dev/craton/faults/history"
)

// Dial connects to a numeric address.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Target is a server that clients use.
type Target struct {
	Name string
	// URL is https://ADDRESS:PORT, without a path.
	URL  string
	TLS  *tls.Config
	Dial Dial
}

// Options are what a load consists of.
type Options struct {
	// Seed decides what each client does next: the same seed, the same requests, as far as
	// their answers are the same.
	Seed uint64
	// Run is part of all names of objects and keys that are made.
	Run string
	API Target
	// Etcd are the members, each by a client of its own; none where etcd is not asked.
	Etcd []Target
}

// attemptLimit is how long a client of the history waits for an answer.
const attemptLimit = 3 * time.Second

// Load is a load that runs.
type Load struct {
	opt      Options
	stop     context.CancelFunc
	clients  sync.WaitGroup
	recorder *recorder
	probes   []*probe
	members  []*member
}

// Result is what became of it.
type Result struct {
	Ops []history.Op
	// Began is the time to which those of the operations are relative.
	Began time.Time
	// Waits are the requests of the probes that took long, by the time of their beginning.
	Waits []Wait
}

// Start starts the clients. They end with ctx or Stop.
func Start(ctx context.Context, opt Options) (*Load, error) {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{opt: opt, stop: stop, recorder: &recorder{began: time.Now()}}
	for _, t := range opt.Etcd {
		m, err := newMember(t, opt.Run)
		if err != nil {
			stop()
			return nil, err
		}
		l.members = append(l.members, m)
	}
	random := func(client int) *rand.Rand { return rand.New(rand.NewPCG(opt.Seed, uint64(client))) }
	// Two of the clients keep their connection, and one makes a new one for each request.
	for id, fresh := range []bool{false, false, true} {
		c := &apiClient{id: id, http: newHTTP(opt.API, fresh), url: opt.API.URL, recorder: l.recorder,
			random: random(id), keys: keys(opt.Run), known: map[string]known{}}
		l.clients.Go(func() { c.run(ctx) })
	}
	if len(l.members) > 0 {
		const id = 3
		c := &etcdClient{id: id, members: l.members, recorder: l.recorder, random: random(id), run: opt.Run, known: map[string]string{}}
		l.clients.Go(func() { c.loop(ctx) })
	}
	for _, fresh := range []bool{false, true} {
		p := &probe{http: newHTTP(opt.API, fresh), url: opt.API.URL, path: probePath(opt.Run), fresh: fresh}
		l.probes = append(l.probes, p)
		l.clients.Go(func() { p.run(ctx) })
	}
	return l, nil
}

// Stop ends the clients, reads each key for the last time, and removes what was made. It
// needs a cluster that answers, for which it waits as long as ctx; what was noted is in the
// result in any case.
func (l *Load) Stop(ctx context.Context) (Result, error) {
	l.stop()
	l.clients.Wait()
	r := Result{Began: l.recorder.began}
	for _, p := range l.probes {
		r.Waits = append(r.Waits, p.waits...)
	}
	err := errors.Join(l.readLast(ctx), l.clean(ctx))
	for _, m := range l.members {
		m.client.Close()
	}
	r.Ops = l.recorder.all()
	return r, err
}

// readLast reads every key until that succeeds.
func (l *Load) readLast(ctx context.Context) error {
	c := &apiClient{id: -1, http: newHTTP(l.opt.API, true), url: l.opt.API.URL, recorder: l.recorder, known: map[string]known{}}
	for _, k := range keys(l.opt.Run) {
		if err := until(ctx, func() error { return c.read(ctx, k, false) }); err != nil {
			return fmt.Errorf("the last read of %s: %w", k, err)
		}
	}
	if len(l.members) == 0 {
		return nil
	}
	e := &etcdClient{id: -1, members: l.members, recorder: l.recorder, random: rand.New(rand.NewPCG(l.opt.Seed, 0)), run: l.opt.Run, known: map[string]string{}}
	if err := until(ctx, func() error { return e.readAll(ctx) }); err != nil {
		return fmt.Errorf("the last read of etcd: %w", err)
	}
	return nil
}

// clean removes what the load has made.
func (l *Load) clean(ctx context.Context) error {
	c := &apiClient{http: newHTTP(l.opt.API, true), url: l.opt.API.URL}
	for _, path := range append(paths(keys(l.opt.Run)), probePath(l.opt.Run)) {
		if err := until(ctx, func() error { return c.remove(ctx, path) }); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	for _, m := range l.members {
		if m.removeAll(ctx) == nil {
			return nil
		}
	}
	return nil // what is left in etcd there is in nobody's way
}

// until tries every half second till it succeeds or ctx ends.
func until(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// recorder collects operations.
type recorder struct {
	began time.Time
	mu    sync.Mutex
	ops   []history.Op
}

// do asks, and notes when that was and what came of it. ask fills in the answer.
func (r *recorder) do(op history.Op, ask func(*history.Op)) history.Op {
	op.Call = time.Since(r.began)
	ask(&op)
	op.Return = time.Since(r.began)
	r.mu.Lock()
	r.ops = append(r.ops, op)
	r.mu.Unlock()
	return op
}

func (r *recorder) all() []history.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops
}

// pause lets a client rest between two requests.
func pause(ctx context.Context, random *rand.Rand) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(40+random.IntN(80)) * time.Millisecond):
		return true
	}
}
