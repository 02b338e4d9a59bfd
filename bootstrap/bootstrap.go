// Package bootstrap brings a cluster up from its plan, applies changes to one that runs,
// says how it is, and takes it down. Up is a list of steps; each looks at what is there
// first, so that a run that was stopped anywhere goes on where it is run again.
//
// It decides no rule, name or address (package plan does), writes no configuration format
// (package render does) and keeps nothing running afterwards (package operate does).
package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/cluster"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// StateRoot is where the state of all clusters of this host is, a folder a cluster.
const StateRoot = "/var/lib/craton"

// Options are what Up, Down and Status are told.
type Options struct {
	// Cache is the folder of the payload's build outputs.
	Cache string
	// Progress is told what happens, a short sentence each; it may be nil.
	Progress func(sentence string)
	// Built is when this program was made: a clock before it is wrong. The zero time says
	// that nobody knows.
	Built time.Time
}

func (o Options) say(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// Cluster is one cluster on this host: its folder of state and its platform.
type Cluster struct {
	Name     string
	Dir      string
	Plan     *plan.Plan
	Secrets  *pki.Secrets
	Platform *local.Platform
	payload  *payload.Payload
	opt      Options
	lock     *os.File
	// told is set once the API has what this run applies.
	told bool
	// asked is set once this run has asked the external etcd.
	asked bool
}

// applied is the record of the cluster file that a cluster was last brought to.
const applied = "applied.json"

// ErrNone says that there is no such cluster on this host.
var ErrNone = errors.New("there is no such cluster on this host")

// Open opens an existing cluster by its name: the plan is that of the file which was
// applied last. The error is ErrNone where there is none.
func Open(name string, opt Options) (*Cluster, error) {
	c := &Cluster{Name: name, Dir: filepath.Join(StateRoot, name), opt: opt}
	b, err := os.ReadFile(filepath.Join(c.Dir, applied))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster %s: %w; `craton up` makes it", name, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	file := &cluster.Cluster{}
	if err := json.Unmarshal(b, file); err != nil {
		return nil, fmt.Errorf("%s: %w; run `craton up` again with the cluster file", filepath.Join(c.Dir, applied), err)
	}
	if c.Plan, err = plan.Make(file); err != nil {
		return nil, err
	}
	c.Platform, err = local.New(name, filepath.Join(c.Dir, "local"), local.Image{})
	return c, err
}

// pkiDir is where the cluster's secrets are.
func (c *Cluster) pkiDir() string { return filepath.Join(c.Dir, "pki") }

// acquire makes the cluster's folder and keeps other runs of Up and Down away from it
// till release. The lock is on the folder itself and ends with the process.
func (c *Cluster) acquire(ctx context.Context) error {
	told := false
	for {
		if err := os.MkdirAll(c.Dir, 0o700); err != nil {
			return err
		}
		f, err := os.Open(c.Dir)
		if err != nil {
			return err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			// It may have been removed and made anew between opening and locking.
			have, err1 := f.Stat()
			now, err2 := os.Stat(c.Dir)
			if err1 == nil && err2 == nil && os.SameFile(have, now) {
				c.lock = f
				return nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if err != nil && !told {
			c.opt.say("waiting for another craton that works on cluster %s", c.Name)
			told = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another craton works on cluster %s: %w", c.Name, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *Cluster) release() {
	if c.lock != nil {
		c.lock.Close()
		c.lock = nil
	}
}

// record notes the file that the cluster is being brought to, before anything is made of
// it, so that Down and Status know what there may be.
func (c *Cluster) record() error {
	b, err := json.MarshalIndent(c.Plan.File, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(c.Dir, "."+applied)
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(c.Dir, applied))
}
