package checkpoint

import "time"

// processState is how far a real pod on this machine is.
type processState int

const (
	// processAbsent: its container does not run.
	processAbsent processState = iota
	// processRunning: it runs, but nobody says that it is ready.
	processRunning
	// processReady: it runs, and is ready by the API or, beside a stand-in that serves, as it says itself.
	processReady
)

// reached is what came of asking the API.
type reached int

const (
	// unknown: it could not be asked, or it refused to tell. Nothing follows from that.
	unknown reached = iota
	// unreachable: no API server gave an answer that is of use, on any way to one.
	unreachable
	// answers: one did.
	answers
)

// membership is what this machine's Node says about it.
type membership int

const (
	// nodeUnknown: there is no such Node, or it was not asked for.
	nodeUnknown membership = iota
	// nodeNew: it does not have its labels yet.
	nodeNew
	// nodeMaster: it has the masters' label.
	nodeMaster
	// nodeOther: it was given its labels, and the masters' is not among them.
	nodeOther
)

// state is all that a decision about one component on this machine depends on.
type state struct {
	Kind kind
	// Runtime: the container runtime answered.
	Runtime bool
	Real    processState
	API     reached
	// Pod: the API has a real pod for this machine that is to stay.
	Pod bool
	// RealElsewhere: a real pod is ready on another machine, by the API. That may be long
	// ago: a dead machine's pods stay ready until a controller manager looks.
	RealElsewhere bool
	Node          membership
	// HeldHere: the lease's holder is on this machine, or there is no knowing.
	HeldHere bool
	// Checkpoint and Active are what is on disk.
	Checkpoint, Active bool
	// SeenRunning: the component has run, real or not, since the checkpointer started.
	SeenRunning bool
	// Data: of one that is storing, the machine has data.
	Data bool
	Ages ages
}

// ages are for how long something has been so; 0 where it is not.
type ages struct {
	// Unreachable: of the API.
	Unreachable time.Duration
	// Missing: the API answers and has a pod for this machine, but it does not run.
	Missing time.Duration
	// Ready: of the real pod here.
	Ready time.Duration
	// ReadyElsewhere: of a real pod on another machine, while the lease, if there is one,
	// was renewed.
	ReadyElsewhere time.Duration
	// Unrenewed: the API answers, and the lease is absent or is not renewed.
	Unrenewed time.Duration
	// Left: the Node is no master's, and the API answers though nothing of the component
	// runs here, nor is to.
	Left time.Duration
	// Turn: of one that is storing, the real pod waits for the data, and the other machines can
	// do without this one for a moment.
	Turn time.Duration
}

// action is what happens to a stand-in.
type action int

const (
	leave action = iota
	// activate runs the checkpoint as a stand-in.
	activate
	// deactivate takes the stand-in away and keeps the checkpoint.
	deactivate
	// remove takes both away.
	remove
)

func (a action) String() string {
	return [...]string{"keep", "activate", "deactivate", "remove"}[a]
}

// decision is what to do about one component. Refresh, which goes before the action, makes
// the checkpoint the API's pod of this machine.
type decision struct {
	Action  action
	Refresh bool
	// Reason is a part of a sentence: "the stand-in is started: " and the reason.
	Reason string
}

// How long things are waited for.
const (
	// noAPI is longer than a restart of a server that crashed, which the kubelet does at once.
	noAPI = 3 * time.Second
	// notReady is how long a real API server may take to start. After that it is one that
	// cannot, and the checkpoint is the last that could.
	notReady = 20 * time.Second
	// missing is how long the kubelet may take to start a pod that it has been given, as
	// long as there is another API server.
	missing = 15 * time.Second
	// settleServing and settleLeading are how long a real pod has to have been ready: one
	// that crashes does so sooner.
	settleServing = time.Second
	settleLeading = 5 * time.Second
	// unrenewed is when a lease is nobody's, which lasts for 10 s: another one that runs has
	// taken it by then, and one that has just started takes it 10 s after that. With
	// a pod said to be ready elsewhere, which may be dead, somebody leads within 30 s.
	unrenewed          = 10 * time.Second
	unrenewedWithReady = 17 * time.Second
	// surelyReady is how long a stand-in waits for a real pod on another machine
	// that is said to be ready: longer than a controller manager takes to find out that the
	// machine is dead (50 s, and a period of 5 s).
	surelyReady = 75 * time.Second
	// left is how long a machine must have been no master: labels that somebody took away
	// by mistake are put back sooner.
	left = 30 * time.Second
)

