package checkpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"craton.dev/craton/durable"
)

// The changes of the disk. Each is asked for first, and is on the disk when it returns.

func (d *disk) ask(what string) error {
	if d.step == nil {
		return nil
	}
	return d.step(what)
}

// folder makes a folder that only root can enter.
func (d *disk) folder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() && info.Mode().Perm() == folderMode {
		return nil
	}
	if err := d.ask("make " + path); err != nil {
		return err
	}
	if err := os.MkdirAll(path, folderMode); err != nil {
		return err
	}
	if err := os.Chmod(path, folderMode); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replace puts a file in the place of another one, or of none.
func (d *disk) replace(path string, data []byte, mode fs.FileMode) error {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := d.writeFile(next, data, mode); err != nil {
		return err
	}
	return d.rename(next, path)
}

func (d *disk) writeFile(path string, data []byte, mode fs.FileMode) (err error) {
	if err := d.ask("write " + path); err != nil {
		return err
	}
	// Not as the file that may be there from an earlier attempt: its mode would stay.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
	}()
	// A crash here leaves a part of it.
	half := len(data) / 2
	if _, err := f.Write(data[:half]); err != nil {
		return err
	}
	if err := d.ask("write the rest of " + path); err != nil {
		return err
	}
	if _, err := f.Write(data[half:]); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Sync()
}

func (d *disk) rename(from, to string) error {
	if err := d.ask("rename " + from); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func (d *disk) remove(path string) error {
	if err := d.ask("remove " + path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (d *disk) removeAll(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.ask("remove all of " + path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// syncDir has the kernel write a folder: a rename that is in memory only is gone after a crash.
func syncDir(dir string) error {
	err := durable.SyncFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
