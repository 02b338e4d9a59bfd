package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"craton.dev/craton/disk"
	"craton.dev/craton/plan"
)

// What can go wrong with a host ends in one sentence that says the cause and the next step.
// Before anything is made: preflight. While Up waits for what runs: watch. And whatever
// else fails in a step: trouble.

// preflight refuses what cannot end well, before the payload is built for minutes.
func (c *Cluster) preflight(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			c.abandon()
		}
	}()
	if err := clockTrouble(time.Now(), c.opt.Built, authorities(c.pkiDir())); err != nil {
		return err
	}
	if err := c.Platform.Foreign(); err != nil {
		return err
	}
	off, err := c.off(ctx)
	if err != nil {
		return err
	}
	if err := c.Platform.Room(off); err != nil {
		return err
	}
	return c.checkEtcd(ctx)
}

// off are the plan's machines that do not run.
func (c *Cluster) off(ctx context.Context) ([]plan.Machine, error) {
	states, err := c.Platform.States(ctx)
	if err != nil {
		return nil, err
	}
	running := map[string]bool{}
	for _, s := range states {
		running[s.Name] = s.Running
	}
	var off []plan.Machine
	for _, m := range c.Plan.Machines {
		if !running[m.Name] {
			off = append(off, m)
		}
	}
	return off, nil
}

// abandon takes an empty folder of state away, so that what was refused leaves nothing.
func (c *Cluster) abandon() {
	if os.Remove(c.Dir) == nil { // only where it is empty
		os.Remove(StateRoot)
	}
}

// watchPause is how often Up looks, while it waits, whether there is still something to
// wait for.
const watchPause = 500 * time.Millisecond

// watch returns a context that ends, with the reason as its cause, when a machine or one of
// its surroundings has ended or their disk is full: then no waiting helps.
func (c *Cluster) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, fail := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(watchPause)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// A full disk ends programs too, so it is asked first.
			if err := c.Platform.Full(); err != nil {
				fail(err)
			} else if err := c.Platform.Ended(); err != nil {
				fail(err)
			}
		}
	}()
	return ctx, func() { fail(context.Canceled) }
}

// await calls check until it returns no reason to wait, and fails with the last reason
// after the limit, or soon after a machine has ended meanwhile.
func (c *Cluster) await(ctx context.Context, limit, pause time.Duration, check func(context.Context) (wait string, err error)) error {
	watched, stop := c.watch(ctx)
	defer stop()
	err := wait(watched, limit, pause, check)
	// Whatever the check says, a machine that has ended is why.
	if cause := context.Cause(watched); err != nil && cause != nil {
		return cause
	}
	return err
}

// telling is a check that also says each new reason to wait, once.
func (c *Cluster) telling(check func(context.Context) (wait string, err error)) func(context.Context) (string, error) {
	said := ""
	return func(ctx context.Context) (string, error) {
		reason, err := check(ctx)
		if reason != "" && reason != said {
			said = reason
			c.opt.say("waiting: %s", reason)
		}
		return reason, err
	}
}

// wait is await without a look at the machines.
func wait(ctx context.Context, limit, pause time.Duration, check func(context.Context) (wait string, err error)) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		reason, err := check(limited)
		if err != nil {
			return err
		}
		if reason == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limited.Done():
			if ctx.Err() != nil { // both have ended, and which is seen first is chance
				return context.Cause(ctx)
			}
			return fmt.Errorf("after %s: %s; `craton status` says more", limit, reason)
		case <-time.After(pause):
		}
	}
}

// trouble is what Up says of an error in a step: the cause and, where the error itself has
// no next step, what can be done.
func (c *Cluster) trouble(ctx context.Context, step string, err error) error {
	defer c.abandon()
	if step == stepLock && !disk.Full(err) {
		return err // nothing was begun
	}
	text := strings.TrimPrefix(oneLine(err.Error()), step+": ")
	const again = "run `craton up` again, or `craton down` to remove what there is"
	switch {
	case ctx.Err() != nil:
		text = fmt.Sprintf("stopped in step %s: run `craton up` again to go on, or `craton down` to remove it", step)
	case disk.Full(err) && !strings.Contains(text, "disk is full"):
		where := "which one, the system does not say"
		if room, err := disk.At(c.Dir); err == nil {
			where = room.String()
		}
		text = fmt.Sprintf("step %s: a disk is full: %s, and %d machines need about %s: make room, then %s (%s)",
			step, where, len(c.Plan.Machines), disk.Size(c.Platform.Need(c.Plan.Machines)), again, text)
	case strings.Contains(text, "`") || strings.HasSuffix(text, " again"): // it says itself what to do
		text = fmt.Sprintf("step %s: %s", step, text)
	default:
		text = fmt.Sprintf("step %s: %s: correct that and %s", step, text, again)
	}
	return &sentence{text, err}
}

// inWords is an error of something that somebody may have stopped, in one line.
func inWords(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "stopped"
	}
	return oneLine(said(err).Error())
}

// stepLock stands for what Up does before its steps.
const stepLock = "lock"

// sentence is an error in other words.
type sentence struct {
	text  string
	cause error
}

func (s *sentence) Error() string { return s.text }
func (s *sentence) Unwrap() error { return s.cause }

// SaysNext tells whether an error says already what was stopped or failed, and what can be done.
func SaysNext(err error) bool {
	_, ok := errors.AsType[*sentence](err)
	return ok
}

// oneLine joins the lines of what programs print.
func oneLine(text string) string {
	var parts []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " / ")
}
