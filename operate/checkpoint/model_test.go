package checkpoint

import (
	"fmt"
	"slices"
	"time"
)

// A small model of a self-hosted control plane: machines with kubelets, the API with its
// objects, the controllers that make and place pods. Time goes in ticks of half a second,
// as the checkpointer's does. The model is not kind: a stand-in that only starts, or hangs,
// keeps clients from the real API server on its machine; programs that hang are called
// ready till they are ended, dead machines' pods till a controller manager finds out; and a
// lease is anybody's who comes first.

const (
	tick = 500 * time.Millisecond
	sec  = 2 // ticks in a second
)

var (
	server, manager, scheduler = components()[0].Name, components()[1].Name, components()[2].Name
	all                        = []string{server, manager, scheduler}
)

func kindOf(name string) kind {
	if name == server {
		return serving
	}
	return leading
}

// process is a container. It starts at a tick, does its job three seconds later, and has
// ended where it starts again at a later one.
type process struct {
	uid     int
	starts  int
	crashes int
	bad     bool // it never does its job, and crashes every four seconds
	hangs   int  // it runs, but does nothing before this tick, at which the kubelet ends it
}

// lively is after how many seconds the kubelet ends what hangs.
const lively = 20

func (p *process) runs(now int) bool { return p != nil && now >= p.starts }
func (p *process) works(now int) bool {
	return p.runs(now) && !p.bad && now >= p.starts+3*sec && now >= p.hangs
}

// listens says whether it has a server's address for itself, whether or not it answers.
func (p *process) listens(now int) bool { return p.runs(now) && now >= p.starts+1*sec }

// called says whether the kubelet calls it ready: also while it hangs.
func (p *process) called(now int) bool { return p.runs(now) && !p.bad && now >= p.starts+3*sec }

// crash ends it. The kubelet starts it again at once, then later and later.
func (p *process) crash(now int) {
	p.hangs = 0
	p.starts = now + 1*sec
	if p.crashes > 0 {
		p.starts = now + 10*sec
	}
	p.crashes++
}

type stored struct{ checkpoint, active bool }

type machine struct {
	name    string
	powered bool
	cut     bool // from the other machines
	booted  int
	off     int // since when it is, where it is not powered
	blind   int // the runtime does not answer before this tick
	disk    map[string]stored
	real    map[string]*process
	standIn map[string]*process

	trackers map[string]*tracker
	acted    int // when its checkpointer last did something
	// begun is how often it has started a stand-in since the last event.
	begun   map[string]int
	removed []string
	// fine and idle are for how many ticks a stand-in should have been gone.
	fine map[string]int
}

// apiPod is a real pod in the API.
type apiPod struct {
	uid       int
	component string
	target    string // a daemon set's pod is for one machine
	node      string // "" till it is placed
	ready     bool
	bad       bool
}

type leaseModel struct {
	holder  *machine
	process *process
	renewed int
	exists  bool
}

type world struct {
	now      int
	machines []*machine

	// The API's objects.
	objects map[string]bool // the daemon set, the deployments
	each    int             // how many pods a deployment has
	bad     map[string]bool // their template does not work
	pods    []*apiPod
	masters map[string]bool // by machine: it has the label
	leases  map[string]*leaseModel
	heard   map[string]int // by machine: when its kubelet last reported
	uids    int

	upSince   int // -1 where no API server works
	lastEvent int
	hung      bool // something hangs since then
	trace     []string
}

func newWorld(masters int) *world {
	w := &world{
		objects: map[string]bool{}, bad: map[string]bool{},
		masters: map[string]bool{}, leases: map[string]*leaseModel{}, heard: map[string]int{}, upSince: -1,
	}
	for _, c := range all {
		w.leases[c] = &leaseModel{}
	}
	w.each = masters
	for i := range masters {
		m := &machine{name: fmt.Sprintf("m%d", i+1), disk: map[string]stored{}, begun: map[string]int{}}
		for _, c := range all {
			m.disk[c] = stored{checkpoint: true, active: i == 0} // as first boot has it
		}
		w.machines = append(w.machines, m)
		w.masters[m.name] = true
		w.powerOn(m)
	}
	return w
}

func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%6.1fs ", float64(w.now)/sec)+fmt.Sprintf(format, args...))
}

func (w *world) powerOn(m *machine) {
	m.powered, m.booted = true, w.now
	m.real, m.standIn = map[string]*process{}, map[string]*process{}
	m.fine = map[string]int{}
	m.trackers = map[string]*tracker{}
	for _, c := range all {
		m.trackers[c] = &tracker{Kind: kindOf(c)}
	}
}

