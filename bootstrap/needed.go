package bootstrap

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/machines"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// possible refuses what can be refused before there is a folder for the cluster.
func (r *recovery) possible() error {
	name, b := r.c.Name, r.source.backup
	switch {
	case b != nil && b.Header.Cluster != name:
		return misuse("%s is of cluster %s, not of %s: name the right file or the right cluster", r.o.From, b.Header.Cluster, name)
	case b != nil:
		return nil
	}
	if _, err := os.Stat(filepath.Join(r.c.Dir, applied)); errors.Is(err, fs.ErrNotExist) {
		return misuse("cluster %s: %w; only a backup of `craton backup` has all that it takes to make it anew", name, ErrNone)
	}
	if !r.c.hasSecrets() {
		return misuse("%s has lost the cluster's authorities: recover from a backup, which has them", r.c.pkiDir())
	}
	return nil
}

// hasSecrets tells whether the cluster's own authority is there. Without a look, another one
// would be made in its place.
func (c *Cluster) hasSecrets() bool {
	_, err := os.Stat(filepath.Join(c.pkiDir(), "authorities", pki.KubernetesCA+".pem"))
	return err == nil
}

// chooseNamed looks whether --from-machine is a master that can be used.
func (r *recovery) chooseNamed() error {
	if r.o.FromMachine == "" {
		return nil
	}
	names := make([]string, 0, len(r.c.Plan.Machines))
	for _, m := range r.c.masters() {
		if m.Name == r.o.FromMachine {
			r.target = m
			return nil
		}
		names = append(names, m.Name)
	}
	return misuse("%s is no master of cluster %s: its masters are %s", r.o.FromMachine, r.c.Name, strings.Join(names, ", "))
}

// needed refuses to set back a cluster that works, or that may work as soon as somebody
// switches its machines on.
func (r *recovery) needed(ctx context.Context) error {
	const force = "what was written since would be lost; if that is meant, say --force "
	c := r.c
	why, err := c.works(ctx)
	if err != nil {
		return err
	}
	if why != "" {
		return misuse("cluster %s works (%s), so there is nothing to recover: %s%s", c.Name, why, force, c.Name)
	}
	states, err := c.Platform.States(ctx)
	if err != nil {
		return err
	}
	if off := couldWork(c.masters(), states); len(off) > 0 {
		return misuse("cluster %s may have lost nothing: %s is off, with its disk, and enough masters for a quorum are there: `craton up` starts them, and what was written last is there again; if their data are of no use, say --force %s",
			c.Name, strings.Join(off, " and "), c.Name)
	}
	return nil
}

// couldWork names the masters that are off, where together with those that run they would be a
// quorum. A machine whose disk is lost does not exist.
func couldWork(masters []plan.Machine, states []machines.State) (off []string) {
	there := 0
	for _, s := range states {
		if slices.ContainsFunc(masters, func(m plan.Machine) bool { return m.Name == s.Name }) {
			there++
			if !s.Running {
				off = append(off, s.Name)
			}
		}
	}
	if there < len(masters)/2+1 {
		return nil
	}
	return off
}

// works says how it is known that the cluster's etcd has a quorum, or "".
func (c *Cluster) works(ctx context.Context) (string, error) {
	running, err := c.runningMasters(ctx)
	if err != nil || len(running) == 0 {
		return "", err
	}
	if c.hasSecrets() {
		if client, err := c.clientset(); err == nil {
			limited, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			// This takes a quorum. /readyz says yes for a moment after that is lost.
			if _, err := client.CoreV1().Namespaces().Get(limited, metav1.NamespaceSystem, metav1.GetOptions{}); err == nil {
				return "its API answers", nil
			}
		}
	}
	for _, m := range running {
		url, err := etcdURL(m, clauseEtcdClient)
		if err != nil {
			return "", err
		}
		limited, cancel := context.WithTimeout(ctx, 15*time.Second)
		err = c.runOn(limited, m, payload.Image("etcd"), append([]string{"/usr/local/bin/etcdctl", "--endpoints=" + url,
			"--dial-timeout=2s", "--command-timeout=4s", "endpoint", "health"}, etcdClient("--cacert", "--cert", "--key")...), nil, nil)
		cancel()
		if err == nil {
			return "etcd on " + m.Name + " has a quorum", nil
		}
	}
	return "", ctx.Err()
}
