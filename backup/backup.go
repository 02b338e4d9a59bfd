// Package backup is the file that `craton backup` writes and `craton recover` reads: a
// snapshot of etcd with the secrets and the cluster file without which it is worth little,
// encrypted with age (https://age-encryption.org). `age --decrypt | tar --list` shows what is in one.
//
// It takes no snapshot and recovers nothing (package bootstrap does). What it reads it has
// checked from the first byte to the last: it gives out nothing of a file that is not whole.
package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"craton.dev/craton/snapshot"
)

// Format is the version of the layout inside the encryption. A reader refuses a later one.
const Format = 1

// Header says what a backup is of. It is the first thing in the file.
type Header struct {
	Kind    string    `json:"kind"` // Backup
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	// Cluster is its name.
	Cluster string `json:"cluster"`
	// Craton, Kubernetes and Etcd are the versions that the cluster ran.
	Craton     string `json:"craton"`
	Kubernetes string `json:"kubernetes"`
	Etcd       string `json:"etcd"`
	// Snapshot is the copy of etcd's data.
	Snapshot snapshot.Copy `json:"snapshot"`
}

const kind = "Backup"

// Backup is one that was read. Its paths are in the folder that Read was given.
type Backup struct {
	Header Header
	// File is the cluster file, as JSON.
	File []byte
	// Secrets is the folder of the cluster's authorities, certificates, keys and tokens.
	Secrets string
	// Snapshot is the file of etcd's data, and Contents what is in it.
	Snapshot string
	Contents snapshot.Contents
}

// What a file can be instead of a backup that may be read.
var (
	ErrNone     = errors.New("no backup of craton's")
	ErrDamaged  = errors.New("the backup is truncated, or was altered since it was made")
	ErrIdentity = errors.New("the backup is encrypted to somebody else")
	ErrNewer    = errors.New("the backup is from a newer craton")
)

// The names in the archive, in their order.
const (
	headerName   = "backup.json"
	fileName     = "cluster.json"
	secretsName  = "pki"
	snapshotName = "etcd.db"
)

// most is the largest size of anything but the snapshot.
const most = 1 << 20

// Write writes a backup that each of the recipients can read. The header's Kind and Format
// are set here. Secrets is a folder, db the file of etcd's data, which is checked again: the
// error says where it is not what the header says.
func Write(w io.Writer, to []age.Recipient, h Header, file []byte, secrets, db string) error {
	if _, err := same(db, h.Snapshot); err != nil {
		return err
	}
	h.Kind, h.Format = kind, Format
	head, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return err
	}
	t := tar.NewWriter(sealed)
	for _, part := range []struct {
		name string
		data []byte
	}{{headerName, head}, {fileName, file}} {
		if err := add(t, part.name, h.Created, int64(len(part.data)), bytes.NewReader(part.data)); err != nil {
			return err
		}
	}
	if err := filepath.WalkDir(secrets, func(name string, d fs.DirEntry, err error) error {
		// What begins with a dot is of a write that was killed.
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		below, err := filepath.Rel(secrets, name)
		if err != nil {
			return err
		}
		return addFile(t, path.Join(secretsName, filepath.ToSlash(below)), h.Created, name)
	}); err != nil {
		return err
	}
	if err := addFile(t, snapshotName, h.Created, db); err != nil {
		return err
	}
	return errors.Join(t.Close(), sealed.Close())
}

func addFile(t *tar.Writer, name string, at time.Time, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return add(t, name, at, info.Size(), f)
}

func add(t *tar.Writer, name string, at time.Time, size int64, from io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at.Truncate(time.Second), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.Copy(t, from)
	return err
}

// same verifies the snapshot and compares it with what is said of it.
func same(db string, said snapshot.Copy) (snapshot.Contents, error) {
	c, err := snapshot.Verify(db)
	if err == nil && (c.SHA256 != said.SHA256 || c.Bytes != said.Bytes) {
		err = fmt.Errorf("the snapshot has %d bytes and the hash %s, but the header says %d and %s", c.Bytes, c.SHA256, said.Bytes, said.SHA256)
	}
	return c, err
}

