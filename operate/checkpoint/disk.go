package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// disk keeps checkpoints, and the manifests that the kubelet runs. A crash at any point
// leaves what was there before or what was to be there: files are first written under
// another name, which starts with a dot, as the kubelet looks at no such file.
type disk struct {
	// Manifests is the kubelet's folder of static pods.
	Manifests string
	// Checkpoints has, of each component, <component>.yaml, and in <component>/<version>/ the
	// files that it reads. A version is the only thing whose files never change.
	Checkpoints string

	// step is asked before each change of the disk. Tests end there.
	step func(what string) error
}

const (
	folderMode   = 0o700
	manifestMode = 0o600
)

// Dir is where a component's checkpoints are.
func (d *disk) Dir(name string) string { return filepath.Join(d.Checkpoints, name) }

func (d *disk) checkpoint(name string) string { return filepath.Join(d.Checkpoints, name+".yaml") }
func (d *disk) active(name string) string     { return filepath.Join(d.Manifests, name+".yaml") }

// Has tells what there is of a component.
func (d *disk) Has(name string) (checkpoint, active bool, err error) {
	if checkpoint, err = exists(d.checkpoint(name)); err != nil {
		return false, false, err
	}
	active, err = exists(d.active(name))
	return checkpoint, active, err
}

// Read is the manifest of the component's checkpoint; nothing where there is none.
func (d *disk) Read(name string) ([]byte, error) {
	data, err := os.ReadFile(d.checkpoint(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// exists also wants it to have contents: an empty file is what a crash of somebody else's
// writing leaves.
func exists(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("a checkpoint: %w", err)
	}
	return info.Mode().IsRegular() && info.Size() > 0, nil
}

// Write makes c the component's checkpoint, and says whether that changed it. What was
// there is replaced at once, when all that the new one needs is on the disk.
func (d *disk) Write(name string, c checkpoint) (changed bool, err error) {
	if err := d.folder(d.Checkpoints); err != nil {
		return false, err
	}
	if c.Folder != "" {
		if changed, err = d.writeFolder(name, c); err != nil {
			return false, fmt.Errorf("write the checkpoint of %s: %w", name, err)
		}
	}
	old, err := os.ReadFile(d.checkpoint(name))
	if err == nil && bytes.Equal(old, c.Manifest) {
		return changed, nil
	}
	if err := d.replace(d.checkpoint(name), c.Manifest, manifestMode); err != nil {
		return false, fmt.Errorf("write the checkpoint of %s: %w", name, err)
	}
	return true, nil
}

// writeFolder puts the files of a version in place, all of them at once.
func (d *disk) writeFolder(name string, c checkpoint) (changed bool, err error) {
	final := filepath.Join(d.Dir(name), c.Folder)
	if whole(final, c.Files) {
		return false, nil
	}
	if err := d.folder(d.Dir(name)); err != nil {
		return false, err
	}
	next := filepath.Join(d.Dir(name), "."+c.Folder)
	// What is left of an attempt that ended half way, or has been altered, is of no use.
	for _, path := range []string{next, final} {
		if err := d.removeAll(path); err != nil {
			return false, err
		}
	}
	made := map[string]bool{}
	var order []string
	mkdir := func(path string) error {
		for missing := path; len(missing) >= len(next) && !made[missing]; missing = filepath.Dir(missing) {
			made[missing] = true
			order = append(order, missing)
		}
		if err := d.ask("make " + path); err != nil {
			return err
		}
		return os.MkdirAll(path, folderMode)
	}
	if err := mkdir(next); err != nil {
		return false, err
	}
	for _, f := range c.Files {
		path := filepath.Join(next, filepath.FromSlash(f.Path))
		if strings.HasSuffix(f.Path, "/") {
			err = mkdir(path)
		} else if err = mkdir(filepath.Dir(path)); err == nil {
			err = d.writeFile(path, f.Data, fs.FileMode(f.Mode))
		}
		if err != nil {
			return false, err
		}
	}
	for _, path := range order {
		if err := syncDir(path); err != nil {
			return false, err
		}
	}
	if err := d.rename(next, final); err != nil {
		return false, err
	}
	return true, nil
}

// whole says whether a folder has all these files, as they are to be.
func whole(dir string, files []file) bool {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		info, err := os.Lstat(path)
		if err != nil {
			return false
		}
		if strings.HasSuffix(f.Path, "/") {
			if !info.IsDir() {
				return false
			}
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != fs.FileMode(f.Mode) || !bytes.Equal(data, f.Data) {
			return false
		}
	}
	return true
}

// Activate has the kubelet run the checkpoint.
func (d *disk) Activate(name string) error {
	data, err := os.ReadFile(d.checkpoint(name))
	if err != nil {
		return fmt.Errorf("start the stand-in of %s: %w", name, err)
	}
	if err := d.replace(d.active(name), data, manifestMode); err != nil {
		return fmt.Errorf("start the stand-in of %s: %w", name, err)
	}
	return nil
}

// Deactivate has the kubelet end the stand-in.
func (d *disk) Deactivate(name string) error {
	if err := d.remove(d.active(name)); err != nil {
		return fmt.Errorf("end the stand-in of %s: %w", name, err)
	}
	return nil
}

// Remove takes the stand-in and the checkpoint away: first what runs, last what it reads.
func (d *disk) Remove(name string) error {
	if err := d.Deactivate(name); err != nil {
		return err
	}
	if err := d.remove(d.checkpoint(name)); err != nil {
		return fmt.Errorf("remove the checkpoint of %s: %w", name, err)
	}
	if err := d.removeAll(d.Dir(name)); err != nil {
		return fmt.Errorf("remove the checkpoint of %s: %w", name, err)
	}
	return nil
}

// Prune removes the versions of files that neither the checkpoint nor an active stand-in
// reads. It may be called only when no stand-in runs: one that ends still has its files.
func (d *disk) Prune(name string) error {
	entries, err := os.ReadDir(d.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("old checkpoints of %s: %w", name, err)
	}
	var manifests []byte
	for _, path := range []string{d.checkpoint(name), d.active(name)} {
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("old checkpoints of %s: %w", name, err)
		}
		manifests = append(append(manifests, data...), '\n')
	}
	for _, e := range entries {
		if bytes.Contains(manifests, []byte(filepath.Join(d.Dir(name), e.Name()))) {
			continue
		}
		if err := d.removeAll(filepath.Join(d.Dir(name), e.Name())); err != nil {
			return fmt.Errorf("old checkpoints of %s: %w", name, err)
		}
	}
	return nil
}
