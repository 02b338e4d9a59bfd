package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/faults/inject"
)

// What `craton up` says when it comes to a step.
const (
	saysObjects = "applying"
	saysReady   = "looking whether"
)

// prepare brings the cluster to where the load can start. A `craton up` that is under way
// then is returned.
func (p *play) prepare(ctx context.Context) (*up, error) {
	s := p.scenario
	var running *up
	switch s.moment {
	case steady, adding, recovery:
		if err := p.lab.ensure(ctx, s.shape, s.etcd, s.fault.disk); err != nil {
			return nil, err
		}
	case pivot:
		if err := p.lab.fresh(ctx, s.shape, s.fault.disk); err != nil {
			return nil, err
		}
		u, err := p.lab.start(ctx, s.shape, s.etcd)
		if err != nil {
			return nil, err
		}
		if err := u.await(ctx, saysObjects); err != nil {
			return nil, err
		}
		if err := p.lab.open(); err != nil {
			return nil, err
		}
		running = u
	default:
		return nil, fmt.Errorf("there is no moment %q", s.moment)
	}
	var err error
	if p.client, err = p.lab.client(); err != nil {
		return nil, err
	}
	p.inject = &inject.Cluster{Plan: p.lab.cluster.Plan, Platform: p.lab.cluster.Platform}
	if running != nil {
		return running, nil
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		_, problem, standIns := p.lab.problem(ctx)
		if problem = cmp.Or(problem, standIns); problem == "" {
			return nil, nil
		}
		if time.Now().After(end) {
			p.lab.cluster = nil // the next scenario gets another one
			return nil, fmt.Errorf("the cluster is not ready: %s", problem)
		}
	}
}

// awaitMoment lets the load run for a while, and goes on to the moment of the fault.
func (p *play) awaitMoment(ctx context.Context, u *up) error {
	// So that a fault does not always meet the same point of what goes on by itself.
	some := time.Duration(p.random.Int64N(int64(2 * time.Second)))
	switch p.scenario.moment {
	case steady:
		sleep(ctx, 3*time.Second+some)
	case pivot:
		if err := u.await(ctx, saysReady); err != nil {
			return err
		}
		sleep(ctx, 3*some) // the hand-over takes some seconds
	case adding:
		sleep(ctx, 2*time.Second)
		return p.grow(ctx, some)
	}
	return ctx.Err()
}

// grow begins to make three masters of one, and waits till the first new one runs.
func (p *play) grow(ctx context.Context, some time.Duration) error {
	u, err := p.lab.start(ctx, shape{3, p.scenario.shape.workers}, p.scenario.etcd)
	if err != nil {
		return err
	}
	if err := u.await(ctx, "starting "+p.lab.name+"-"+string(contract.Master)); err != nil {
		return err
	}
	if err := p.lab.open(); err != nil {
		return err
	}
	if p.client, err = p.lab.client(); err != nil {
		return err
	}
	p.inject.Plan, p.inject.Platform = p.lab.cluster.Plan, p.lab.cluster.Platform
	p.growing = u
	masters := p.masters()
	p.newMaster = masters[1+p.random.IntN(len(masters)-1)]
	// Its etcd runs from when it has been let in as a learner.
	for len(p.inject.Processes(p.newMaster, "etcd")) == 0 {
		select {
		case <-u.done:
			return fmt.Errorf("`craton up` has ended, and no etcd was seen on %s: %w", p.newMaster, u.err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	sleep(ctx, 2*some)
	return ctx.Err()
}

// endUp waits for the `craton up` under way. One that may fail is run again.
func (p *play) endUp(ctx context.Context, u *up) error {
	s := p.scenario.shape
	if p.growing != nil {
		u, s = p.growing, shape{3, s.workers}
	}
	if u == nil {
		return nil
	}
	err := u.wait(ctx)
	if err != nil && p.scenario.fault.upMayFail {
		p.row.note(p, "up ended: %v", err)
		if u, err = p.lab.start(ctx, s, p.scenario.etcd); err == nil {
			err = u.wait(ctx)
		}
	}
	if err != nil {
		return err
	}
	p.row.note(p, "up has ended")
	return p.lab.open()
}
