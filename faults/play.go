package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/contract"
	"craton.dev/craton/faults/history"
	"craton.dev/craton/faults/inject"
	"craton.dev/craton/faults/load"
)

const (
	// watching is how long the cluster is looked at after the fault at least: what follows
	// from it may come late.
	watching = 15 * time.Second
	// holdsFor is how long it has to be ready to count as ready.
	holdsFor = 6 * time.Second
	// checking is how long the checker may take for one key.
	checking = time.Minute
)

// play is one scenario that is being played.
type play struct {
	scenario scenario
	lab      *lab
	random   *rand.Rand
	inject   *inject.Cluster
	client   kubernetes.Interface
	seed     uint64
	chosen   string
	// newMaster is one that is being added, growing the `craton up` that does so.
	newMaster string
	growing   *up
	stopped   []inject.Process
	off       []string
	wanted    []string
	// boots is how long the machines took till their container runtime answered.
	boots time.Duration
	row   *row
	// wrong says that the history of what clients have seen cannot be.
	wrong bool
	began time.Time // the fault
}

// one is a master that was drawn; always the same in one scenario.
func (p *play) one() string {
	if p.chosen == "" {
		m := p.masters()
		p.chosen = m[p.random.IntN(len(m))]
	}
	return p.chosen
}

func (p *play) masters() []string { return p.lab.machines(contract.Master) }
func (p *play) workers() []string { return p.lab.machines(contract.Worker) }

// powerOn boots the machines that are off, and notes how long the slowest took.
func (p *play) powerOn(ctx context.Context) error {
	began := time.Now()
	if err := p.inject.PowerOn(ctx, p.off); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range p.off {
		group.Go(func() error {
			return p.lab.cluster.Platform.Exec(ctx, m, []string{"sh", "-c", "until ctr version >/dev/null 2>&1; do sleep 0.2; done"}, nil, nil, nil)
		})
	}
	// Everything else goes on meanwhile; only the floor needs this time.
	go func() {
		if group.Wait() == nil {
			p.boots = time.Since(began)
		}
	}()
	return nil
}

// run plays the scenario and fills in its row. What is wrong with the cluster is in the
// row; broken is true where the next scenario needs another cluster. One that only took too long
// is whole again.
func (p *play) run(ctx context.Context, bare time.Duration) (broken bool) {
	if err := p.try(ctx, bare); err != nil {
		p.row.fail("%v", err)
		broken = true
	}
	return broken || p.wrong || p.scenario.moment == adding || p.scenario.moment == recovery
}

func (p *play) try(ctx context.Context, bare time.Duration) error {
	s := p.scenario
	upEnds, err := p.prepare(ctx)
	if err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if s.moment == recovery {
		if err := p.recover(ctx); err != nil {
			p.lab.keep(p)
			return err
		}
		s.fault = nothing // it has been
	}
	api, members, err := p.lab.targets()
	if err != nil {
		return err
	}
	l, err := load.Start(ctx, load.Options{Seed: p.seed, Run: fmt.Sprintf("%08x", uint32(p.seed)), API: api, Etcd: members})
	if err != nil {
		return err
	}
	loadFrom := time.Now()
	stopped := false
	defer func() {
		if !stopped { // on the way of an error
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = l.Stop(ctx)
		}
	}()
	if err := p.awaitMoment(ctx, upEnds); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}

	// From here on, whatever happens belongs to the scenario.
	canaryCtx, endCanary := context.WithCancel(ctx)
	defer endCanary()
	from := time.Now()
	if s.moment != recovery {
		p.began = from
		p.row.note(p, "%s", s.fault.name)
	}
	watch := watchStatus(ctx, p)
	problem := s.fault.do(ctx, p)
	canaries := startCanaries(canaryCtx, p)
	if problem == nil && s.fault.mend != nil {
		if sleep(ctx, s.fault.hold) {
			p.row.note(p, "the fault ends")
			from = time.Now()
			problem = s.fault.mend(ctx, p)
		}
	}
	if problem == nil {
		problem = p.endUp(ctx, upEnds)
	}
	if problem == nil {
		problem = watch.awaitReady(ctx, p, from, s.bounds.ready)
	} else {
		problem = fmt.Errorf("the fault could not be made: %w", problem)
	}
	ended := time.Now()
	if others := p.lab.neighbours(); len(others) > 0 {
		p.row.note(p, "this host runs other clusters: %s", list(others))
	}
	p.row.Machines = seconds(max(0, watch.readyAt(machinesReady).Sub(from)))
	p.row.Ready = seconds(max(0, watch.readyAt(servesAgain).Sub(from)))
	p.row.Settled = seconds(max(0, watch.readyAt(settled).Sub(from)))
	watch.stop()
	if problem == nil {
		canaries.await(ctx, s.bounds.works)
	}
	endCanary()
	p.row.Works = seconds(canaries.longest(from))
	if s.fault.tidy != nil {
		problem = errors.Join(problem, s.fault.tidy(ctx, p))
	}
	problem = errors.Join(problem, canaries.clean(ctx))
	stopCtx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	result, err := l.Stop(stopCtx)
	stopped = true
	problem = errors.Join(problem, err)
	if s.moment == steady {
		// What it has waited before is not the fault's, but tells how busy this host was.
		var before time.Duration
		for _, w := range result.Waits {
			if w.Began.Add(w.Took).Before(p.began) {
				before = max(before, w.Took)
			}
		}
		p.row.note(p, "before the fault, the longest wait for the API was %.1f s", before.Seconds())
		loadFrom = p.began
	}
	p.judge(result, bare, loadFrom, from, ended)
	if problem != nil || p.row.Verdict != passed {
		p.lab.keep(p) // while it is as it failed
	}
	return problem
}

