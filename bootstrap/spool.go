package bootstrap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spool is a folder for what is in the works, keys among it, of which nobody else may see
// anything. It is locked as long as its process lives, so that what a killed one has left is
// known for that, and taken away by the next.
type spool struct {
	dir  string
	lock *os.File
}

// newSpool makes one in a folder. begin is what the names of all spools for the same purpose
// begin with there.
func newSpool(parent, begin string) (*spool, error) {
	left, err := filepath.Glob(filepath.Join(parent, begin+"*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range left {
		if err := sweep(dir); err != nil {
			return nil, fmt.Errorf("take away what a run that was killed has left: %w", err)
		}
	}
	dir, err := os.MkdirTemp(parent, begin)
	if err != nil {
		return nil, err
	}
	s := &spool{dir: dir}
	if s.lock, err = lockFolder(dir); err == nil && s.lock == nil {
		// Another run took it for one that was left, before it was locked.
		err = fmt.Errorf("%s was taken away by another craton that began at the same moment: run the same command again", dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// remove takes the folder away.
func (s *spool) remove() error {
	return errors.Join(os.RemoveAll(s.dir), s.lock.Close())
}

// sweep takes a spool away that is of no process any more.
func sweep(dir string) error {
	f, err := lockFolder(dir)
	if f == nil {
		return err
	}
	defer f.Close()
	return os.RemoveAll(dir)
}

// lockFolder locks a folder till the file is closed; nil where another process has it, or
// where it is gone or no folder of this user.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var of unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &of); err != nil || int(of.Uid) != os.Getuid() {
		return nil, errors.Join(err, f.Close())
	}
	if locked, err := tryLock(f); !locked {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
