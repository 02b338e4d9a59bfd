// Package local is the embedded platform: systemd machines on this host, each in a
// network namespace of its own, around a routed fabric that enforces the plan's rules
// outside the machines, with a user network, a DNS resolver, a registry and a load
// balancer beside it. It plays the part of the outside world.
//
// It does not decide anything about the cluster, does not know Kubernetes, and leaves
// the host's own network, firewall and kernel settings as they are: all that it makes
// on the host are named network namespaces, cgroups, processes and one folder of state,
// and loopback listeners by which the host gets into the user network.
//
// Files: network.go (namespaces and links), fabric.go (rules, counters, connections),
// machine.go and boot.go (machines), cgroup.go, process.go (what runs in the
// background), surroundings.go (resolver, registry, load balancer), gateway.go and watch.go
// (the host's way in, and names that lead to who answers), etcd.go (an external etcd).
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"

	"craton.dev/craton/machines"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// Image is what machines and surroundings are made from.
type Image struct {
	// Layers are folders that make a machine's root file system, topmost first.
	Layers []string
	// Registry is the folder that the registry serves, in its own storage layout.
	Registry string
	// RegistryProgram and ResolverProgram are the programs (distribution's registry and
	// CoreDNS) that run in the outside network. EtcdProgram runs there where an external
	// etcd is played.
	RegistryProgram, ResolverProgram, EtcdProgram string
}

// Platform runs one cluster's machines on this host.
type Platform struct {
	// Cluster is the cluster's name.
	Cluster string
	// Dir is the folder of the cluster's state. Everything of the platform is below it.
	Dir string
	// Image may be empty for calls that start nothing.
	Image Image
	// RegistryAuthority signs the certificate of the platform's registry.
	RegistryAuthority pki.Pair
	// APIAuthority is the certificate of the authority that signs the API's: the load
	// balancer verifies it in its health checks.
	APIAuthority []byte
	// Self is the craton program, started anew for what runs in the background.
	Self string
}

var _ machines.Platform = (*Platform)(nil)

// New is the platform for one cluster whose state is kept in dir.
func New(cluster, dir string, image Image) (*Platform, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the craton program itself: %w", err)
	}
	return &Platform{Cluster: cluster, Dir: dir, Image: image, Self: self}, nil
}

// path is a path below the platform's folder of state.
func (p *Platform) path(elem ...string) string {
	return filepath.Join(append([]string{p.Dir}, elem...)...)
}

// Prepare implements machines.Platform.
func (p *Platform) Prepare(ctx context.Context, pl *plan.Plan) error {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return err
	}
	if err := p.prepareNetwork(pl); err != nil {
		return fmt.Errorf("prepare the network: %w", err)
	}
	if err := p.applyRules(ctx, pl); err != nil {
		return fmt.Errorf("apply the plan's rules at the fabric: %w", err)
	}
	if err := p.startSurroundings(ctx, pl); err != nil {
		return fmt.Errorf("start the surroundings: %w", err)
	}
	return nil
}

// machineName keeps what is used as a folder, a namespace and a cgroup harmless.
var machineName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// States implements machines.Platform.
func (p *Platform) States(ctx context.Context) ([]machines.State, error) {
	names, err := p.machineNames()
	if err != nil {
		return nil, err
	}
	states := make([]machines.State, 0, len(names))
	for _, name := range names {
		st := machines.State{Name: name}
		proc := p.process(processMachine + name)
		switch {
		case proc.alive():
			st.Running = true
			if file, err := os.Stat(proc.file); err == nil { // written when it was started
				st.Since = file.ModTime()
			}
		default:
			st.Detail = "the machine is off"
			if last := tailFile(p.path("machines", name, "console.log"), 300); last != "" {
				st.Detail += "; its console ends with: " + last
			}
		}
		states = append(states, st)
	}
	return states, nil
}

func (p *Platform) machineNames() ([]string, error) {
	entries, err := os.ReadDir(p.path("machines"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && machineName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// Destroy implements machines.Platform. What can be removed is removed, even where
// something else fails.
func (p *Platform) Destroy(ctx context.Context) error {
	var errs []error
	names, err := p.machineNames()
	errs = append(errs, err)
	for _, name := range names {
		errs = append(errs, p.Remove(ctx, name))
	}
	errs = append(errs, p.stopSurroundings(), p.removeNetwork(), p.removeCgroups())
	if err := errors.Join(errs...); err != nil {
		return err // the folder stays, so that it can be tried again
	}
	return os.RemoveAll(p.Dir)
}
