package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
)

// RecoverOptions say from what to recover: From or FromMachine.
type RecoverOptions struct {
	// Cluster is the cluster's name; "" for the one that the backup is of.
	Cluster string
	// From is the file of a backup, which the key in the file Identity reads, or of a snapshot
	// of etcd's own tools.
	From, Identity string
	// FromMachine is the master whose disk is to be the cluster's from now on.
	FromMachine string
	// Force is the cluster's name where it is to be recovered although it works.
	Force string
}

// Moved are data that a recovery found on a machine, and where they are now.
type Moved struct {
	Machine, Path string
}

// Recovered is what Recover did.
type Recovered struct {
	Cluster string
	// Master is the machine that the others have joined.
	Master   string
	Revision int64
	Keys     int
	// Taken is when the backup was made; the zero time where the source does not say.
	Taken time.Time
	Moved []Moved
}

// Recover makes the cluster's data those of a backup, a snapshot or one master's disk, and
// brings the cluster up with them: on the machines that there are, and on new ones in the
// place of those that are gone. Nothing is deleted: data that were on the masters are moved
// aside there, also where Recover fails later, and its result names them then too.
//
// The error is a Misuse, and nothing is changed, where the source is not whole or not this
// cluster's, or where the cluster works and is not named in Force. It goes on where it was
// stopped when it is run again.
func Recover(ctx context.Context, o RecoverOptions, opt Options) (*Recovered, error) {
	spool, err := newSpool(os.TempDir(), "craton-recover-")
	if err != nil {
		return nil, err
	}
	defer spool.remove()
	r := &recovery{o: o, spool: spool.dir, stamp: time.Now().UTC().Format("20060102-150405"), source: &source{}}
	name := o.Cluster
	if o.FromMachine == "" {
		opt.say("checking %s", o.From)
		if r.source, err = readSource(o.From, o.Identity, spool.dir); err != nil {
			return nil, err
		}
		if b := r.source.backup; b != nil && name == "" {
			name = b.Header.Cluster
		}
	}
	if name == "" {
		return nil, misuse("of which cluster? %s does not say: name it with --cluster", o.From)
	}
	if r.c, err = named(name, opt); err != nil {
		return nil, Misuse{err}
	}
	if err := r.possible(); err != nil {
		return nil, err
	}
	if err := r.c.acquire(ctx, lockPatience); err != nil {
		return nil, err
	}
	defer r.c.release()
	defer r.c.abandon() // where nothing was begun
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	return &r.done, r.run(ctx)
}

// recovery is one run of Recover.
type recovery struct {
	c      *Cluster
	o      RecoverOptions
	source *source
	// spool is a folder of this host, stamp says when it began.
	spool, stamp string
	// target is the master that gets the data. halted are those whose control plane was
	// ended; data that were on them are aside.
	target plan.Machine
	halted map[string]bool
	// began is when the recovered cluster did.
	began time.Time
	done  Recovered
}

// prepare refuses what should not be, and brings the cluster's folder to where there can be a
// plan.
func (r *recovery) prepare(ctx context.Context) error {
	c := r.c
	file, err := c.recorded()
	if err != nil {
		return err
	}
	known := file != nil
	if !known {
		if file, err = r.source.file(); err != nil {
			return err
		}
		if file.Name != c.Name {
			return misuse("%s is of cluster %s, but the cluster file in it is of %s", r.o.From, c.Name, file.Name)
		}
	}
	if file.Etcd == etcdExternal {
		return misuse("cluster %s has its data in an etcd of yours (etcd: %s): recover that one where it runs", c.Name, file.Etcd)
	}
	if c.Plan, err = plan.Settled(file); err != nil {
		return err
	}
	if c.Platform, err = local.New(c.Name, filepath.Join(c.Dir, "local"), local.Image{}); err != nil {
		return err
	}
	if err := r.chooseNamed(); err != nil {
		return err
	}
	if r.source.db != "" {
		secrets := c.pkiDir()
		if !c.hasSecrets() {
			secrets = r.source.backup.Secrets
		}
		if err := r.source.of(c.Name, r.o.From, secrets); err != nil {
			return err
		}
	}
	if r.o.Force != "" && r.o.Force != c.Name {
		return misuse("--force %s: this is cluster %s: name it if that is the one to set back", r.o.Force, c.Name)
	}
	if known && r.o.Force == "" {
		if err := r.needed(ctx); err != nil {
			return err
		}
	}
	if err := c.preflight(ctx); err != nil {
		return err
	}
	if r.source.backup != nil {
		if err := r.source.fill(c.pkiDir()); err != nil {
			return err
		}
	}
	// There was a cluster: whatever machine is made from here on joins it.
	if err := errors.Join(c.note(foundedFile), c.note(settledFile)); err != nil {
		return err
	}
	return c.record()
}

// run is the list of what a recovery does. Up to setAside nothing that is there has changed.
func (r *recovery) run(ctx context.Context) error {
	r.done.Cluster = r.c.Name
	r.halted = map[string]bool{}
	for _, s := range []step{
		{"payload", r.c.buildPayload},
		{"secrets", r.c.makeSecrets},
		{"surroundings", r.surroundings},
		{"first master", r.startTarget},
		{"data", r.bring},
		{"set aside", r.setAside},
		{"api", r.c.awaitAPI},
		{"objects", r.c.applyObjects},
		{"pods' addresses", r.readdress},
		{"other masters", r.startMasters},
		{"machines", r.c.startMachines},
		{"ready", r.c.awaitReady},
		{"members", func(ctx context.Context) error { return r.c.awaitMembers(ctx, r.began) }},
	} {
		if err := s.do(ctx); err != nil {
			r.resume()
			return r.trouble(ctx, s.name, err)
		}
	}
	return nil
}

// surroundings makes what is around the machines. Those that have ended are off from here on:
// that they have is what a recovery is for, and nothing to wait for is lost with them.
func (r *recovery) surroundings(ctx context.Context) error {
	off, err := r.c.off(ctx)
	if err != nil {
		return err
	}
	for _, m := range off {
		if err := r.c.Platform.PowerOff(ctx, m.Name); err != nil {
			return err
		}
	}
	return r.c.Platform.Prepare(ctx, r.c.Plan)
}

// trouble is what Recover says of an error in a step.
func (r *recovery) trouble(ctx context.Context, step string, err error) error {
	if _, ok := errors.AsType[Misuse](err); ok {
		return err
	}
	text := inWords(ctx, err)
	return &sentence{fmt.Sprintf("recover cluster %s, step %s: %s; run the same command again, it begins anew; no data were deleted", r.c.Name, step, text), err}
}
