// Package minimum measures how small the machines of a cluster can be: with the machines of one role
// held to ever less of one resource, clusters are made and every operation is tried on them, till less
// does not do. What was measured with this version of craton is in it, for those who plan a cluster.
//
// It makes no cluster and tries no operation itself: somebody gives it a Try. It decides what is
// tried next, and keeps what has come of it.
//
// Files: bisect.go (which value is next), minimum.go (the measurement), results.go (a file to go on
// from), measured.go (what was measured, and what is below it), peers.go (what others ask for),
// page.go (the page).
package minimum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// Resource is something of which a machine has more or less.
type Resource string

// The resources.
const (
	Memory    Resource = "memory"
	Processor Resource = "processor"
	Disk      Resource = "disk"
)

// Resources are all of them.
func Resources() []Resource { return []Resource{Memory, Processor, Disk} }

// unit is what a resource is counted in.
func (r Resource) unit() string {
	return map[Resource]string{Memory: "MiB", Processor: "thousandths of a processor", Disk: "MiB"}[r]
}

// bounds are where a search for the least begins, and how exact it is.
func (r Resource) bounds() bounds {
	return map[Resource]bounds{
		Memory:    {first: 512, step: 64, most: 8192},
		Processor: {first: 1000, step: 100, most: 4000},
		Disk:      {first: 4096, step: 256, most: 32768},
	}[r]
}

// of is how much of the resource a size has.
func (r Resource) of(s cluster.Size) int {
	return map[Resource]int{Memory: s.MemoryMiB, Processor: s.MilliCPU, Disk: s.DiskMiB}[r]
}

// roomy is a disk on which nothing gets scarce. Each machine of a measurement has one: of the layers
// that machines without a disk of their own share, only one of them has the pages in its memory.
const roomy = 24 << 10

// hold is a size with so much of one resource; 0 of another one is all of the host's.
func hold(role contract.Role, r Resource, value int) cluster.Size {
	s := cluster.Size{Role: string(role), DiskMiB: roomy}
	switch r {
	case Memory:
		s.MemoryMiB = value
	case Processor:
		s.MilliCPU = value
	case Disk:
		s.DiskMiB = value
	}
	return s
}

// Try makes a cluster of the file, tries every operation on it, and removes it. It says how long each
// of the two took, and what did not work; "" is that all did. The error is of the experiment itself.
type Try func(context.Context, *cluster.Cluster) (up, operations time.Duration, failure string, err error)

// Options are what Run is told.
type Options struct {
	File *cluster.Cluster
	// Roles and Resources are what to measure; nil is all that the cluster has.
	Roles     []contract.Role
	Resources []Resource
	Try       Try
	// Results is the file where results are kept, and gone on from.
	Results string
	// For ends the measurement after the trial during which so much time has passed; 0 is never.
	For time.Duration
	// Progress is told what happens, a short sentence each; it may be nil.
	Progress func(sentence string)
}

// ErrTime is of a measurement whose time was over.
var ErrTime = errors.New("the time that the measurement was given is over: the same command goes on there")

// ErrReference is of a cluster whose operations do not all work with the machines of the host's size.
var ErrReference = errors.New("with machines as large as the host not every operation works")

// Run measures. What it finds is in the results, also where there is an error.
func Run(ctx context.Context, opt Options) (*Results, error) {
	if opt.Progress == nil {
		opt.Progress = func(string) {}
	}
	began := time.Now()
	results, err := begin(opt.File, opt.Results)
	if err != nil {
		return nil, err
	}
	try := func(t Trial, sizes []cluster.Size) (Trial, error) {
		if opt.For > 0 && time.Since(began) > opt.For {
			return t, ErrTime
		}
		file := *opt.File
		file.Sizes = sizes
		opt.Progress("trying " + t.String())
		t.Began = time.Now().UTC().Truncate(time.Second)
		up, operations, failure, err := opt.Try(ctx, &file)
		if err != nil {
			return t, err
		}
		t.OK, t.Failure, t.Up, t.Operations = failure == "", failure, round(up), round(operations)
		results.Trials = append(results.Trials, t)
		if t.OK {
			opt.Progress("all works with " + t.String())
		} else {
			opt.Progress("with " + t.String() + ": " + t.Failure)
		}
		return t, results.save(opt.Results)
	}
	if !results.works("", "") {
		t, err := try(Trial{}, everyone(opt.File))
		if err != nil {
			return results, err
		}
		if !t.OK {
			return results, fmt.Errorf("%w: %s", ErrReference, t.Failure)
		}
	}
	for _, q := range questions(opt) {
		for {
			value, done := next(results.tried(q.role, q.resource), q.resource.bounds())
			if done {
				results.found(q.role, q.resource, value)
				if err := results.save(opt.Results); err != nil {
					return results, err
				}
				break
			}
			sizes := everyone(opt.File)
			i := slices.IndexFunc(sizes, func(s cluster.Size) bool { return s.Role == string(q.role) })
			sizes[i] = hold(q.role, q.resource, value)
			if _, err := try(Trial{Role: q.role, Resource: q.resource, Value: value}, sizes); err != nil {
				return results, err
			}
		}
	}
	return results, nil
}

// question is one search.
type question struct {
	role     contract.Role
	resource Resource
}

func questions(opt Options) (all []question) {
	roles, resources := opt.Roles, opt.Resources
	if roles == nil {
		roles = rolesOf(opt.File)
	}
	if resources == nil {
		resources = Resources()
	}
	for _, resource := range resources {
		for _, role := range roles {
			all = append(all, question{role, resource})
		}
	}
	return all
}

// rolesOf are the roles that a cluster has machines of.
func rolesOf(file *cluster.Cluster) []contract.Role {
	var roles []contract.Role
	for _, of := range []struct {
		role  contract.Role
		count int
	}{{contract.Worker, file.Workers}, {contract.Master, file.Masters}, {contract.Infra, file.Infra}} {
		if of.count > 0 {
			roles = append(roles, of.role)
		}
	}
	return roles
}

// everyone are sizes of all roles that hold nobody to anything.
func everyone(file *cluster.Cluster) []cluster.Size {
	var sizes []cluster.Size
	for _, role := range rolesOf(file) {
		sizes = append(sizes, hold(role, "", 0))
	}
	return sizes
}

// Shape is a cluster in a few words.
func round(d time.Duration) float64 {
	return float64(d.Round(100*time.Millisecond)) / float64(time.Second)
}
