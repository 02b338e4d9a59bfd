package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/payload"
)

const (
	// mastersCluster is the cluster with several masters, and severalMasters how many.
	mastersCluster = "benchha"
	severalMasters = 3
	// severalSuffix tells its samples from those of one master.
	severalSuffix = ", 3 masters"
)

// backHolds is how long a cluster has to stay ready to count as back: right after a loss of
// power its API still tells how the machines were before.
const backHolds = 15 * time.Second

// masters brings a cluster of several masters and one worker up, and takes the power from all of
// its machines: how long till all is ready again.
func (b *bench) masters(ctx context.Context) (err error) {
	file, err := b.clusterFile(mastersCluster, 1, fmt.Sprintf("masters: %d\n", severalMasters))
	if err != nil {
		return err
	}
	if err := b.cleanUp(mastersCluster); err != nil {
		return err
	}
	if _, err := (command.Cmd{Name: b.craton, Args: []string{"payload", "build"}, Timeout: time.Hour}).Run(ctx); err != nil {
		return err
	}
	bare, all, err := b.bareStarts(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp(mastersCluster)) }()
	began := time.Now()
	if err := b.bring(ctx, file); err != nil {
		return err
	}
	b.samples.add("up"+severalSuffix, time.Since(began).Seconds())
	return b.back(ctx, bare, all)
}

// bareStarts is how long etcd and an API server take to start as bare processes: one of them, and
// the slowest of as many as there are masters, which share this host's processors.
func (b *bench) bareStarts(ctx context.Context) (one, all time.Duration, err error) {
	p, err := planOf(mastersCluster, 0)
	if err != nil {
		return 0, 0, err
	}
	if err := b.withAPI(ctx, "back", p, func(_ context.Context, api *bareAPI) error {
		one = api.answered
		return nil
	}); err != nil {
		return 0, 0, err
	}
	took := make([]time.Duration, severalMasters)
	group, ctx := errgroup.WithContext(ctx)
	for i := range took {
		group.Go(func() error {
			return b.withAPI(ctx, fmt.Sprintf("back%d", i), p, func(_ context.Context, api *bareAPI) error {
				took[i] = api.answered
				return nil
			})
		})
	}
	err = group.Wait()
	return one, slices.Max(took), err
}

// back takes the power from all machines of the cluster at once, and gives it back. bare and all are
// what bareStarts has found.
func (b *bench) back(ctx context.Context, bare, all time.Duration) error {
	c, err := b.open(ctx, mastersCluster)
	if err != nil {
		return err
	}
	off, offCtx := errgroup.WithContext(ctx)
	for _, m := range c.Plan.Machines {
		off.Go(func() error { return c.Platform.PowerOff(offCtx, m.Name) })
	}
	if err := off.Wait(); err != nil {
		return err
	}
	began := time.Now()
	var booting errgroup.Group // a machine whose boot fails shows in what is not ready
	for _, m := range c.Plan.Machines {
		booting.Go(func() error {
			if err := c.Platform.Start(ctx, m, nil); err != nil {
				return err
			}
			return c.Platform.Exec(ctx, m.Name, []string{"sh", "-c", "until ctr version >/dev/null 2>&1; do sleep 0.1; done"}, nil, nil, nil)
		})
	}
	var boot time.Duration
	booted := make(chan error, 1)
	go func() {
		err := booting.Wait()
		boot = time.Since(began)
		booted <- err
	}()
	ready, err := awaitBack(ctx, c)
	if err := errors.Join(<-booted, err); err != nil {
		return err
	}
	b.samples.add(backSample, ready.Sub(began).Seconds())
	b.samples.add(backFloor, (boot + bare).Seconds())
	b.samples.add(backFloorAll, (boot + all).Seconds())
	return nil
}

// awaitBack waits till the cluster has been ready for a while, and tells since when. A stand-in
// does its component's work.
func awaitBack(ctx context.Context, c *bootstrap.Cluster) (since time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	for {
		asked := time.Now()
		problem := ""
		s, err := c.Status(ctx)
		if err != nil {
			problem = err.Error()
		} else {
			problem, _ = s.Problem()
		}
		switch {
		case problem != "":
			since = time.Time{}
		case since.IsZero():
			since = asked
		case asked.Sub(since) >= backHolds:
			return since, nil
		}
		select {
		case <-ctx.Done():
			return since, fmt.Errorf("after all machines were off: %s: %w", problem, ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// backSample is how long the cluster took till it was ready, and backFloor what nothing can be
// faster than: the slowest machine's boot, then etcd and an API server as bare processes. In
// backFloorAll there are as many of these as masters.
const (
	backSample   = "back" + severalSuffix
	backFloor    = "boot and floor" + severalSuffix
	backFloorAll = "boot and all floors" + severalSuffix
)

// open opens a cluster that `craton up` has made, so that its machines can be booted here.
func (b *bench) open(ctx context.Context, name string) (*bootstrap.Cluster, error) {
	built, err := payload.Build(ctx, payload.Options{Want: payload.Default()})
	if err != nil {
		return nil, err
	}
	c, err := bootstrap.Open(name, bootstrap.Options{})
	if err != nil {
		return nil, err
	}
	c.Platform.Self, c.Platform.Image.Layers = b.craton, []string{built.NodeFS, built.RootFS}
	return c, nil
}
