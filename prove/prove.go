// Package prove shows by experiment what a cluster's rules are for: that with exactly the plan's
// rules every operation works, and, for each clause, which operations break when it is taken out
// of the fabric. What breaks is compared with what the contract predicts: a difference is a
// finding.
//
// It takes a clause out and puts it back; it never opens anything. It knows neither how an
// operation is tried (package operation) nor how a cluster is made (package bootstrap).
//
// Files: prove.go (the experiment), judge.go (what it has shown), proof.go (what comes of it),
// results.go (a file to go on from), part.go (one of
// several that hosts make at the same time), table.go, page.go, markdown.go (how it is printed).
package prove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
	"craton.dev/craton/verify"
)

// Fabric is where clauses are taken out.
type Fabric interface {
	// Enforce makes the rules a plan's, and ends the connections that it does not allow.
	Enforce(ctx context.Context, p *plan.Plan, before map[string]nftables.Count) error
	Counters(context.Context) (clauses, drops map[string]nftables.Count, err error)
}

// Options are what Run is told.
type Options struct {
	Plan       *plan.Plan
	Fabric     Fabric
	Stage      *operation.Stage
	Operations []operation.Operation
	// Clauses are those to take out; nil is every one that opens something, an empty list none: then it is only
	// shown that the rules suffice.
	Clauses []string
	// Part is the part of these to take out; the zero value is all.
	Part Part
	// Brief leaves out the operations that take a machine's services away.
	Brief bool
	// For ends the experiment after the clause during which so much time has passed; 0 is never.
	For time.Duration
	// File is where results are kept; "" keeps none. What is in it for the same contract, plan
	// and operations is not tried again.
	File string
	// Settle waits till all machines and the stage's pods are there, and Fresh makes them forget
	// what they have asked the API before; either may be nil.
	Settle, Fresh func(context.Context) error
	// Out and Back are told before a clause is taken out and after it is put back.
	Out  func(clause string) error
	Back func() error
	// Progress is told what happens, a short sentence each; it may be nil.
	Progress func(sentence string)
}

// How long an operation that broke may take to work again once its clause is back, and how long
// one may take at least that has ever worked.
const (
	returns = 3 * time.Minute
	atLeast = 5 * time.Second
)

// ErrTime is of an experiment whose time was over before it had taken every clause out.
var ErrTime = errors.New("the time that the proof was given is over")

// Run makes the experiment. The error is of the experiment itself: what it finds is in the
// proof, which holds what was found so far also where there is an error.
func Run(ctx context.Context, opt Options) (*Proof, error) {
	if opt.Progress == nil {
		opt.Progress = func(string) {}
	}
	began := time.Now()
	r := &run{opt: opt, took: map[string]time.Duration{}}
	clauses := opt.Clauses
	if clauses == nil {
		clauses = opt.Plan.Opening()
	}
	proof, err := begin(opt)
	if err != nil {
		return nil, err
	}
	r.proof = proof
	earlier := proof.Seconds
	r.keep = func() error {
		proof.Seconds = earlier + round(time.Since(began))
		return save(opt.File, proof)
	}
	for _, c := range contract.Clauses() {
		if opt.Clauses == nil && !slices.Contains(clauses, c.ID) && !proof.has(c.ID) {
			proof.add(Necessity{Clause: c.ID, Predicted: []string{}, Broken: []string{}, Verdict: Untested, Detail: notHere(opt.Plan, c)})
		}
	}
	if err := r.sufficient(ctx); err != nil {
		return proof, err
	}
	// First what is expected to break little: the longer a part of the cluster is cut off, the
	// longer it takes to come back.
	slices.SortStableFunc(clauses, func(a, b string) int {
		return len(operation.Predicted(opt.Plan, a)) - len(operation.Predicted(opt.Plan, b))
	})
	clauses = opt.Part.of(clauses)
	for i, id := range clauses {
		if proof.has(id) {
			continue
		}
		if opt.For > 0 && time.Since(began) > opt.For {
			return proof, fmt.Errorf("%w: %d of %d clauses have a verdict; the same command goes on there", ErrTime, i, len(clauses))
		}
		n, err := r.necessary(ctx, id)
		if err != nil {
			return proof, err
		}
		proof.add(n)
		opt.Progress(fmt.Sprintf("%d of %d: %s is %s%s (%.0f s)", i+1, len(clauses), id, n.Verdict, broke(n), n.Seconds))
		if err := r.keep(); err != nil {
			return proof, err
		}
	}
	proof.Complete = opt.Clauses == nil && !opt.Brief && opt.Part.Of < 2
	proof.Ended = time.Now().UTC().Truncate(time.Second)
	return proof, r.keep()
}

func broke(n Necessity) string {
	if len(n.Broken) == 0 {
		return ""
	}
	return ": it breaks " + strings.Join(n.Broken, ", ")
}

type run struct {
	opt   Options
	proof *Proof
	// keep writes what was found so far.
	keep func() error
	// took is how long each operation took with all rules.
	took map[string]time.Duration
}

