package etcd

import (
	"crypto/rand"
	"fmt"
	"time"
)

// mayStart tells whether the machine may start the cluster; see Join.
func (j *joining) mayStart() (may bool, why string, err error) {
	if !j.First {
		if len(j.Endpoints) == 0 {
			return false, fmt.Sprintf("%s has no data in %s, no other master to ask, and is not to start the cluster", j.Name, j.DataDir), nil
		}
		return false, "no other master's etcd answers yet", nil
	}
	marked, err := j.data.marked()
	if err != nil {
		return false, "", err
	}
	prepared, err := j.data.prepared()
	if err != nil {
		return false, "", err
	}
	// A note without a mark is a start that was killed between the two.
	if prepared != toJoin && (marked == nil || marked.Cluster == "" && prepared == toStart) {
		return true, "", nil
	}
	why = fmt.Sprintf("%s says that this machine was about to join a cluster", j.data.preparedPath())
	if marked != nil {
		why = fmt.Sprintf("%s says that there was a cluster here since %s, but its data in %s are gone",
			j.data.markerPath(), marked.Since.Format(time.RFC3339), j.DataDir)
	}
	return false, why + ": it starts no second one; start the other masters or, if their data are gone too, recover from a snapshot", nil
}

// alone prepares the start of the cluster. The order matters: with the mark and without the
// note the machine would wait for others for ever, so the note comes first.
func (j *joining) alone() error {
	if err := j.data.prepare(toStart); err != nil {
		return err
	}
	if err := j.data.mark("", time.Now()); err != nil {
		return err
	}
	j.Log.Info("starts the cluster")
	return j.out(stateNew, j.Name+"="+j.PeerURL, j.Cluster+"-"+rand.Text())
}
