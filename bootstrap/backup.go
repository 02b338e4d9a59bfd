package bootstrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"craton.dev/craton/backup"
	"craton.dev/craton/durable"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
	"craton.dev/craton/snapshot"
)

// Misuse is an error of what somebody asked for, not of the cluster: nothing was changed.
type Misuse struct{ error }

func (m Misuse) Unwrap() error { return m.error }

func misuse(format string, args ...any) error { return Misuse{fmt.Errorf(format, args...)} }

// Taken is what Backup made.
type Taken struct {
	File   string
	Bytes  int64
	Header backup.Header
	// Master is the machine whose copy of the data it is.
	Master string
	Keys   int
}

// backupPatience is how long a backup waits for others that work on the cluster.
const backupPatience = 30 * time.Minute

// Backup writes a new file with a copy of all that the cluster has in etcd, its secrets and its cluster
// file, which each of the recipients can read. What was acknowledged before the call is in it. The file
// is there once all of it was checked, or not at all.
func (c *Cluster) Backup(ctx context.Context, out string, to []age.Recipient) (*Taken, error) {
	if c.Plan.File.Etcd == etcdExternal {
		return nil, misuse("cluster %s has its data in an etcd of yours (etcd: %s): back that one up where it runs", c.Name, c.Plan.File.Etcd)
	}
	if _, err := os.Lstat(out); err == nil {
		return nil, misuse("%s is there already: name a new file", out)
	}
	if folder, err := os.Stat(filepath.Dir(out)); err != nil || !folder.IsDir() {
		return nil, misuse("%s: there is no folder %s: make it, or name another file", out, filepath.Dir(out))
	}
	if err := c.acquire(ctx, backupPatience); err != nil {
		return nil, err
	}
	defer c.release()
	spool, err := newSpool(c.Dir, ".backup-")
	if err != nil {
		return nil, err
	}
	defer spool.remove()
	db := filepath.Join(spool.dir, "etcd.db")
	master, copied, err := c.takeSnapshot(ctx, db)
	if err != nil {
		return nil, err
	}
	c.opt.say("checking the copy of %s", master)
	contents, err := snapshot.Verify(db)
	if err != nil {
		return nil, err
	}
	if err := c.owns(db); err != nil {
		return nil, err
	}
	file, err := os.ReadFile(filepath.Join(c.Dir, applied))
	if err != nil {
		return nil, err
	}
	h := backup.Header{
		Created: time.Now().UTC().Truncate(time.Second), Cluster: c.Name,
		Craton: payload.Version, Kubernetes: payloadVersion("kube-apiserver"), Etcd: payloadVersion("etcd"),
		Snapshot: copied,
	}
	c.opt.say("writing %s", out)
	n, err := writeBackup(out, func(f *os.File) error { return backup.Write(f, to, h, file, c.pkiDir(), db) })
	if err == nil {
		err = c.noteBackup(h.Created)
	}
	return &Taken{File: out, Bytes: n, Header: h, Master: master, Keys: contents.Keys}, err
}

// takeSnapshot copies the data of the first master that is in touch with the others.
func (c *Cluster) takeSnapshot(ctx context.Context, to string) (master string, taken snapshot.Copy, err error) {
	running, err := c.runningMasters(ctx)
	if err != nil {
		return "", taken, err
	}
	if len(running) == 0 {
		return "", taken, fmt.Errorf("no master of cluster %s runs: `craton up` starts them", c.Name)
	}
	var errs []string
	for _, m := range running {
		c.opt.say("copying etcd's data from %s", m.Name)
		if taken, err = c.snapshotOf(ctx, m, to); err == nil {
			return m.Name, taken, nil
		}
		if ctx.Err() != nil {
			return "", taken, ctx.Err()
		}
		errs = append(errs, m.Name+": "+err.Error())
	}
	return "", taken, fmt.Errorf("no master gives a copy of etcd's data: %s; `craton status` says more, and `craton recover --from-machine` works without a quorum", strings.Join(errs, "; "))
}

func (c *Cluster) snapshotOf(ctx context.Context, m plan.Machine, to string) (snapshot.Copy, error) {
	var taken snapshot.Copy
	url, err := etcdURL(m, clauseEtcdClient)
	if err != nil {
		return taken, err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return taken, err
	}
	var stderr bytes.Buffer
	err = c.runOn(ctx, m, payload.Image(payload.Operator),
		append([]string{"/usr/local/bin/" + payload.Operator, "snapshot-etcd", "--endpoint=" + url}, etcdClient("--ca", "--cert", "--key")...), f, &stderr)
	if err := errors.Join(said(err), f.Close()); err != nil {
		return taken, err
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &taken); err != nil {
		return taken, fmt.Errorf("it does not say what it has copied: %w", err)
	}
	return taken, nil
}

// writeBackup gives the file its name when it is whole and on the disk, and takes no other
// file's name.
func writeBackup(out string, write func(*os.File) error) (n int64, err error) {
	dir, base := filepath.Split(out)
	part := filepath.Join(dir, "."+base+".part")
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			os.Remove(part)
		}
	}()
	if err := errors.Join(write(f), f.Sync()); err != nil {
		f.Close()
		return 0, fmt.Errorf("write %s: %w", out, err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	err = unix.Renameat2(unix.AT_FDCWD, part, unix.AT_FDCWD, out, unix.RENAME_NOREPLACE)
	if errors.Is(err, fs.ErrExist) {
		return 0, misuse("%s was made by somebody else meanwhile: name a new file", out)
	}
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", out, err)
	}
	return info.Size(), durable.SyncFolder(filepath.Dir(out))
}

// payloadVersion is the version of a component that this craton brings.
func payloadVersion(name string) string {
	for _, c := range payload.Components() {
		if c.Name == name {
			return c.Version
		}
	}
	return ""
}