// sufficient tries every operation with the plan's rules.
func (r *run) sufficient(ctx context.Context) error {
	r.opt.Progress("trying every operation with the plan's rules")
	if err := r.opt.Fabric.Enforce(ctx, r.opt.Plan, nil); err != nil {
		return err
	}
	// A proof that goes on has tried all of them before: that nothing is amiss, the quick ones show.
	earlier := r.proof.Sufficient.Operations
	goesOn := len(earlier) > 0 && !slices.ContainsFunc(earlier, func(one Result) bool { return !one.OK })
	results := r.try(ctx, r.chosen(func(o operation.Operation) bool { return !goesOn || !o.Slow && !o.Disturbs }), few, false)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// One that was just unlucky, on a host that is busy with something else, may try again.
	for i, one := range results {
		if !one.OK {
			again := r.try(ctx, r.chosen(func(o operation.Operation) bool { return o.ID == one.ID }), few, false)
			if again[0].OK {
				again[0].Detail += "; at try 2: " + one.Detail
			}
			results[i] = again[0]
		}
	}
	if goesOn && !slices.ContainsFunc(results, func(one Result) bool { return !one.OK }) {
		results = earlier
	}
	for _, one := range results {
		r.took[one.ID] = time.Duration(one.Seconds * float64(time.Second))
	}
	r.proof.Sufficient.Operations = results
	r.proof.Sufficient.Untested = []Untried{}
	for _, o := range r.opt.Operations {
		if o.Do == nil {
			r.proof.Sufficient.Untested = append(r.proof.Sufficient.Untested, Untried{o.ID, o.Sentence, o.Not})
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := r.keep(); err != nil {
		return err
	}
	for _, one := range results {
		if !one.OK {
			return &NotSufficient{one.ID, one.Detail}
		}
	}
	return nil
}

// NotSufficient is an operation that does not work though all of the plan's rules are there: what
// breaks without a clause would say nothing.
type NotSufficient struct{ Operation, Detail string }

func (e *NotSufficient) Error() string {
	return fmt.Sprintf("with all of the plan's rules, operation %s does not work: %s: look at `craton status`; nothing was taken out", e.Operation, e.Detail)
}

// chosen are the operations that can be tried and that somebody wants.
func (r *run) chosen(want func(operation.Operation) bool) []operation.Operation {
	return slices.DeleteFunc(slices.Clone(r.opt.Operations), func(o operation.Operation) bool {
		return o.Do == nil || !want(o) || r.opt.Brief && o.Disturbs
	})
}

// few is how many operations are tried at the same time where each is to have the machines' attention. When
// a clause has just been taken out all are: most of what breaks only waits.
const few = 6

// try tries operations: so many at the same time of those that disturb nobody, then the others. Where a
// clause is out, an operation gets twice as long as it took before, and some seconds.
func (r *run) try(ctx context.Context, ops []operation.Operation, atOnce int, out bool) []Result {
	results := make([]Result, len(ops))
	one := func(i int) {
		o, limit := ops[i], ops[i].Limit
		if before, known := r.took[o.ID]; out && known {
			limit = min(limit, max(atLeast, 2*before+5*time.Second))
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(ctx, limit)
		done, err := o.Do(ctx, r.opt.Stage)
		cancel()
		results[i] = Result{ID: o.ID, OK: err == nil, Seconds: round(time.Since(began)), Detail: done}
		if err != nil {
			results[i].Detail = strings.ReplaceAll(fmt.Sprintf("%.400s", err.Error()), "\n", "; ")
		}
	}
	var all sync.WaitGroup
	room := make(chan bool, max(atOnce, 1))
	for i, o := range ops {
		if !o.Disturbs {
			all.Go(func() {
				room <- true
				defer func() { <-room }()
				one(i)
			})
		}
	}
	all.Wait()
	for i, o := range ops {
		if o.Disturbs && ctx.Err() == nil {
			one(i)
		}
	}
	return results
}

// necessary takes a clause out and looks what breaks.
func (r *run) necessary(ctx context.Context, id string) (n Necessity, err error) {
	began := time.Now()
	covered, by, err := verify.Covered(r.opt.Plan, id)
	if err != nil {
		return n, err
	}
	predicted := []string{}
	if !covered {
		for _, p := range operation.Predicted(r.opt.Plan, id) {
			if slices.ContainsFunc(r.chosen(func(operation.Operation) bool { return true }), func(o operation.Operation) bool { return o.ID == p }) {
				predicted = append(predicted, p)
			}
		}
	}
	ops := r.chosen(func(o operation.Operation) bool {
		return slices.Contains(predicted, o.ID) || !o.Slow && !(covered && o.Disturbs)
	})
	// A kubelet keeps for minutes what the API has said about who may use it.
	if r.opt.Fresh != nil && !r.opt.Brief {
		if err := r.opt.Fresh(ctx); err != nil {
			return n, err
		}
	}
	results, counted, err := r.without(ctx, id, predicted, ops)
	if err != nil {
		return n, err
	}
	n = Necessity{Clause: id, Predicted: predicted, Broken: []string{}, Within: by, Results: results, Dropped: counted}
	for _, one := range results {
		if !one.OK {
			n.Broken = append(n.Broken, one.ID)
		}
	}
	// It works again with the clause back: so nothing else had broken it.
	back := time.Now()
	if err := r.returned(ctx, &n); err != nil {
		return n, err
	}
	n.Back = round(time.Since(back))
	n.Seconds = round(time.Since(began))
	r.judge(&n, covered)
	return n, nil
}

// without tries operations while a clause is out.
func (r *run) without(ctx context.Context, id string, predicted []string, ops []operation.Operation) (results []Result, dropped uint64, err error) {
	before, drops, err := r.opt.Fabric.Counters(ctx)
	if err != nil {
		return nil, 0, err
	}
	if r.opt.Out != nil {
		if err := r.opt.Out(id); err != nil {
			return nil, 0, err
		}
	}
	// Whatever happens, the clause goes back, also after ^C.
	defer func() {
		ctx := context.WithoutCancel(ctx)
		if putErr := r.opt.Fabric.Enforce(ctx, r.opt.Plan, before); putErr != nil {
			err = errors.Join(err, fmt.Errorf("put %s back: %w; `craton up` does so as well", id, putErr))
			return
		}
		if r.opt.Back != nil {
			err = errors.Join(err, r.opt.Back())
		}
	}()
	r.opt.Progress("without " + id)
	if err := r.opt.Fabric.Enforce(ctx, r.opt.Plan.Without(id), before); err != nil {
		return nil, 0, err
	}
	// First what disturbs nobody: a machine that has just lost its power would break all of it.
	for _, disturbs := range []bool{false, true} {
		some := slices.DeleteFunc(slices.Clone(ops), func(o operation.Operation) bool { return o.Disturbs != disturbs })
		results = append(results, r.confirmed(ctx, some, predicted)...)
	}
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	_, after, err := r.opt.Fabric.Counters(ctx)
	c, _ := contract.ByID(id)
	chain := string(c.Role) + "." + string(c.Kind)
	return results, after[chain].Packets - drops[chain].Packets, err
}

// tries are how often in a row an operation that nobody expected to break has to, before it counts.
const tries = 3

// confirmed tries operations while a clause is out. What nobody expected to break may have been unlucky,
// on a host that is busy with something else. One that works once without the clause does not need it.
// What was expected to break may have lived on what was there before, as members of etcd do on their last
// election: it is asked again after the rest, and counts as broken where it then breaks twice.
func (r *run) confirmed(ctx context.Context, ops []operation.Operation, predicted []string) []Result {
	results := r.try(ctx, ops, len(ops), true)
	for n := 2; n <= tries; n++ {
		var places []int
		var unlucky []operation.Operation
		for i, one := range results {
			if !one.OK && !slices.Contains(predicted, one.ID) && ctx.Err() == nil {
				places, unlucky = append(places, i), append(unlucky, ops[i])
			}
		}
		for j, again := range r.try(ctx, unlucky, few, true) {
			if again.OK {
				again.Detail += fmt.Sprintf("; at try %d: %s", n, results[places[j]].Detail)
			}
			results[places[j]] = again
		}
	}
	for i, one := range results {
		if !one.OK || !slices.Contains(predicted, one.ID) {
			continue
		}
		first := r.try(ctx, ops[i:i+1], few, true)[0]
		if first.OK || ctx.Err() != nil {
			continue
		}
		if second := r.try(ctx, ops[i:i+1], few, true)[0]; !second.OK {
			second.Detail += "; at first it worked: " + one.Detail
			results[i] = second
		}
	}
	return results
}

// returned waits till what broke works again. What takes long is believed when the rest works.
func (r *run) returned(ctx context.Context, n *Necessity) error {
	if len(n.Broken) == 0 {
		return nil
	}
	waiting := r.chosen(func(o operation.Operation) bool { return slices.Contains(n.Broken, o.ID) })
	if slices.ContainsFunc(waiting, func(o operation.Operation) bool { return o.Disturbs }) {
		// A machine that could not come back does so now, and its pods with it: all has to work.
		if err := r.settled(ctx); err != nil {
			return fmt.Errorf("%s is back, but the cluster does not come to rest: %w: look at `craton status`", n.Clause, err)
		}
		waiting = r.chosen(func(o operation.Operation) bool { return !o.Slow })
	}
	var last []Result
	for end := time.Now().Add(returns); len(waiting) > 0; {
		last = r.try(ctx, waiting, few, false)
		waiting = slices.DeleteFunc(waiting, func(o operation.Operation) bool {
			return slices.ContainsFunc(last, func(one Result) bool { return one.ID == o.ID && one.OK })
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(waiting) > 0 && time.Now().After(end) {
			return fmt.Errorf("%s is back since %s, but operation %s still does not work: %s: look at `craton status`",
				n.Clause, returns, waiting[0].ID, last[slices.IndexFunc(last, func(one Result) bool { return one.ID == waiting[0].ID })].Detail)
		}
	}
	return nil
}

func (r *run) settled(ctx context.Context) error {
	if r.opt.Settle == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, returns)
	defer cancel()
	return r.opt.Settle(ctx)
}

func round(d time.Duration) float64 {
	return float64(d.Round(100*time.Millisecond)) / float64(time.Second)
}
