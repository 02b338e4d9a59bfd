package main

import (
	"context"
	"strings"
	"time"

	"craton.dev/craton/faults/inject"
)

// Bounds. Those with a comment are promised; the others are what a user may expect.
const (
	gapPivot     = time.Second      // while the control plane is handed over
	gapOneAPI    = 3 * time.Second  // one API server of three fails
	gapOnlyAPI   = 10 * time.Second // the only one fails, or all do
	gapNone      = time.Second      // the API has no part in it
	gapElection  = 5 * time.Second
	worksAgain   = 30 * time.Second // a deadlock of self-hosting ends by itself
	gapHung      = 30 * time.Second // a program that hangs is found by its probes, and started again
	worksHung    = time.Minute      // and who needs it finds it again
	readyAgain   = 3 * time.Minute
	readyNodeOut = 8 * time.Minute // a kubelet leaves disk pressure five minutes later
)

var (
	one   = shape{1, 1}
	three = shape{3, 1}
)

// programs of the control plane, in pods and on machines.
var (
	podPrograms     = []string{"kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager", "craton-operator", "craton-checkpointer"}
	machinePrograms = []string{"kubelet", "containerd"}
)

// scenarios are all of them, in the order in which they are played: those that can share
// a cluster are together. The short ones are part of every test: on one cluster, the
// hand-over, a program that hangs, one that is killed, a deadlock, and the loss of all power.
func scenarios() []scenario {
	var all []scenario
	add := func(s shape, m moment, b bounds, f fault) *scenario {
		if b.works == 0 {
			b.works = worksAgain
		}
		if b.ready == 0 {
			b.ready = readyAgain
		}
		all = append(all, scenario{shape: s, etcd: internal, fault: f, moment: m, bounds: b})
		return &all[len(all)-1]
	}
	for _, s := range []shape{one, three} {
		addPivot(s, add)
		addProcesses(s, add)
		addDeadlocks(s, add)
		addPower(s, add)
		addNetwork(s, add)
		addDisks(s, add)
		addCertificates(s, add)
	}
	addRecovery(add)
	addAdding(add)
	addExternal(func(s shape, m moment, b bounds, f fault) *scenario {
		x := add(s, m, b, f)
		x.etcd = external
		return x
	})
	for _, s := range []shape{one, three} {
		addSelfHosted(s, func(s shape, m moment, b bounds, f fault) *scenario {
			x := add(s, m, b, f)
			x.etcd = selfHosted
			return x
		})
	}
	return append(all, notHere()...)
}

type adder func(shape, moment, bounds, fault) *scenario

func addPivot(s shape, add adder) {
	add(s, pivot, bounds{gap: gapPivot}, nothing).short = s == one
	first := who{"the first master", func(p *play) []string { return p.masters()[:1] }}
	for _, program := range []string{"kube-apiserver", "etcd"} {
		add(s, pivot, bounds{gap: gapOnlyAPI}, kill(program, first))
	}
	for _, program := range []string{"craton-checkpointer", "craton-operator", "kube-controller-manager", "kubelet", "containerd"} {
		add(s, pivot, bounds{gap: gapPivot}, kill(program, first))
	}
	off := powerOff(first)
	off.outage = true
	add(s, pivot, bounds{gap: 2 * gapOnlyAPI, works: time.Minute}, off)
	add(s, pivot, bounds{gap: gapPivot, works: holding + worksAgain}, away("registry", registry))
}

func addProcesses(s shape, add adder) {
	for _, program := range podPrograms {
		serves := program == "kube-apiserver" || program == "etcd"
		all, oneOf, hung := bounds{gap: gapNone}, bounds{gap: gapNone}, bounds{gap: gapNone, works: worksAgain}
		if serves {
			all.gap, oneOf.gap, hung = gapOnlyAPI, gapOneAPI, bounds{gap: gapHung, works: worksHung}
		}
		if s.masters > 1 {
			add(s, steady, oneOf, kill(program, oneMaster))
			add(s, steady, oneOf, hang(program, oneMaster))
		}
		add(s, steady, all, kill(program, allMasters)).short = s == one && program == "etcd"
		add(s, steady, hung, hang(program, allMasters)).short = s == one && program == "kube-apiserver"
	}
	for _, program := range machinePrograms {
		if s.masters > 1 {
			add(s, steady, bounds{gap: gapNone}, kill(program, oneMaster))
			add(s, steady, bounds{gap: gapNone}, hang(program, oneMaster))
		}
		add(s, steady, bounds{gap: gapNone}, kill(program, allMasters))
		add(s, steady, bounds{gap: gapNone}, hang(program, allMasters))
	}
}

