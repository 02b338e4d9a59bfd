package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// level is how much has to be right.
type level int

const (
	// machinesReady: the API answers, and every machine is ready by it.
	machinesReady level = iota
	// servesAgain: every component is ready, too. A stand-in does the same work.
	servesAgain
	// settled: and there are no stand-ins.
	settled

	levels = int(settled) + 1
)

// watch follows whether the cluster is ready, and notes each change.
type watch struct {
	end  context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	problem string
	// ok tells for each level whether it is reached, and since when that is so.
	ok    [levels]bool
	since [levels]time.Time
}

func watchStatus(ctx context.Context, p *play) *watch {
	ctx, end := context.WithCancel(ctx)
	w := &watch{end: end, done: make(chan struct{})}
	for l := range w.ok {
		w.ok[l], w.since[l] = true, time.Now() // nothing has begun otherwise
	}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			asked := time.Now()
			machine, problem, standIns := p.lab.problem(ctx)
			if problem == "" {
				// As long as it lacks something that was deleted, it is not what it was.
				name, err := p.missing(ctx)
				if err != nil {
					problem = err.Error()
				} else if name != "" {
					problem = name + " is gone"
				}
			}
			if ctx.Err() != nil {
				return
			}
			w.mu.Lock()
			w.set(asked, machinesReady, machine == "")
			w.set(asked, servesAgain, problem == "")
			w.set(asked, settled, problem == "" && standIns == "")
			if all := cmp.Or(problem, standIns); all != w.problem {
				if all == "" {
					p.row.noteAt(p, asked, "ready")
				} else {
					p.row.noteAt(p, asked, "not ready: %.300s", all)
				}
				w.problem = all
			}
			w.mu.Unlock()
			sleep(ctx, 500*time.Millisecond)
		}
	}()
	return w
}

// set notes that a level is reached, or is not.
func (w *watch) set(at time.Time, l level, ok bool) {
	if ok != w.ok[l] {
		w.ok[l], w.since[l] = ok, at
	}
}

// readyAt is when a level was reached for the last time, or now where it is not.
func (w *watch) readyAt(l level) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ok[l] {
		return time.Now()
	}
	return w.since[l]
}

// awaitReady waits until the cluster has been ready for a while, and the fault is far
// enough away for its consequences to have shown.
func (w *watch) awaitReady(ctx context.Context, p *play, from time.Time, limit time.Duration) error {
	for {
		w.mu.Lock()
		ok, since, problem := w.ok[settled], w.since[settled], w.problem
		w.mu.Unlock()
		if ok && time.Since(since) >= holdsFor && time.Since(from) >= watching {
			return nil
		}
		if time.Since(from) > limit+holdsFor {
			return fmt.Errorf("not ready %.0f s after it: %s", time.Since(from).Seconds(), problem)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (w *watch) stop() {
	w.end()
	<-w.done
}
