package checkpoint

import (
	"maps"
	"slices"
)

// leaseLasts is for how many seconds a lease is its holder's that he does not renew: counted
// by each other one from when he has first seen it so.
const leaseLasts = 10

// elect lets the lease's holder renew it, or another take it when it has run out. Who comes
// first changes from time to time.
func (w *world) elect(c string) {
	l := w.leases[c]
	if l.exists && l.holder.powered && w.reaches(l.holder) && l.process.runs(w.now) && !l.process.bad && w.now >= l.process.hangs &&
		(l.holder.real[c] == l.process || l.holder.standIn[c] == l.process) {
		l.renewed = w.now
		return
	}
	type candidate struct {
		m *machine
		p *process
	}
	var candidates []candidate
	for _, m := range w.machines {
		if !w.reaches(m) {
			continue
		}
		for _, p := range []*process{m.real[c], m.standIn[c]} {
			if p.runs(w.now) && !p.bad && w.now >= p.starts+1*sec && w.now >= p.hangs &&
				(!l.exists || w.now-max(l.renewed, p.starts+1*sec) >= leaseLasts*sec) {
				candidates = append(candidates, candidate{m, p})
			}
		}
	}
	if len(candidates) > 0 {
		x := candidates[w.now*7919%104729%len(candidates)]
		*l = leaseModel{x.m, x.p, w.now, true}
		w.log("%s: %s leads, real=%t", c, x.m.name, x.m.real[c] == x.p)
	}
}

func (w *world) leads(c string) bool { return w.leases[c].exists && w.leases[c].renewed == w.now }

// control is the controller manager.
func (w *world) control() {
	w.pods = slices.DeleteFunc(w.pods, func(p *apiPod) bool {
		dead := p.node != "" && w.now-w.heard[p.node] > 50*sec
		if dead {
			p.ready = false
		}
		return !w.objects[p.component] ||
			p.component == server && !w.masters[p.target] ||
			p.component != server && p.node != "" && !w.masters[p.node] ||
			p.component != server && dead && w.now-w.heard[p.node] > 80*sec ||
			p.bad != w.bad[p.component]
	})
	for _, name := range slices.Sorted(maps.Keys(w.masters)) {
		if w.objects[server] && w.masters[name] && !slices.ContainsFunc(w.pods, func(p *apiPod) bool { return p.component == server && p.target == name }) {
			w.create(server, name)
		}
	}
	for _, c := range all[1:] {
		have := 0
		for _, p := range w.pods {
			if p.component == c {
				have++
			}
		}
		for ; w.objects[c] && have < w.each; have++ {
			w.create(c, "")
		}
	}
}

func (w *world) create(c, target string) {
	w.uids++
	w.pods = append(w.pods, &apiPod{uid: w.uids, component: c, target: target, bad: w.bad[c]})
}

// schedule places pods: a daemon set's where it is for, a deployment's on a master that
// has none and is not known to be dead.
func (w *world) schedule() {
	for _, p := range w.pods {
		if p.node != "" {
			continue
		}
		if p.target != "" {
			p.node = p.target
			continue
		}
		for _, m := range w.machines {
			taken := slices.ContainsFunc(w.pods, func(o *apiPod) bool { return o.component == p.component && o.node == m.name })
			if !taken && w.masters[m.name] && w.now-w.heard[m.name] < 50*sec {
				p.node = m.name
				break
			}
		}
	}
}