// decide says what to do about a component. Where it does not know, it keeps what is.
func decide(s state) decision {
	if !s.Runtime {
		return keep("the container runtime does not say what runs")
	}
	if s.API != answers && s.Real == processReady {
		s.Real = processRunning // nobody says so now
	}
	if gone(s) {
		return decision{Action: remove, Reason: "this machine is no master any more, and another one does the work"}
	}
	var d decision
	switch s.Kind {
	case leading:
		d = decideLeading(s)
	case storing:
		d = decideStoring(s)
	default:
		d = decideServing(s)
	}
	d.Refresh = s.Real == processReady
	return d
}

func keep(reason string) decision { return decision{Reason: reason} }

// gone says whether the component has left this machine for good. What is here may be the
// cluster's last way back, whatever the Node's labels are. So the proof that another
// machine does the work is that it does, for some time, while nothing runs here.
func gone(s state) bool {
	if s.API != answers || s.Real != processAbsent || s.Pod || s.Node != nodeOther || s.Active || !s.Checkpoint {
		return false
	}
	if s.Kind == leading && (s.HeldHere || s.Ages.Unrenewed >= unrenewed) {
		return false
	}
	return s.RealElsewhere && s.Ages.Left >= left
}

func decideServing(s state) decision {
	switch {
	case s.Real == processReady:
		switch {
		case !s.Active:
			return keep("the real pod is ready")
		case !s.Checkpoint:
			return keep("the real pod is ready, but there is no checkpoint of it yet")
		case s.Ages.Ready < settleServing:
			return keep("the real pod has only just become ready")
		}
		return decision{Action: deactivate, Reason: "the real pod is ready"}
	case s.Active && s.Checkpoint && s.API == answers && s.Node == nodeOther && s.Real == processAbsent && !s.Pod &&
		s.RealElsewhere && s.Ages.ReadyElsewhere >= surelyReady:
		// Were that wrong, it would be started again.
		return decision{Action: deactivate, Reason: "this machine is no master any more, and another one's real pod is ready"}
	case s.Active:
		return keep("the stand-in runs until the real pod is ready")
	case !s.Checkpoint:
		return keep("there is no checkpoint")
	case s.API == unknown:
		return keep("it is not known whether there is an API server")
	case s.API == unreachable && s.Real == processRunning:
		if s.Ages.Unreachable < notReady {
			return keep("the real pod starts")
		}
		return decision{Action: activate, Reason: "the real pod runs, but no API server answers"}
	case s.API == unreachable:
		if !s.SeenRunning {
			return decision{Action: activate, Reason: "nothing runs here since the machine started, and no API server answers"}
		}
		if s.Ages.Unreachable < noAPI {
			return keep("no API server answers, which may pass")
		}
		return decision{Action: activate, Reason: "the real pod does not run, and no API server answers"}
	case s.Real == processRunning:
		return keep("the real pod runs, and an API server answers")
	case s.Pod && s.Ages.Missing >= missing:
		return decision{Action: activate, Reason: "the kubelet could not start the real pod"}
	case s.Pod:
		return keep("the kubelet starts the real pod")
	}
	return keep("there is no real pod for this machine, and another machine's API server answers")
}

func decideLeading(s state) decision {
	fresh := s.Ages.Unrenewed < unrenewed
	switch {
	case s.API != answers:
		return keep("without the API nobody can lead")
	case s.Active && !s.Checkpoint:
		return keep("there is no checkpoint, so the stand-in is the only one")
	case s.Active && !fresh:
		return keep("the lease is not renewed")
	case s.Active && s.Real == processReady:
		if s.Ages.Ready < settleLeading {
			return keep("the real pod has only just become ready")
		}
		return decision{Action: deactivate, Reason: "the real pod is ready, and the lease is renewed"}
	case s.Active && s.RealElsewhere:
		if s.HeldHere && s.Ages.ReadyElsewhere < surelyReady {
			return keep("the stand-in leads, until it is sure that the real pod elsewhere is alive")
		}
		if s.Ages.ReadyElsewhere < settleLeading {
			return keep("the real pod elsewhere has only just become ready")
		}
		return decision{Action: deactivate, Reason: "a real pod is ready on another machine, and the lease is renewed"}
	case s.Active:
		return keep("the stand-in runs until a real pod is ready")
	case !s.Checkpoint:
		return keep("there is no checkpoint")
	case s.Real == processReady:
		return keep("the real pod is ready")
	case fresh:
		return keep("somebody leads")
	case s.RealElsewhere && s.Ages.Unrenewed < unrenewedWithReady:
		return keep("the lease is not renewed, but a real pod elsewhere can take it")
	case s.RealElsewhere:
		return decision{Action: activate, Reason: "nobody renews the lease, though a pod elsewhere is said to be ready"}
	}
	return decision{Action: activate, Reason: "nobody renews the lease, and no real pod is ready"}
}
