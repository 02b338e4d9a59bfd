package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"filippo.io/age"
)

// Recipients parses age's public keys, "age1…" each.
func Recipients(keys []string) ([]age.Recipient, error) {
	var to []age.Recipient
	for _, key := range keys {
		one, err := age.ParseRecipients(strings.NewReader(key))
		if err != nil || len(one) != 1 {
			return nil, fmt.Errorf("%q is no recipient of age's: expected its public key, such as age1…; age-keygen makes one, and so does --identity-out", key)
		}
		to = append(to, one...)
	}
	return to, nil
}

// Identities reads a file of age's private keys, as age-keygen and NewIdentity write it.
func Identities(name string) ([]age.Identity, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	with, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s is no identity of age's (%w): expected a file with a line AGE-SECRET-KEY-…, as age-keygen writes it", name, err)
	}
	return with, nil
}

// NewIdentity makes a private key, writes it into a new file that only its owner can read,
// and returns the recipient that belongs to it. A file that is there already is an error.
func NewIdentity(name string, now time.Time) (age.Recipient, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already: name a new file, or use its public key with --recipient", name)
	}
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "# created: %s\n# public key: %s\n%s\n", now.UTC().Format(time.RFC3339), id.Recipient(), id)
	return id.Recipient(), errors.Join(err, f.Sync(), f.Close())
}