// Encrypted tells whether a file begins as one of age's does: what etcd itself writes does not.
func Encrypted(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	begin, err := bufio.NewReader(f).Peek(len(armor.Header))
	if err != nil && err != io.EOF {
		return false, err
	}
	return bytes.HasPrefix(begin, []byte(magic)) || string(begin) == armor.Header, nil
}

const magic = "age-encryption.org/"

// Read unpacks a backup into an existing folder that nobody else can read. The errors are those
// above where the file is at fault; then there may be something in the folder, which is worth
// nothing.
func Read(r io.Reader, with []age.Identity, dir string) (*Backup, error) {
	buffered := bufio.NewReader(r)
	r = buffered
	if begin, _ := buffered.Peek(len(armor.Header)); string(begin) == armor.Header {
		r = armor.NewReader(buffered)
	}
	open, err := age.Decrypt(r, with...)
	if err != nil {
		if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
			return nil, ErrIdentity
		}
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	b, err := unpack(open, dir)
	if err != nil {
		return nil, err
	}
	// The archive's end is not yet the file's: only there age has seen all of it.
	if _, err := io.Copy(io.Discard, open); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if b.Snapshot == "" {
		return nil, fmt.Errorf("%w: it has no %s", ErrDamaged, snapshotName)
	}
	if b.Contents, err = same(b.Snapshot, b.Header.Snapshot); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return b, nil
}

// unpack reads the archive. What Write does not write, it refuses.
func unpack(r io.Reader, dir string) (*Backup, error) {
	b := &Backup{Secrets: filepath.Join(dir, secretsName)}
	if err := os.MkdirAll(b.Secrets, 0o700); err != nil {
		return nil, err
	}
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF && n > 0 {
			return b, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
		}
		small := func() ([]byte, error) {
			data, err := io.ReadAll(io.LimitReader(t, most+1))
			if err == nil && len(data) > most {
				err = fmt.Errorf("%s has more than %d bytes", h.Name, most)
			}
			if err != nil {
				err = fmt.Errorf("%w: %v", ErrDamaged, err)
			}
			return data, err
		}
		below, secret := strings.CutPrefix(h.Name, secretsName+"/")
		switch {
		case n == 0 && h.Name == headerName:
			data, err := small()
			if err == nil {
				err = b.head(data)
			}
			if err != nil {
				return nil, err
			}
		case n == 0:
			return nil, fmt.Errorf("%w: it begins with %q, not with %s", ErrNone, h.Name, headerName)
		case h.Name == fileName:
			if b.File, err = small(); err != nil {
				return nil, err
			}
		case secret && fs.ValidPath(below) && h.Typeflag == tar.TypeReg:
			data, err := small()
			if err != nil {
				return nil, err
			}
			to := filepath.Join(b.Secrets, filepath.FromSlash(below))
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, data, 0o600)); err != nil {
				return nil, err
			}
		case h.Name == snapshotName && b.Snapshot == "":
			b.Snapshot = filepath.Join(dir, snapshotName)
			if err := save(b.Snapshot, t); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%w: there is %q in it", ErrDamaged, h.Name)
		}
	}
}

func (b *Backup) head(data []byte) error {
	if err := json.Unmarshal(data, &b.Header); err != nil || b.Header.Kind != kind {
		return fmt.Errorf("%w: its header is of kind %q (%v)", ErrNone, b.Header.Kind, err)
	}
	if b.Header.Format > Format {
		return fmt.Errorf("%w: it has format %d and was made by craton %s; this one reads formats up to %d", ErrNewer, b.Header.Format, b.Header.Craton, Format)
	}
	return nil
}

// save tells what is wrong with the backup from what is wrong with this host's disk.
func save(name string, t io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, reader{t})
	return errors.Join(err, f.Close())
}

type reader struct{ io.Reader }

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return n, err
}
