// Package durable writes files so that a loss of power does not take them back: what it has
// written is on the disk when it returns, under its name.
//
// It decides nothing about what is in them, and is not for files that can be made anew.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
)

// WriteFile replaces a file as a whole: its contents are on the disk before it gets its name.
func WriteFile(path string, contents []byte, mode fs.FileMode) error {
	if err := atomicwriter.WriteFile(path, contents, mode); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// SyncFolder makes last what was made, renamed or removed in a folder.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
