package kube

import (
	"context"
	"testing"
	"time"
)

// SetDeep makes a list deep from fewer rows on, till the test ends.
func SetDeep(t *testing.T, rows int) {
	before := deep
	deep = rows
	t.Cleanup(func() { deep = before })
}

// SetHoldIdle makes rows be given up sooner, from those on that are held next, till the test ends.
func SetHoldIdle(t *testing.T, d time.Duration) {
	before := holdIdle
	holdIdle = d
	t.Cleanup(func() { holdIdle = before })
}

// Holds tells whether a cluster's rows are held.
func Holds(c *Cluster) bool { return c.held[0].isWhole() }

// HoldsNotRunning tells whether those are held that do not run.
func HoldsNotRunning(c *Cluster) bool { return c.held[1].isWhole() }

func (h *held) isWhole() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.whole
}

// Ask is Table of what is not held.
func (p *Person) Ask(ctx context.Context, k Kind, ask Ask) (*Page, error) { return p.ask(ctx, k, ask) }
