package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
)

// upCluster is the cluster that `craton up` is measured with.
const upCluster = "bench"

// upLimit is how long one `craton up` may take.
const upLimit = 10 * time.Minute

// ownSettle is how long craton's own programs have after `up` to give back what they needed only for
// their start, ownIdle how long their work is looked at then.
const ownSettle, ownIdle = 20 * time.Second, 20 * time.Second

// ownPrograms are those on masters.
var ownPrograms = []string{payload.Operator, "craton-checkpointer"}

// up brings a cluster of one master and one worker up and takes it down: the time to its
// first answer and till it is ready, an `up` with nothing to do, and what craton's own
// programs take then.
func (b *bench) up(ctx context.Context) (err error) {
	p, err := planOf(upCluster, 1)
	if err != nil {
		return err
	}
	file, err := b.clusterFile(upCluster, 1, "")
	if err != nil {
		return err
	}
	if err := b.cleanUp(upCluster); err != nil {
		return err
	}
	// What the payload lacks is built here, and not while the clock runs.
	if _, err := (command.Cmd{Name: b.craton, Args: []string{"payload", "build"}, Timeout: time.Hour}).Run(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp(upCluster)) }()

	group, upCtx := errgroup.WithContext(ctx)
	began := time.Now()
	group.Go(func() error {
		if err := b.bring(upCtx, file); err != nil {
			return err
		}
		b.samples.add("up", time.Since(began).Seconds())
		return nil
	})
	group.Go(func() error {
		platform := &local.Platform{Cluster: upCluster, Dir: filepath.Join(bootstrap.StateRoot, upCluster, "local")}
		at := netip.AddrPortFrom(p.Network.LoadBalancer, p.Network.APIPort)
		if err := firstAnswer(upCtx, at.String(), platform.Dial); err != nil {
			return err
		}
		b.samples.add("first answer", time.Since(began).Seconds())
		return nil
	})
	group.Go(func() error {
		// As the load balancer sees it, which then has to find out by its next check.
		at := netip.AddrPortFrom(first(p, contract.Master).Address, p.Network.APIPort)
		if err := firstAnswer(upCtx, at.String(), balancerDial); err != nil {
			return err
		}
		b.samples.add("first answer, master", time.Since(began).Seconds())
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	began = time.Now()
	if err := b.bring(ctx, file); err != nil {
		return err
	}
	b.samples.add("no-op", time.Since(began).Seconds())
	if err := b.atRest(ctx, p); err != nil {
		return err
	}
	began = time.Now()
	if err := b.cleanUp(upCluster); err != nil {
		return err
	}
	b.samples.add("down", time.Since(began).Seconds())
	return nil
}

func (b *bench) bring(ctx context.Context, file string) error {
	_, err := command.Cmd{Name: b.craton, Args: []string{"up", "--file", file}, Timeout: upLimit}.Run(ctx)
	return err
}

// balancerDial connects from the load balancer's place in the fabric, once there is one.
func balancerDial(ctx context.Context, network, address string) (net.Conn, error) {
	ns, err := netns.GetFromName(namespaceName("balancer"))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	return dialFrom(ns)(ctx, network, address)
}

// cleanUp takes a cluster down where there is one, also after this run was stopped.
func (b *bench) cleanUp(cluster string) error {
	if _, err := os.Stat(filepath.Join(bootstrap.StateRoot, cluster)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err := command.Cmd{Name: b.craton, Args: []string{"down", "--cluster", cluster}, Timeout: 2 * time.Minute}.
		Run(context.Background())
	return err
}

// atRest says what craton's own programs take when they have nothing to do, by machine and on the
// host.
func (b *bench) atRest(ctx context.Context, p *plan.Plan) error {
	if err := pass(ctx, ownSettle); err != nil {
		return err
	}
	all, err := running(p)
	if err != nil {
		return err
	}
	sums, programs := map[string]int64{}, map[string][]int{}
	master := first(p, contract.Master).Name
	for _, r := range all {
		if !strings.HasPrefix(r.program, "craton") {
			continue
		}
		sums[r.machine] += statusBytes(r.pid, "VmRSS")
		if r.machine == master {
			programs[r.program] = append(programs[r.program], r.pid)
		}
	}
	gateway := gatewayOf(p.Cluster)
	for _, name := range ownPrograms {
		if len(programs[name]) != 1 || gateway == 0 {
			return fmt.Errorf("at rest: expected one %s on %s and a gateway on the host, found processes %v and %d", name, master, programs[name], gateway)
		}
		b.samples.add("memory "+name, float64(statusBytes(programs[name][0], "VmRSS")))
	}
	b.samples.add("memory master", float64(sums[master]))
	b.samples.add("memory worker", float64(sums[first(p, contract.Worker).Name]))
	b.samples.add("memory host", float64(statusBytes(gateway, "VmRSS")))
	shares, err := processorShares(ctx, ownIdle, programs)
	for _, name := range ownPrograms {
		b.samples.add("processor "+name, shares[name])
	}
	return err
}

// machineOf is the plan's machine that a process runs on, by its cgroup; "" for none.
func machineOf(pid int, p *plan.Plan) string {
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for _, m := range p.Machines {
		if strings.Contains(string(groups), "/craton/"+p.Cluster+"/"+m.Name+"/") {
			return m.Name
		}
	}
	return ""
}

// gatewayOf is the process that lets the host into a cluster; 0 where there is none.
func gatewayOf(cluster string) (pid int) {
	text, _ := os.ReadFile(filepath.Join(bootstrap.StateRoot, cluster, "local", "run", "gateway.pid"))
	_, _ = fmt.Sscan(string(text), &pid) // 0 where it cannot be read
	return pid
}
