package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"craton.dev/craton/durable"
)

// data is a member's data directory, as etcd lays it out, and what lies beside it.
type data struct{ dir string }

// marker is kept beside the data directory from before the first start on. It outlives the
// data, and says that there was a cluster here.
type marker struct {
	// Cluster is empty while the cluster is not known yet: this machine is to start it.
	Cluster string    `json:"cluster,omitempty"`
	Since   time.Time `json:"since"`
}

// The two ways in which a data directory is made ready.
const (
	toStart = "start" // a cluster of this machine alone
	toJoin  = "join"
)

func (d data) memberDir() string    { return filepath.Join(d.dir, "member") }
func (d data) walDir() string       { return filepath.Join(d.memberDir(), "wal") }
func (d data) preparedPath() string { return filepath.Join(d.memberDir(), "prepared") }
func (d data) markerPath() string   { return d.dir + ".cluster" }

// prepare notes in the empty data directory what it was made ready for. While the note is
// there and no log, no member has run on this directory since: the note goes with the data
// when somebody deletes them.
func (d data) prepare(what string) error {
	if err := os.MkdirAll(d.memberDir(), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(d.preparedPath(), []byte(what+"\n"), 0o600)
}

// prepared is what the directory was made ready for, or "".
func (d data) prepared() (string, error) {
	text, err := os.ReadFile(d.preparedPath())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// started takes the note away: a log is there.
func (d data) started() error {
	if err := os.Remove(d.preparedPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mark notes that a cluster is, or was, here. It keeps a note that says more.
func (d data) mark(cluster string, now time.Time) error {
	known, err := d.marked()
	if err != nil {
		return err
	}
	if known != nil && (cluster == "" || known.Cluster == cluster) {
		return nil
	}
	text, err := json.Marshal(marker{Cluster: cluster, Since: now.UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.dir), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(d.markerPath(), append(text, '\n'), 0o600)
}

// marked is nil where there never was a cluster here. A note that cannot be read counts.
func (d data) marked() (*marker, error) {
	text, err := os.ReadFile(d.markerPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m marker
	_ = json.Unmarshal(text, &m)
	return &m, nil
}

// moveAside renames the data directory, which is never deleted, and returns the new name.
func (d data) moveAside(why string, now time.Time) (string, error) {
	to, err := free(d.dir + "." + why + "-" + now.UTC().Format("20060102-150405"))
	if err != nil {
		return "", err
	}
	if err := os.Rename(d.dir, to); err != nil {
		return "", fmt.Errorf("move the data aside: %w; %s must not be a mount point itself, but a folder in one", err, d.dir)
	}
	return to, durable.SyncFolder(filepath.Dir(to))
}

// usable tells whether a log is one that etcd can go on with. A machine that started the
// cluster and lost its power before its first entries were committed knows no member, not
// even itself, and would wait for a leader for ever. A learner's empty log is filled by the
// others.
func (d data) usable() (bool, error) {
	what, err := d.prepared()
	if err != nil || what != toStart {
		return true, err
	}
	committed, err := d.committed()
	if err != nil {
		return false, fmt.Errorf("the log of the first start in %s: %w; if the cluster never ran, move %s away", d.walDir(), err, d.dir)
	}
	return committed, nil
}

// clear moves aside what a start left that did not get as far as a log to go on with. etcd would take the
// database among it for its own, and skip what that says it has applied. The note stays.
func (d data) clear(now time.Time) error {
	entries, err := os.ReadDir(d.memberDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == filepath.Base(d.preparedPath()) })
	if len(entries) == 0 {
		return nil
	}
	to, err := free(d.dir + ".unfinished-" + now.UTC().Format("20060102-150405"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(d.memberDir(), e.Name()), filepath.Join(to, e.Name())); err != nil {
			return fmt.Errorf("move aside what an unfinished start left: %w", err)
		}
	}
	return errors.Join(durable.SyncFolder(d.memberDir()), durable.SyncFolder(to), durable.SyncFolder(filepath.Dir(to)))
}

// free is the path, or one like it that nothing has yet: a second may see two.
func free(path string) (string, error) {
	for n := 1; ; n++ {
		candidate := path
		if n > 1 {
			candidate = fmt.Sprintf("%s.%d", path, n)
		}
		_, err := os.Lstat(candidate)
		if errors.Is(err, fs.ErrNotExist) {
			return candidate, nil
		}
		if err != nil {
			return "", err
		}
	}
}