func (w *world) powerOff(m *machine) {
	m.powered, m.off = false, w.now
	m.real, m.standIn, m.fine = nil, nil, nil
}

// inQuorum: etcd has a member on each machine, and works on the side with most of them.
func (w *world) inQuorum(m *machine) bool {
	n := 0
	for _, x := range w.machines {
		if x.powered && (!x.cut || len(w.machines) == 1) {
			n++
		}
	}
	return m.powered && (!m.cut || len(w.machines) == 1) && 2*n > len(w.machines)
}

// serves says whether clients are answered on a machine: by the stand-in where it listens.
func (w *world) serves(m *machine) bool {
	if m.standIn[server].listens(w.now) {
		return w.inQuorum(m) && m.standIn[server].works(w.now)
	}
	return w.inQuorum(m) && m.real[server].works(w.now)
}

// reaches says whether an API server that works can be reached from a machine.
func (w *world) reaches(m *machine) bool {
	return m.powered && slices.ContainsFunc(w.machines, func(x *machine) bool {
		return w.serves(x) && (x == m || !x.cut && !m.cut)
	})
}

func (w *world) apiUp() bool { return slices.ContainsFunc(w.machines, w.serves) }

// step is half a second of everything but the checkpointers.
func (w *world) step() {
	w.now++
	switch {
	case !w.apiUp():
		w.upSince = -1
	case w.upSince < 0:
		w.upSince = w.now
	}
	for _, m := range w.machines {
		if m.powered {
			w.kubelet(m)
		}
	}
	if w.upSince < 0 {
		return
	}
	for _, c := range all[1:] {
		w.elect(c)
	}
	if w.leads(manager) {
		w.control()
	}
	if w.leads(scheduler) {
		w.schedule()
	}
	// Somebody puts back what is missing, once the API answers for some time.
	if w.now-w.upSince == 20*sec {
		for _, c := range all {
			w.objects[c] = true
		}
	}
}

func (w *world) kubelet(m *machine) {
	for _, c := range all {
		w.run(m, c, m.standIn, m.disk[c].active, 0, false)
		if p := m.real[c]; p.runs(w.now) && p.bad && w.now >= p.starts+4*sec {
			p.crash(w.now)
		}
		for _, p := range []*process{m.real[c], m.standIn[c]} {
			if p != nil && p.hangs == w.now {
				p.crash(w.now) // its liveness probe has failed for long enough
			}
		}
	}
	if !w.reaches(m) {
		return // it goes on with the pods that it knows
	}
	w.heard[m.name] = w.now
	mine := map[string]*apiPod{}
	for _, p := range w.pods {
		if p.node == m.name {
			mine[p.component] = p
		}
	}
	for _, c := range all {
		p := mine[c]
		if p == nil {
			delete(m.real, c)
			continue
		}
		w.run(m, c, m.real, true, p.uid, p.bad)
		r := m.real[c]
		p.ready = r.called(w.now) && (c != server || w.inQuorum(m))
	}
}

// run makes a process what it is to be. A new one needs a second to be made.
func (w *world) run(m *machine, c string, in map[string]*process, wanted bool, uid int, bad bool) {
	p := in[c]
	if p != nil && (!wanted || p.uid != uid) {
		delete(in, c)
		p = nil
	}
	if wanted && p == nil {
		in[c] = &process{uid: uid, starts: w.now + 1*sec, bad: bad}
	}
}

// look is what a checkpointer sees.
func (w *world) look(m *machine, c string) look {
	r, s := m.real[c], m.standIn[c]
	l := look{
		Runtime: w.now >= m.blind, StandIn: s.runs(w.now), API: unreachable,
		Checkpoint: m.disk[c].checkpoint, Active: m.disk[c].active,
	}
	if r.runs(w.now) {
		l.Real = processRunning
	}
	// It can ask the real server where a stand-in keeps others from it.
	if w.reaches(m) || w.inQuorum(m) && m.real[server].works(w.now) {
		l.API, l.Node = answers, nodeOther
		if w.masters[m.name] {
			l.Node = nodeMaster
		}
		for _, p := range w.pods {
			switch {
			case p.component != c || p.node == "":
			case p.node != m.name:
				l.RealElsewhere = l.RealElsewhere || p.ready
			default:
				l.Pod = true
				if l.Real == processRunning && p.ready && r.uid == p.uid && (c != server || !l.StandIn || r.works(w.now)) {
					l.Real = processReady
				}
			}
		}
		if lease := w.leases[c]; lease.exists {
			l.Lease = fmt.Sprint(lease.holder.name, lease.renewed)
			l.HeldHere = lease.holder == m
		}
	}
	if !l.Runtime {
		l.Real, l.StandIn = processAbsent, false
	}
	return l
}
