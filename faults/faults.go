package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/faults/inject"
	"craton.dev/craton/render/manifests"
)

// holding is how long a fault lasts that ends by itself: longer than leases and than what
// notices a dead peer.
const holding = 20 * time.Second

// who chooses machines.
type who struct {
	name string
	of   func(*play) []string
}

var (
	oneMaster   = who{"one", func(p *play) []string { return []string{p.one()} }}
	allMasters  = who{"all", func(p *play) []string { return p.masters() }}
	allMachines = who{"all machines", func(p *play) []string { return append(p.masters(), p.workers()...) }}
	oneWorker   = who{"a worker", func(p *play) []string { return p.workers()[:1] }}
	// newest is a master that is just being added.
	newest = who{"the new master", func(p *play) []string { return []string{p.newMaster} }}
)

// kill ends a program as the kernel does where memory is short.
func kill(program string, w who) fault {
	return fault{name: fmt.Sprintf("kill %s, %s", program, w.name), do: func(ctx context.Context, p *play) error {
		_, err := p.signal(ctx, w.of(p), program, unix.SIGKILL)
		return err
	}}
}

// signal sends a signal to a program's processes on machines. One that is just being started
// is waited for.
func (p *play) signal(ctx context.Context, machines []string, program string, signal unix.Signal) ([]inject.Process, error) {
	for end := time.Now().Add(5 * time.Second); ; {
		met, err := p.inject.SignalAll(machines, program, signal)
		if err == nil || time.Now().After(end) || !sleep(ctx, 50*time.Millisecond) {
			return met, err
		}
	}
}

// hang stops a program's processes without ending them: whoever asks gets no answer. Those
// of a pod stay so until somebody ends them. Nobody ends a machine's kubelet or container
// runtime, so these go on after a while.
func hang(program string, w who) fault {
	f := fault{name: fmt.Sprintf("hang %s, %s", program, w.name), do: func(ctx context.Context, p *play) (err error) {
		p.stopped, err = p.signal(ctx, w.of(p), program, unix.SIGSTOP)
		return err
	}}
	goOn := func(ctx context.Context, p *play) error { return inject.Signal(p.stopped, unix.SIGCONT) }
	if program == "kubelet" || program == "containerd" {
		f.hold, f.mend = holding, goOn
	} else {
		f.tidy = goOn
	}
	return f
}

// powerOff takes the power from machines, and gives it back a little later.
func powerOff(w who) fault {
	return fault{name: "power off, " + w.name, hold: 5 * time.Second, upMayFail: true,
		do: func(ctx context.Context, p *play) error {
			p.off = w.of(p)
			return p.inject.PowerOff(ctx, p.off)
		},
		mend: func(ctx context.Context, p *play) error { return p.powerOn(ctx) },
	}
}

// without adds to a fault that an address cannot be reached before and after it, till the
// cluster is back.
func (f fault) without(what string, address func(*play) string) fault {
	do := f.do
	f.name += ", " + what + " away"
	f.do = func(ctx context.Context, p *play) error {
		if err := p.inject.Cut(ctx, []inject.Way{{From: inject.Any, To: address(p)}}); err != nil {
			return err
		}
		return do(ctx, p)
	}
	f.tidy = func(ctx context.Context, p *play) error { return p.inject.Join(ctx) }
	return f
}

// withoutAfter is the same, but the address can be reached again some time after the fault's end:
// for what the cluster cannot be ready without.
func (f fault) withoutAfter(what string, address func(*play) string) fault {
	f = f.without(what, address)
	mend, join := f.mend, f.tidy
	f.mend = func(ctx context.Context, p *play) error {
		if err := mend(ctx, p); err != nil {
			return err
		}
		sleep(ctx, holding)
		p.row.note(p, "%s is back", what)
		return join(ctx, p)
	}
	return f
}

func resolver(p *play) string { return p.inject.Plan.Network.Resolvers[0].String() }
func registry(p *play) string { return p.inject.Plan.Network.Registry.String() }

// cut cuts links in the fabric for a while.
func cut(name string, ways func(*play) ([]inject.Way, error)) fault {
	return fault{name: "cut off, " + name, hold: holding,
		do: func(ctx context.Context, p *play) error {
			w, err := ways(p)
			if err != nil {
				return err
			}
			return p.inject.Cut(ctx, w)
		},
		mend: func(ctx context.Context, p *play) error { return p.inject.Join(ctx) },
	}
}

// away makes one of the surroundings unreachable for a while.
func away(what string, address func(*play) string) fault {
	f := cut("", func(p *play) ([]inject.Way, error) { return []inject.Way{{From: inject.Any, To: address(p)}}, nil })
	f.name = what + " away"
	return f
}

