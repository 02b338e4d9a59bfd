// Package disk says how much room there is where a folder is or will be, and tells a full
// disk from other faults.
//
// It does not know who writes what, and makes no room.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Room is what is left of one file system.
type Room struct {
	// Mount is the folder at which it begins.
	Mount string
	// Free is what programs may still write, in bytes.
	Free uint64
	// NoInodes says that no further file can be made, whatever is free.
	NoInodes bool
	// device tells file systems apart.
	device uint64
}

// At is the room below dir, or below the nearest folder above it that exists.
func At(dir string) (Room, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Room{}, err
	}
	for {
		var s unix.Statfs_t
		var st unix.Stat_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			err = unix.Stat(dir, &st)
		}
		if err == nil {
			return Room{
				Mount: mount(dir, st.Dev), device: st.Dev,
				Free: s.Bavail * uint64(s.Bsize), NoInodes: s.Files > 0 && s.Ffree == 0,
			}, nil
		}
		up := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || up == dir {
			return Room{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
		}
		dir = up
	}
}

// mount is the highest folder above dir on the same device.
func mount(dir string, device uint64) string {
	for {
		up := filepath.Dir(dir)
		var st unix.Stat_t
		if up == dir || unix.Stat(up, &st) != nil || st.Dev != device {
			return dir
		}
		dir = up
	}
}

// Same tells whether two rooms are one.
func (r Room) Same(other Room) bool { return r.device == other.device }

// String says which file system it is and what is left of it.
func (r Room) String() string {
	text := fmt.Sprintf("the file system at %s has %s free", r.Mount, Size(r.Free))
	if r.NoInodes {
		text += " and no inodes left"
	}
	return text
}

// Full tells whether an operation failed since a disk, or a user's share of it, is full.
// Programs that were run only leave words.
func Full(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return true
	}
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "no space left on device") || strings.Contains(text, "disk quota exceeded")
}

// Size is a number of bytes for reading.
func Size(bytes uint64) string {
	const mib, gib = 1 << 20, 1 << 30
	if bytes < gib {
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/gib)
}