func addDeadlocks(s shape, add adder) {
	const apiServer, scheduler, controllers = "kube-apiserver", "kube-scheduler", "kube-controller-manager"
	add(s, steady, bounds{gap: gapNone}, deletePods(scheduler)).short = s == one
	add(s, steady, bounds{gap: gapNone}, deletePods(controllers))
	add(s, steady, bounds{gap: gapNone}, deletePods(scheduler, controllers))
	add(s, steady, bounds{gap: gapNone}, deleteObjects(scheduler, controllers))
	add(s, steady, bounds{gap: gapOnlyAPI}, deletePods(apiServer))
	add(s, steady, bounds{gap: gapOnlyAPI}, deleteObjects(apiServer))
	add(s, steady, bounds{gap: gapNone}, deleteObjects("coredns", "flannel", "kube-proxy"))
	all := deleteObjects("coredns", "flannel")
	off := powerOff(allMachines)
	away := off
	away.name, away.outage = "delete coredns, flannel, then power off, all machines", true
	away.do = func(ctx context.Context, p *play) error {
		if err := all.do(ctx, p); err != nil {
			return err
		}
		return off.do(ctx, p)
	}
	add(s, steady, bounds{gap: 2 * gapOnlyAPI, works: time.Minute}, away)
}

func addPower(s shape, add adder) {
	masters := powerOff(allMasters)
	masters.outage = true
	machines := powerOff(allMachines)
	machines.outage = true
	back := bounds{gap: 2 * gapOnlyAPI, works: time.Minute, floors: true}
	if s.masters > 1 {
		add(s, steady, bounds{gap: gapElection, works: time.Minute}, powerOff(oneMaster))
	}
	add(s, steady, bounds{gap: gapNone, works: 90 * time.Second}, powerOff(oneWorker))
	add(s, steady, bounds{gap: 2 * gapOnlyAPI, works: time.Minute}, masters)
	add(s, steady, back, machines).short = s == one
	add(s, steady, back, machines.without("registry", registry))
	// Machines know the API by its name, so only the API itself can be back without DNS.
	add(s, steady, bounds{gap: 2 * gapOnlyAPI, works: time.Minute}, machines.withoutAfter("DNS", resolver))
}

func addNetwork(s shape, add adder) {
	add(s, steady, bounds{gap: gapNone}, away("DNS", resolver))
	add(s, steady, bounds{gap: gapNone}, away("registry", registry))
	if s.masters == 1 {
		f := cut("the only master", around(allMasters))
		f.outage = true
		add(s, steady, bounds{gap: gapOnlyAPI, works: time.Minute}, f)
		return
	}
	others := func(p *play) []string {
		var out []string
		for _, m := range p.masters() {
			if m != p.one() {
				out = append(out, m)
			}
		}
		return out
	}
	add(s, steady, bounds{gap: gapElection, works: time.Minute}, cut("one master", around(oneMaster)))
	add(s, steady, bounds{gap: gapElection, works: time.Minute}, cut("one master from the other masters", func(p *play) ([]inject.Way, error) {
		return p.inject.Between([]string{p.one()}, others(p))
	}))
	add(s, steady, bounds{gap: gapElection, works: time.Minute}, cut("one master, to the other masters only", func(p *play) ([]inject.Way, error) {
		return p.inject.OneWay(p.one(), others(p))
	}))
	add(s, steady, bounds{gap: gapElection, works: time.Minute}, cut("one master, from the other masters only", func(p *play) ([]inject.Way, error) {
		ways, err := p.inject.OneWay(p.one(), others(p))
		for i := range ways {
			ways[i].From, ways[i].To = ways[i].To, ways[i].From
		}
		return ways, err
	}))
	majority := cut("two masters of three", around(who{"", others}))
	majority.outage = true
	add(s, steady, bounds{gap: gapOnlyAPI, works: time.Minute}, majority)
	apart := cut("each master from each", func(p *play) ([]inject.Way, error) { return p.inject.Between(p.masters(), p.masters()) })
	apart.outage = true
	add(s, steady, bounds{gap: gapOnlyAPI, works: time.Minute}, apart)
}

func addDisks(s shape, add adder) {
	gap := gapElection
	full, failed, slow, pulled := fullDisk, readOnlyDisk, slowDisk, pulledPlug
	if s.masters == 1 {
		full.outage, failed.outage, pulled.outage, gap = true, true, true, 2*gapOnlyAPI
	}
	add(s, steady, bounds{gap: gap, works: time.Minute}, pulled)
	add(s, pivot, bounds{gap: gap, works: time.Minute}, pulled)
	add(s, steady, bounds{gap: gapOnlyAPI, works: time.Minute}, slow)
	add(s, steady, bounds{gap: gap, works: time.Minute, ready: readyNodeOut}, full)
	add(s, steady, bounds{gap: gap, works: 2 * time.Minute, ready: readyNodeOut}, failed)
}

