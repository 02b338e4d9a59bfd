package checkpoint

import "time"

// settleStoring is how long a real pod has to have waited for the data before its stand-in
// gives them up. The pod that had its turn before needs a moment to work again, and one that
// crashes would do so sooner.
const settleStoring = 3 * time.Second

// decideStoring is for what has its data on the machine. A real pod and a stand-in cannot
// both have them: who comes second runs and waits. So a real pod that runs is reason enough
// not to start another one, and a stand-in goes to let the real one begin. The exception is a real
// one that is about to end.
func decideStoring(s state) decision {
	switch {
	case s.Active && !s.Checkpoint:
		return keep("there is no checkpoint, so the stand-in is the only one")
	case s.Active && s.API == answers && s.Real != processAbsent && s.Pod:
		if s.Ages.Turn < settleStoring {
			return keep("the real pod waits for the data until all other machines work")
		}
		return decision{Action: deactivate, Reason: "the real pod waits for the data"}
	case s.Active && s.API == answers && s.Node == nodeOther && s.Real == processAbsent && !s.Pod && s.RealElsewhere && s.Ages.ReadyElsewhere >= surelyReady:
		return decision{Action: deactivate, Reason: "this machine is no master any more, and another one's real pod is ready"}
	case s.Active:
		return keep("the stand-in runs until there is a real pod")
	case !s.Checkpoint:
		return keep("there is no checkpoint")
	case s.API == answers && s.Real == processAbsent && s.Pod && s.Ages.Missing >= missing:
		// Also without data: there are others who let it in. This machine's kubelet may have no
		// API server to ask before that.
		return decision{Action: activate, Reason: "the kubelet could not start the real pod"}
	case !s.Data:
		return keep("this machine has no data yet")
	case s.API == answers && s.Real != processAbsent && !s.Pod && s.Node == nodeMaster:
		// Without it there may soon be no API that could make another pod. The real one takes
		// some seconds to end, so that the stand-in is there by then.
		return decision{Action: activate, Reason: "somebody has deleted the real pod"}
	case s.Real != processAbsent:
		return keep("the real pod runs")
	case s.API == unknown:
		return keep("it is not known whether there is an API server")
	case s.API == unreachable && !s.SeenRunning:
		return decision{Action: activate, Reason: "nothing runs here since the machine started, and no API server answers"}
	case s.API == unreachable && s.Ages.Unreachable < noAPI:
		return keep("no API server answers, which may pass")
	case s.API == unreachable:
		return decision{Action: activate, Reason: "the real pod does not run, and no API server answers"}
	}
	return keep("the real pod is about to start, or somebody has it made")
}

// turn says whether this machine's stand-in may make way for the real pod. For a moment
// neither works then, so that one machine does it after another, by their names, and
// only while those of all others work.
func turn(own string, pods []podNote) bool {
	ready := map[string]bool{}
	for _, p := range pods {
		if p.Spec.NodeName == "" || p.Spec.NodeName == own {
			continue
		}
		if p.Metadata.Labels[standInLabel] == "true" && p.Spec.NodeName < own {
			return false
		}
		ready[p.Spec.NodeName] = ready[p.Spec.NodeName] || p.ready()
	}
	for _, r := range ready {
		if !r {
			return false
		}
	}
	return true
}
