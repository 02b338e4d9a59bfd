package checkpoint

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"
)

// How long an answer of the API is used while nothing else changes.
const (
	// calm: every real pod is ready and no stand-in is there.
	calmAPI = 2 * time.Second
	// nodeAge: labels change by an administrator's hand.
	nodeAge = 10 * time.Second
)

// observer looks at the API, the runtime and the disk.
type observer struct {
	components []component
	node       string
	label      string
	api        *api
	runtime    *runtime
	disk       *disk

	asked   time.Time
	answer  answer
	before  []running
	nodeAt  time.Time
	nodeIs  membership
	nodeErr error
}

// answer is all that the API says.
type answer struct {
	reach  reached
	err    error
	real   []podNote
	node   membership
	leases map[string]leaseNote
	// storing are the pods, stand-ins too, of what is storing and has a stand-in here.
	storing []podNote
}

type leaseNote struct{ version, holder string }

// sight is one look at everything, with what carrying out a decision needs.
type sight struct {
	looks map[string]look
	// pods are this machine's real pods that are ready, by component.
	pods map[string]podNote
	// What could not be asked, and why.
	apiErr, runtimeErr, diskErr error
}

// look looks at everything; at the API only when it is time for that, or something else
// has changed.
func (o *observer) look(ctx context.Context, now time.Time, calm bool) sight {
	s := sight{looks: map[string]look{}, pods: map[string]podNote{}}
	var run []running
	run, s.runtimeErr = o.runtime.list(ctx)
	if !calm || now.Sub(o.asked) >= calmAPI || !slices.Equal(run, o.before) {
		o.answer, o.asked = o.askAPI(ctx, now), now
	}
	o.before = run
	s.apiErr = o.answer.err
	for _, c := range o.components {
		l, pod, err := o.component(ctx, c, run, s.runtimeErr == nil)
		if err != nil {
			s.diskErr = err
		}
		s.looks[c.Name] = l
		if l.Real == processReady {
			s.pods[c.Name] = pod
		}
	}
	return s
}

func (o *observer) askAPI(ctx context.Context, now time.Time) answer {
	var a answer
	var names []string
	for _, c := range o.components {
		names = append(names, c.Name)
	}
	a.real, a.err = o.api.pods(ctx, componentLabel+" in ("+strings.Join(names, ",")+"),"+standInLabel+"!=true")
	for _, c := range o.components {
		if _, active, err := o.disk.Has(c.Name); c.Kind == storing && active && err == nil && a.err == nil {
			a.storing, a.err = o.api.pods(ctx, componentLabel+"="+c.Name)
		}
	}
	if a.err == nil {
		a.leases = map[string]leaseNote{}
		for _, c := range o.components {
			if c.Kind != leading {
				continue
			}
			var l leaseNote
			if l.version, l.holder, a.err = o.api.lease(ctx, c.Name); a.err != nil {
				break
			}
			a.leases[c.Name] = l
		}
	}
	if a.err == nil {
		if o.nodeAt.IsZero() || o.nodeErr != nil || now.Sub(o.nodeAt) >= nodeAge {
			o.nodeIs, o.nodeErr = o.api.membership(ctx, o.label)
			o.nodeAt = now
		}
		a.node, a.err = o.nodeIs, o.nodeErr
	}
	a.reach = reach(a.err)
	return a
}

// component puts together what is known of one; pod is this machine's where it is ready.
func (o *observer) component(ctx context.Context, c component, run []running, known bool) (l look, pod podNote, err error) {
	a := o.answer
	l = look{Runtime: known, API: a.reach, Node: a.node, Lease: a.leases[c.Name].version}
	holder := a.leases[c.Name].holder
	l.HeldHere = holder == o.node || holder == ""
	var pods []string
	for _, r := range run {
		switch {
		case r.component != c.Name:
		case r.file:
			l.StandIn = true
		default:
			l.Real = processRunning
			pods = append(pods, r.pod)
		}
	}
	for _, p := range a.real {
		switch {
		case p.Metadata.Labels[componentLabel] != c.Name || p.Metadata.Labels[standInLabel] == "true":
		case p.Spec.NodeName == "":
		case p.Spec.NodeName != o.node:
			l.RealElsewhere = l.RealElsewhere || p.ready()
		default:
			l.Pod = l.Pod || p.stays()
			if !slices.Contains(pods, p.Metadata.UID) {
				break
			}
			// The API says what the kubelet found a while ago. Beside a stand-in, which would be
			// ended for it, a real one that serves is asked itself.
			is := p.ready()
			if l.StandIn && c.Kind == serving {
				is = p.stays() && o.api.realReady(ctx)
			}
			if is {
				l.Real, pod = processReady, p
			}
		}
	}
	l.Checkpoint, l.Active, err = o.disk.Has(c.Name)
	if err != nil {
		// Neither is known: as with a runtime that does not answer, nothing is done.
		l.Runtime = false
	}
	if c.Kind == storing {
		l.Turn = turn(o.node, a.storing)
		_, missing := os.Stat(c.Data)
		l.Data = missing == nil
	}
	return l, pod, err
}
