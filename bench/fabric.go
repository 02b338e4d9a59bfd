package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netns"

	"craton.dev/craton/cluster"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// What the fabric has loaded, as the ends of samples' names.
const (
	rulesNone = ", no rules"
	rules5    = ", rules of 5 workers"
	rules5000 = ", rules of 5000 workers"
)

// fabricRounds is how often a run goes through all rulesets: a run's value is the median,
// since what else the host does disturbs a second of traffic more than a minute of it.
const fabricRounds = 3

// fabric measures traffic from a worker to a master's API port through a router that has
// no rules, and the rules of a small and of a large cluster. The router and the two links
// are as in the embedded platform; the other machines are in the rules only.
func (b *bench) fabric(ctx context.Context) (err error) {
	small, err := planOf("bench", 5)
	if err != nil {
		return err
	}
	large, err := planOf("bench", largest)
	if err != nil {
		return err
	}
	names := []string{"fabric", "master", "worker"}
	defer func() {
		for _, name := range names {
			err = errors.Join(err, removeNamespace(name))
		}
	}()
	var spaces []netns.NsHandle
	for _, name := range names {
		ns, err := newNamespace(name)
		if err != nil {
			return err
		}
		defer ns.Close()
		spaces = append(spaces, ns)
	}
	router, master, worker := spaces[0], spaces[1], spaces[2]
	m, w := first(small, contract.Master), first(small, contract.Worker)
	if large := first(large, contract.Worker); w.Address != large.Address {
		return fmt.Errorf("the first worker has address %s in the small plan and %s in the large one", w.Address, large.Address)
	}
	if err := errors.Join(
		sysctl(router, map[string]string{"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0"}),
		sysctl(worker, map[string]string{"ipv4/ip_local_port_range": "1024 65000"}),
		connect(router, master, portName(small, m), m.Address),
		connect(router, worker, portName(small, w), w.Address),
	); err != nil {
		return err
	}
	at := netip.AddrPortFrom(m.Address, small.Network.APIPort)
	loads := []load{{rulesNone, nil}, {rules5, small}, {rules5000, large}}
	found := samples{}
	for range fabricRounds {
		for _, l := range loads {
			if err := loadRules(ctx, "fabric", l.plan); err != nil {
				return err
			}
			rate, err := throughput(ctx, worker, master, at)
			if err != nil {
				return fmt.Errorf("throughput%s: %w", l.name, err)
			}
			found.add("throughput"+l.name, rate)
			made, err := connections(ctx, worker, master, at)
			if err != nil {
				return fmt.Errorf("connections%s: %w", l.name, err)
			}
			found.add("connections"+l.name, made)
			if err := forget(router); err != nil {
				return fmt.Errorf("forget the fabric's connections: %w", err)
			}
		}
		loads = append(loads[1:], loads[0]) // none is always the first
	}
	for name, values := range found {
		b.samples.add(name, median(values))
	}
	return nil
}

// load is a ruleset to measure with; its plan is nil for no rules.
type load struct {
	name string
	plan *plan.Plan
}

// loadRules makes the rules in a namespace those of a plan's fabric; none for nil.
func loadRules(ctx context.Context, namespace string, p *plan.Plan) error {
	text := []byte("flush ruleset\n")
	if p != nil {
		ports := map[string]string{}
		for _, m := range p.Machines {
			ports[m.Name] = portName(p, m)
		}
		text = append(text, nftables.Fabric(p, nftables.Options{Ports: ports, LogGroup: 1})...)
	}
	_, err := command.Cmd{
		Name: "nsenter", Args: []string{"--net=/run/netns/" + namespaceName(namespace), "nft", "-f", "-"},
		Stdin: bytes.NewReader(text),
	}.Run(ctx)
	return err
}

// portName is the fabric's interface for a machine, as the embedded platform names it.
func portName(p *plan.Plan, m plan.Machine) string {
	return strings.Replace(strings.TrimPrefix(m.Name, p.Cluster+"-"), "-", "", 1)
}

func planOf(name string, workers int) (*plan.Plan, error) {
	c := cluster.Default(name)
	c.Workers = workers
	return plan.Make(c)
}

// planIn is the plan of a cluster file.
func planIn(file string) (*plan.Plan, error) {
	c, err := cluster.Load(file)
	if err != nil {
		return nil, err
	}
	return plan.Make(c)
}

// first is the plan's first machine of a role; every plan here has one.
func first(p *plan.Plan, role contract.Role) plan.Machine {
	for _, m := range p.Machines {
		if m.Role == role {
			return m
		}
	}
	return plan.Machine{}
}