func around(w who) func(*play) ([]inject.Way, error) {
	return func(p *play) ([]inject.Way, error) { return p.inject.Around(w.of(p)) }
}

// deletePods deletes the real pods of components, with no time to end in good order.
func deletePods(components ...string) fault {
	return fault{name: "delete pods of " + list(components), do: func(ctx context.Context, p *play) error {
		for _, c := range components {
			err := p.client.CoreV1().Pods(metav1.NamespaceSystem).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))},
				metav1.ListOptions{LabelSelector: manifests.ComponentLabel + "=" + c + "," + manifests.StandInLabel + "=false"})
			if err != nil {
				return err
			}
		}
		return nil
	}}
}

// deleteObjects deletes the objects of kube-system by which components run.
func deleteObjects(names ...string) fault {
	return fault{name: "delete " + list(names), do: func(ctx context.Context, p *play) error {
		apps := p.client.AppsV1()
		for _, name := range names {
			errDeployment := apps.Deployments(metav1.NamespaceSystem).Delete(ctx, name, metav1.DeleteOptions{})
			errDaemonSet := apps.DaemonSets(metav1.NamespaceSystem).Delete(ctx, name, metav1.DeleteOptions{})
			if apierrors.IsNotFound(errDeployment) && apierrors.IsNotFound(errDaemonSet) {
				return fmt.Errorf("%s: neither a Deployment nor a DaemonSet of %s", name, metav1.NamespaceSystem)
			}
			for _, err := range []error{errDeployment, errDaemonSet} {
				if err != nil && !apierrors.IsNotFound(err) {
					return err
				}
			}
			p.wanted = append(p.wanted, name)
		}
		return nil
	}}
}

// missing is the first deleted object that is not there again; "" where all are.
func (p *play) missing(ctx context.Context) (string, error) {
	if len(p.wanted) == 0 {
		return "", nil
	}
	there := map[string]bool{}
	var sets *appsv1.DaemonSetList
	deployments, err := p.client.AppsV1().Deployments(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err == nil {
		sets, err = p.client.AppsV1().DaemonSets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		return "", err
	}
	for _, d := range deployments.Items {
		there[d.Name] = d.DeletionTimestamp == nil
	}
	for _, d := range sets.Items {
		there[d.Name] = d.DeletionTimestamp == nil
	}
	i := slices.IndexFunc(p.wanted, func(name string) bool { return !there[name] })
	if i < 0 {
		return "", nil
	}
	return p.wanted[i], nil
}

// Faults of a disk befall the master that has one of its own.

var fullDisk = fault{name: "full disk, one", disk: true, hold: holding,
	do:   func(ctx context.Context, p *play) error { return p.lab.disk.Fill() },
	mend: func(ctx context.Context, p *play) error { return p.lab.disk.Empty() },
}

// A disk that fails stays read-only till its machine is off and it has been checked.
var readOnlyDisk = fault{name: "read-only disk, one", disk: true, hold: holding,
	do: func(ctx context.Context, p *play) error { return p.lab.disk.Fail() },
	mend: func(ctx context.Context, p *play) error {
		p.off = []string{p.lab.diskOf}
		if err := errors.Join(p.inject.PowerOff(ctx, p.off), p.lab.disk.Repair(ctx)); err != nil {
			return err
		}
		return p.powerOn(ctx)
	},
}

// A loss of power with what it does to a disk: only what was synced is there afterwards.
var pulledPlug = fault{name: "power off, one, and what was not synced is lost", disk: true, hold: 5 * time.Second, upMayFail: true,
	do: func(ctx context.Context, p *play) error {
		p.off = []string{p.lab.diskOf}
		return errors.Join(p.lab.disk.Crash(), p.inject.PowerOff(ctx, p.off))
	},
	mend: func(ctx context.Context, p *play) error {
		if err := p.lab.disk.Repair(ctx); err != nil {
			return err
		}
		return p.powerOn(ctx)
	},
}

var slowDisk = fault{name: "slow disk, one", disk: true, hold: holding,
	do: func(ctx context.Context, p *play) error {
		possible, err := p.inject.Slow(p.lab.diskOf, p.lab.disk, 20)
		if err == nil && !possible {
			err = errors.New("this host's cgroups have no limit for writes to a device")
		}
		return err
	},
	mend: func(ctx context.Context, p *play) error {
		_, err := p.inject.Slow(p.lab.diskOf, p.lab.disk, 0)
		return err
	},
}

// nothing is for the moments that are a trial in themselves.
var nothing = fault{name: "no fault", do: func(context.Context, *play) error { return nil }}
