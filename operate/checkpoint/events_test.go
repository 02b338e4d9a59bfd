package checkpoint

// hang has a process do nothing till the kubelet ends it.
func (w *world) hang(p *process) {
	if p.works(w.now) {
		p.hangs, w.hung = w.now+lively*sec, true
	}
}

// event is something that happens to the cluster.
type event struct {
	name string
	do   func(w *world, m *machine, c string)
}

var events = []event{
	{"power off", func(w *world, m *machine, _ string) {
		if m.powered {
			w.powerOff(m)
		}
	}},
	{"power on", func(w *world, m *machine, _ string) {
		if !m.powered {
			w.powerOn(m)
		}
	}},
	{"all power off and on", func(w *world, _ *machine, _ string) {
		for _, m := range w.machines {
			w.powerOff(m)
			w.powerOn(m)
		}
	}},
	{"kill the real", func(w *world, m *machine, c string) {
		if p := m.real[c]; p.runs(w.now) {
			p.crash(w.now)
		}
	}},
	{"kill the stand-in", func(w *world, m *machine, c string) {
		if p := m.standIn[c]; p.runs(w.now) {
			p.crash(w.now)
		}
	}},
	{"kill all real", func(w *world, _ *machine, c string) {
		for _, m := range w.machines {
			if p := m.real[c]; p.runs(w.now) {
				p.crash(w.now)
			}
		}
	}},
	{"the real hangs", func(w *world, m *machine, c string) { w.hang(m.real[c]) }},
	{"the stand-in hangs", func(w *world, m *machine, c string) { w.hang(m.standIn[c]) }},
	{"both hang", func(w *world, m *machine, c string) { w.hang(m.real[c]); w.hang(m.standIn[c]) }},
	{"cut off", func(_ *world, m *machine, _ string) { m.cut = true }},
	{"join again", func(_ *world, m *machine, _ string) { m.cut = false }},
	{"the runtime hangs", func(w *world, m *machine, _ string) { m.blind = w.now + 5*sec }},
	// What follows is said to the API.
	{"delete the object", func(w *world, _ *machine, c string) {
		if w.apiUp() {
			w.objects[c] = false
		}
	}},
	{"delete all objects", func(w *world, _ *machine, _ string) {
		if w.apiUp() {
			clear(w.objects)
		}
	}},
	{"delete all pods", func(w *world, _ *machine, c string) {
		if w.apiUp() {
			var rest []*apiPod
			for _, p := range w.pods {
				if p.component != c {
					rest = append(rest, p)
				}
			}
			w.pods = rest
		}
	}},
	{"put back", func(w *world, _ *machine, c string) {
		if w.apiUp() {
			w.objects[c] = true
		}
	}},
	{"a version that does not work", func(w *world, _ *machine, c string) {
		if w.apiUp() {
			w.bad[c] = true
		}
	}},
	{"one that does", func(w *world, _ *machine, c string) {
		if w.apiUp() {
			w.bad[c] = false
		}
	}},
	{"no master any more", func(w *world, m *machine, _ string) {
		if w.apiUp() {
			w.masters[m.name] = false
		}
	}},
	{"master again", func(w *world, m *machine, _ string) {
		if w.apiUp() {
			w.masters[m.name] = true
		}
	}},
}
