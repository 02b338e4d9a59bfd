package signin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/sys/atomicwriter"
	"golang.org/x/sys/unix"
)

// Store is a folder of tokens, one file a place, that nobody else can read.
type Store struct{ Dir string }

// UserStore is the person's own: craton/tokens in their cache folder.
func UserStore() (Store, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Store{}, fmt.Errorf("where to keep tokens: %w", err)
	}
	return Store{filepath.Join(dir, "craton", "tokens")}, nil
}

func (s Store) path(p Place) string {
	sum := sha256.Sum256([]byte(p.Issuer + "\n" + p.Client + "\n" + p.Connect))
	return filepath.Join(s.Dir, hex.EncodeToString(sum[:8])+".json")
}

// Load returns nil where nobody is signed in. A file that others can read is refused.
func (s Store) Load(p Place) (*Tokens, error) {
	path := s.path(p)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others can read it (mode %o): somebody may have the tokens: craton logout removes it", path, info.Mode().Perm())
	}
	t := &Tokens{}
	if err := json.NewDecoder(f).Decode(t); err != nil {
		return nil, fmt.Errorf("%s: %w: craton login writes it anew", path, err)
	}
	return t, nil
}

// Save keeps the tokens, 0600; the file is replaced as a whole.
func (s Store) Save(p Place, t *Tokens) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return atomicwriter.WriteFile(s.path(p), data, 0o600)
}

// Remove forgets the tokens, and says whether there were any.
func (s Store) Remove(p Place) (bool, error) {
	err := os.Remove(s.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Current are tokens that are good now, renewed where they have to be: by one process at a time,
// since each refresh token works once. It is ErrSignInAgain where the session is over.
func (s Store) Current(ctx context.Context, p Place) (*Tokens, error) {
	t, err := s.Load(p)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, ErrSignInAgain
	}
	if t.fresh(time.Now()) {
		return t, nil
	}
	lock, err := os.OpenFile(s.path(p)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if t, err = s.Load(p); err != nil || t.fresh(time.Now()) {
		return t, err // another process has renewed it meanwhile
	}
	next, err := p.Renew(ctx, t)
	if err != nil && !errors.Is(err, ErrSignInAgain) && time.Now().Before(t.Expires) {
		return t, nil // it is still good, and the provider may be back soon
	}
	if err != nil {
		return nil, err
	}
	return next, s.Save(p, next)
}
