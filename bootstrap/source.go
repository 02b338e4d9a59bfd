package bootstrap

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"craton.dev/craton/backup"
	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/snapshot"
)

// source is what a cluster is recovered from.
type source struct {
	// db is the file of a snapshot that was verified; "" while it is still on a machine.
	db       string
	contents snapshot.Contents
	// backup is nil for a snapshot alone, of etcd's own tools or of a machine's disk.
	backup *backup.Backup
}

// readSource unpacks a backup into a folder, or takes a snapshot of etcd's own tools where it
// is. It fails with a Misuse where it is neither, or not whole, or too new.
func readSource(from, identity, dir string) (*source, error) {
	encrypted, err := backup.Encrypted(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, misuse("there is no file %s: name one that `craton backup` has written, or etcdctl's snapshot save", from)
	}
	if err != nil {
		return nil, Misuse{err}
	}
	if !encrypted {
		if identity != "" {
			return nil, misuse("%s is not encrypted, so that it is no backup of craton's: leave out --identity if it is a snapshot of etcd's own", from)
		}
		s := &source{db: from}
		if s.contents, err = snapshot.Verify(from); err != nil {
			return nil, Misuse{err}
		}
		return s, tooNew("etcd", s.contents.ClusterVersion, payloadVersion("etcd"), from)
	}
	if identity == "" {
		return nil, misuse("%s is encrypted: name the file of the key that reads it with --identity", from)
	}
	with, err := backup.Identities(identity)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, misuse("there is no file %s: name that of the key with which %s can be read", identity, from)
	}
	if err != nil {
		return nil, Misuse{err}
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, Misuse{err}
	}
	defer f.Close()
	b, err := backup.Read(f, with, dir)
	switch {
	case errors.Is(err, backup.ErrIdentity):
		return nil, misuse("%s: %w: %s is not the key of a recipient of it", from, err, identity)
	case errors.Is(err, backup.ErrNewer):
		return nil, misuse("%s: %w: recover with that one", from, err)
	case errors.Is(err, backup.ErrNone), errors.Is(err, backup.ErrDamaged):
		return nil, misuse("%s: %w: take another one", from, err)
	case err != nil:
		return nil, err
	}
	return &source{b.Snapshot, b.Contents, b}, errors.Join(
		tooNew("Kubernetes", b.Header.Kubernetes, payloadVersion("kube-apiserver"), from),
		tooNew("etcd", b.Header.Etcd, payloadVersion("etcd"), from),
	)
}

// tooNew refuses data that a later version has written: an earlier one may not know what is in
// them. A patch changes no format.
func tooNew(what, theirs, ours, from string) error {
	if theirs == "" {
		return nil
	}
	t, err := version.ParseGeneric(theirs)
	if err != nil {
		return misuse("%s says that it is of %s %q, which is no version: take another one", from, what, theirs)
	}
	o, err := version.ParseGeneric(ours)
	if err != nil {
		return err
	}
	if t.Major() > o.Major() || t.Major() == o.Major() && t.Minor() > o.Minor() {
		return misuse("%s is of %s %s, and this craton has %s: recover with the craton that made it, or a later one", from, what, theirs, ours)
	}
	return nil
}

// of refuses a source of another cluster than the one of that name which is on this host.
// Dir is the folder of that one's secrets.
func (s *source) of(name, from, dir string) error {
	if s.backup != nil {
		if err := sameRoots(dir, s.backup.Secrets); err != nil {
			return misuse("%s is of another cluster of the name %s (%w): `craton down` removes the one that is here, and then recover makes the other one", from, name, err)
		}
	}
	return owned(s.db, from, name, dir, s.backup == nil)
}

// roots are the secrets that a cluster has for its whole life. All else can be issued anew.
func roots(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "authorities", "*.pem"))
	return append(found, filepath.Join(dir, "service-account.pem"), filepath.Join(dir, "encryption.key")), err
}

// sameRoots compares those that are in both folders.
func sameRoots(have, other string) error {
	files, err := roots(other)
	if err != nil {
		return err
	}
	for _, f := range files {
		below, err := filepath.Rel(other, f)
		if err != nil {
			return err
		}
		a, err1 := os.ReadFile(f)
		b, err2 := os.ReadFile(filepath.Join(have, below))
		if errors.Is(err1, fs.ErrNotExist) || errors.Is(err2, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("%s differs", below)
		}
	}
	return nil
}

// rootCA is the key of an object with which the API server tells pods whom to trust: the one
// place where data say which cluster they are of, as nothing of etcd's own does.
const rootCA = "/registry/configmaps/kube-system/kube-root-ca.crt"

// owned refuses data of a cluster that trusts another authority than the one in the folder of
// secrets. Data that do not say are an error only where they have to.
func owned(db, from, name, dir string, must bool) error {
	value, err := snapshot.Value(db, rootCA)
	if err != nil {
		return err
	}
	if value == nil {
		if must {
			return misuse("%s does not say of which cluster it is: it has no %s, so it is none of a Kubernetes cluster that was ready", from, rootCA)
		}
		return nil
	}
	data, err := os.ReadFile(filepath.Join(dir, "authorities", pki.KubernetesCA+".pem"))
	if err != nil {
		return err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" && bytes.Contains(value, bytes.TrimSpace(pem.EncodeToMemory(block))) {
			return nil
		}
	}
	return misuse("%s is of another cluster: what it holds trusts another authority than cluster %s has", from, name)
}

// owns refuses a snapshot of another cluster.
func (c *Cluster) owns(db string) error {
	return owned(db, db, c.Name, c.pkiDir(), false)
}

// file is the cluster file of a backup.
func (s *source) file() (*cluster.Cluster, error) {
	f := &cluster.Cluster{}
	if err := json.Unmarshal(s.backup.File, f); err != nil {
		return nil, misuse("the cluster file in the backup: %w", err)
	}
	return f, nil
}

// fill copies the backup's secrets that are missing in the folder.
func (s *source) fill(dir string) error {
	from := s.backup.Secrets
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(name, from))
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		// A run that is killed here leaves no half file under the name. Package pki takes away
		// what is called so.
		half := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+".new")
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(half, data, 0o600)); err != nil {
			return err
		}
		return os.Rename(half, to)
	})
}
