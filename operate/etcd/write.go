package etcd

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
)

// write replaces a file as a whole, and returns once a loss of power cannot take it back.
func write(path string, contents []byte) error {
	if err := atomicwriter.WriteFile(path, contents, 0o600); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes renames in a folder last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