// judge fills in what the load has seen and what the bounds say.
func (p *play) judge(result load.Result, bare time.Duration, loadFrom, from, to time.Time) {
	s, r := p.scenario, p.row
	gap := load.Gap(result.Waits, loadFrom, to)
	r.Gap = seconds(gap.Took)
	if gap.Took > 0 {
		r.note(p, "the longest wait for the API began at %+.1f s and took %.1f s (%s connection): %s",
			gap.Began.Sub(p.began).Seconds(), gap.Took.Seconds(), connection(gap.Fresh), gap.Error)
	}
	r.GapBound, r.WorksBound = seconds(s.bounds.gap), seconds(s.bounds.works)
	r.MachinesBound, r.ReadyBound, r.SettledBound = seconds(s.bounds.ready), seconds(s.bounds.ready), seconds(s.bounds.ready)
	if s.fault.outage {
		r.GapBound += seconds(from.Sub(p.began))
	}
	if s.bounds.floors && p.boots > 0 {
		r.MachinesBound = seconds(2 * (p.boots + bare))
		r.note(p, "the floor: machines boot in %.1f s, bare etcd and API server start in %.1f s", p.boots.Seconds(), bare.Seconds())
	}
	v := history.Check(result.Ops, checking)
	r.Tried, r.Acked, r.Unclear, r.Lost, r.Reads = v.Tried, v.Acked, v.Unclear, v.Lost, v.Reads
	if v.Acked == 0 {
		r.fail("no write was acknowledged: the load shows nothing")
	}
	for _, w := range v.Wrong {
		r.fail("%s", w)
	}
	if len(v.Undecided) > 0 {
		r.fail("the checker did not decide about %s", strings.Join(v.Undecided, ", "))
	}
	p.wrong = r.Verdict == failed
	r.within("without API", r.Gap, r.GapBound)
	r.within("a new Deployment waited", r.Works, r.WorksBound)
	r.within("machines ready again", r.Machines, r.MachinesBound)
	r.within("ready again", r.Ready, r.ReadyBound)
	r.within("stand-ins were there", r.Settled, r.SettledBound)
	if r.Verdict == "" {
		r.Verdict = passed
	}
	p.lab.keepHistory(p, result)
}

func connection(fresh bool) string {
	if fresh {
		return "new"
	}
	return "kept"
}

// scratch is where a scenario's files are kept.
func (l *lab) scratch(p *play) string {
	return filepath.Join(l.dir, strings.NewReplacer("/", "_", " ", "-", ",", "").Replace(p.scenario.name()))
}

// sleep waits, and is false where ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func seconds(d time.Duration) float64 { return d.Seconds() }
