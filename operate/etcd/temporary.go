package etcd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"craton.dev/craton/durable"
)

// errEnded: there are others, and this machine's member was a temporary one.
var errEnded = errors.New("the cluster does without this member")

// end is the end of a temporary member: the kubelet ends its pod when the file is gone.
func (j *joining) end() error {
	if err := os.Remove(j.Manifest); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	j.Log.Info("the others do without this temporary member: it is not started again")
	return durable.SyncFolder(filepath.Dir(j.Manifest))
}
