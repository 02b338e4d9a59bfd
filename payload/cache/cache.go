// Package cache keeps folders that are made once and then only read. A folder appears
// whole or not at all: it is made under another name and renamed. Two processes that want
// the same folder make it once; what a killed one leaves is removed by the next.
//
// It does not know what is in the folders, and removes no finished one.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Store is a cache in one folder.
type Store struct{ Dir string }

// Path is where the entry is, or will be.
func (s Store) Path(kind, name, key string) string {
	return filepath.Join(s.Dir, kind, name+"-"+key)
}

// Has tells whether the entry is there.
func (s Store) Has(kind, name, key string) bool {
	_, err := os.Stat(s.Path(kind, name, key))
	return err == nil
}

// Entry returns the entry's folder. Where there is none, fill makes it: it gets an empty
// folder dir that becomes the entry when fill returns nil, and another one, work, for what
// it needs meanwhile. The second result tells whether fill was called and succeeded.
func (s Store) Entry(ctx context.Context, kind, name, key string, fill func(dir, work string) error) (string, bool, error) {
	path := s.Path(kind, name, key)
	if s.Has(kind, name, key) {
		return path, false, nil
	}
	unlock, err := s.Lock(ctx, kind+"-"+name)
	if err != nil {
		return "", false, err
	}
	defer unlock()
	if s.Has(kind, name, key) { // made while we waited
		return path, false, nil
	}
	tmp, err := s.Temp(kind + "-" + name)
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(tmp)
	dir, work := filepath.Join(tmp, "entry"), filepath.Join(tmp, "work")
	for _, d := range []string{dir, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return "", false, err
		}
	}
	if err := fill(dir, work); err != nil {
		return "", false, err
	}
	// Whatever this process's umask is: a machine's root folder is readable by all.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", false, err
	}
	if err := flush(dir); err != nil {
		return "", false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", false, err
	}
	return path, true, os.Rename(dir, path)
}

// Temp makes an empty folder. The caller holds name's lock, so whatever bears the name was
// left by a process that died.
func (s Store) Temp(name string) (string, error) {
	dir := filepath.Join(s.Dir, "tmp", name)
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("remove what a killed build left: %w", err)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// Lock waits until this process alone holds the named lock. It is let go by the result,
// or by the kernel when the process dies.
func (s Store) Lock(ctx context.Context, name string) (func(), error) {
	dir := filepath.Join(s.Dir, "lock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "_")), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// flush brings the folder to the disk before it gets its final name: after a power cut,
// an entry that is there must be whole.
func flush(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// Size is the number of bytes of the regular files below dir.
func Size(dir string) int64 {
	var n int64
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it may vanish while we look
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}