// addCertificates is about what `craton up` does: the control plane's certificates last for a
// year, and whoever runs it in the last third of that renews them.
func addCertificates(s shape, add adder) {
	// The fault has started the programs once already, and the kubelet starts nothing for the
	// second time without waiting.
	add(s, steady, bounds{gap: gapHung, works: time.Minute}, ending("about to expire", time.Hour, holding))
	add(s, steady, bounds{gap: gapHung, works: time.Minute}, ending("expired", holding, 2*holding))
}

func addRecovery(add adder) {
	b := bounds{gap: gapNone}
	add(one, recovery, b, nothing)
	add(one, recovery, b, kill("etcd", allMasters))
	add(one, recovery, b, kill("kubelet", allMasters))
	add(one, recovery, b, kill("containerd", allMasters))
	add(one, recovery, b, powerOff(allMasters))
}

func addAdding(add adder) {
	add(one, adding, bounds{gap: gapOneAPI}, nothing)
	first := who{"the first master", func(p *play) []string { return p.masters()[:1] }}
	add(one, adding, bounds{gap: gapOnlyAPI}, kill("etcd", first))
	add(one, adding, bounds{gap: gapOnlyAPI}, kill("kube-apiserver", first))
	add(one, adding, bounds{gap: gapOneAPI}, kill("craton-operator", first))
	add(one, adding, bounds{gap: gapOneAPI}, kill("kubelet", newest))
	add(one, adding, bounds{gap: gapElection, works: time.Minute}, powerOff(newest))
	add(one, adding, bounds{gap: gapElection, works: time.Minute}, cut("the new master", around(newest)))
}

// addExternal is about what is different where etcd is somebody else's: it is not there, or
// the API server is not.
func addExternal(add adder) {
	add(one, pivot, bounds{gap: gapPivot}, nothing)
	add(one, steady, bounds{gap: gapOnlyAPI}, kill("kube-apiserver", allMasters))
	add(one, steady, bounds{gap: gapNone}, deleteObjects("kube-scheduler", "kube-controller-manager"))
	add(one, steady, bounds{gap: gapElection}, away("one endpoint of etcd", func(*play) string { return endpointAddress(0) }))
	none := cut("all endpoints of etcd", func(p *play) (ways []inject.Way, err error) {
		for n := range endpoints {
			ways = append(ways, inject.Way{From: inject.Any, To: endpointAddress(n)})
		}
		return ways, nil
	})
	none.outage = true
	add(one, steady, bounds{gap: gapOnlyAPI, works: time.Minute}, none)
	off := powerOff(allMachines)
	off.outage = true
	add(one, steady, bounds{gap: 2 * gapOnlyAPI, works: time.Minute, floors: true}, off)
}

// addSelfHosted is about what is different where etcd is pods: they are on the cluster that stands on
// them, and begin with a seed.
func addSelfHosted(s shape, add adder) {
	first := who{"the first master", func(p *play) []string { return p.masters()[:1] }}
	off := powerOff(allMachines)
	off.outage = true
	begun := powerOff(first)
	begun.outage = true
	add(s, pivot, bounds{gap: gapPivot}, nothing)
	add(s, pivot, bounds{gap: gapOnlyAPI}, kill("etcd", first))
	add(s, pivot, bounds{gap: 2 * gapOnlyAPI, works: time.Minute}, begun)
	add(s, steady, bounds{gap: gapOnlyAPI}, kill("etcd", allMasters))
	add(s, steady, bounds{gap: gapOnlyAPI}, deletePods("etcd"))
	add(s, steady, bounds{gap: gapHung, works: worksHung}, hang("etcd", allMasters))
	add(s, steady, bounds{gap: 2 * gapOnlyAPI, works: time.Minute, floors: true}, off)
	if s.masters > 1 {
		add(s, steady, bounds{gap: gapElection, works: time.Minute}, powerOff(oneMaster))
	}
}

// notHere are the scenarios that ought to be played and cannot be, with their reason.
func notHere() []scenario {
	missing := func(s shape, etcd string, m moment, fault_, why string) scenario {
		return scenario{shape: s, etcd: etcd, moment: m, fault: fault{name: fault_}, not: why}
	}
	return []scenario{
		missing(one, external, steady, "faults of etcd's own members", "they are the user's: their machines are not the cluster's"),
		missing(shape{5, 1}, internal, steady, "all of the above", "fs.inotify.max_user_instances of 128 has room for three masters"),
	}
}

func list(names []string) string { return strings.Join(names, ", ") }
