// Package bootstrap brings a cluster up from its plan, applies changes to one that runs,
// says how it is, backs it up, recovers it, replaces its machines, and takes it down. Up is a
// list of steps; each looks at what is there first, so that a run that was stopped anywhere
// goes on where it is run again.
//
// It decides no rule, name or address (package plan does), writes no configuration format
// (package render does) and keeps nothing running afterwards (package operate does).
package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/sys/atomicwriter"

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
	// first is the password that the first administrator gets, till somebody has seen it.
	first Password
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
	c, err := named(name, opt)
	if err != nil {
		return nil, err
	}
	file, err := c.recorded()
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("cluster %s belongs to root: run the command with sudo: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nil, fmt.Errorf("cluster %s: %w; `craton up` makes it", name, ErrNone)
	}
	if c.Plan, err = c.planOf(file); err != nil {
		return nil, err
	}
	c.Platform, err = local.New(name, filepath.Join(c.Dir, "local"), local.Image{})
	return c, err
}

// named is a cluster of this host by its name. What is no name of a cluster has no folder here:
// with "..", all that a cluster's folder is made for would be done to somebody else's.
func named(name string, opt Options) (*Cluster, error) {
	if err := cluster.CheckName(name); err != nil {
		return nil, fmt.Errorf("a cluster's name: %w", err)
	}
	return &Cluster{Name: name, Dir: filepath.Join(StateRoot, name), opt: opt}, nil
}

// pkiDir is where the cluster's secrets are.
func (c *Cluster) pkiDir() string { return filepath.Join(c.Dir, "pki") }

// record notes the file that the cluster is being brought to, before anything is made of
// it, so that Down and Status know what there may be.
func (c *Cluster) record() error {
	b, err := json.MarshalIndent(c.Plan.File, "", "  ")
	if err != nil {
		return err
	}
	return c.keep(applied, b)
}

// recorded is the file that the cluster was last brought to; nil where there is none.
func (c *Cluster) recorded() (*cluster.Cluster, error) {
	path := filepath.Join(c.Dir, applied)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	file := &cluster.Cluster{}
	if err := json.Unmarshal(b, file); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: remove it, and run `craton up` with the file that the cluster was last brought to: changes are not looked at then", path, err)
	}
	return file, nil
}

// keep writes a file of the cluster's folder, for root only. Who reads it meanwhile, or after a kill,
// finds the old one or the new one, whole: commands that change nothing take no lock.
func (c *Cluster) keep(name string, data []byte) error {
	return atomicwriter.WriteFile(filepath.Join(c.Dir, name), data, 0o600)
}
