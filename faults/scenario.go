package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"
)

// scenario is one thing that befalls one cluster at one moment, and what has to hold then.
type scenario struct {
	shape  shape
	etcd   string
	fault  fault
	moment moment
	bounds bounds
	// short ones are in the subset of -short.
	short bool
	// not is why it cannot be played here; "" where it can.
	not string
}

func (s scenario) name() string {
	return fmt.Sprintf("%s/%s/%s/%s", s.shape, s.etcd, s.moment, s.fault.name)
}

// seed is the scenario's own, made of that of the whole run: played alone, it does the same.
func (s scenario) seed(run uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", run, s.name())
	return h.Sum64()
}

// shape is how many machines there are.
type shape struct{ masters, workers int }

func (s shape) String() string { return fmt.Sprintf("%d+%d", s.masters, s.workers) }

// moment is when a fault comes.
type moment string

const (
	steady moment = "steady"
	// pivot is while `craton up` makes the cluster: after the first answer of its API.
	pivot moment = "pivot"
	// adding is while `craton up` makes three masters of one.
	adding moment = "adding"
	// recovery is while `craton recover` sets the cluster back to a backup.
	recovery moment = "recovery"
)

// bounds are the longest that something may take. What has none of its own gets the
// default of the whole.
type bounds struct {
	// gap is how long a client that retries may be without the API. Where the fault itself
	// takes the API away, it is counted from the fault's end.
	gap time.Duration
	// works is how long nobody may do the control plane's work: a Deployment that is made
	// meanwhile waits so long for its pod.
	works time.Duration
	// ready is when every machine and component has to be ready again, and no stand-in runs.
	ready time.Duration
	// floors says that the machines have to be ready again, and the API to answer, within twice what a
	// machine and bare programs take to start.
	floors bool
}

// fault is what befalls a cluster.
type fault struct {
	name string
	// do begins it.
	do func(context.Context, *play) error
	// hold is how long it lasts, and mend ends it; where hold is 0, the cluster has to come
	// back while the fault stays as it is.
	hold time.Duration
	mend func(context.Context, *play) error
	// outage says that there can be no API while it lasts.
	outage bool
	// tidy removes, at the end, what is left of a fault that stays.
	tidy func(context.Context, *play) error
	// upMayFail says that a `craton up` under way may end with an error, and is then run
	// again.
	upMayFail bool
	// disk says that a master needs a disk of its own from the start.
	disk bool
}
