package pki

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"craton.dev/craton/durable"
	"craton.dev/craton/plan"
)

// store is the folder. A certificate and its key are one file, so that a kill between two
// writes cannot leave a key without its certificate.
type store struct {
	dir string
	now time.Time
	// keeps says that a certificate is good as long as it is valid.
	keeps bool
}

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// prepare makes the folders and takes away what a killed run left, and any rights that
// others have.
func (s store) prepare(folders ...string) error {
	for _, f := range folders {
		dir := filepath.Join(s.dir, f)
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return err
		}
		if err := os.Chmod(dir, dirMode); err != nil {
			return err
		}
		left, err := filepath.Glob(filepath.Join(dir, ".*.new"))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// read returns nil where there is no such file.
func (s store) read(name string) ([]byte, error) {
	path := filepath.Join(s.dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return data, os.Chmod(path, fileMode)
}

// write replaces a file: what it keeps, nobody can make anew.
func (s store) write(name string, data []byte) error {
	return durable.WriteFile(filepath.Join(s.dir, name), data, fileMode)
}

func (s store) damaged(name string, err error, lost string) error {
	return fmt.Errorf("%s: %w: put back the file from a backup, or delete it (%s) and run this again", filepath.Join(s.dir, name), err, lost)
}

// authority keeps the authority, whatever its age: a new one would cut off every machine
// that trusts the old one. It fails only where the authority can vouch for nothing any more.
func (s store) authority(name string) (Pair, error) {
	file := filepath.Join("authorities", name+".pem")
	lost := "every machine then has to be made anew"
	data, err := s.read(file)
	if err != nil {
		return Pair{}, err
	}
	if data == nil {
		pair, err := newAuthority(name, s.now)
		if err != nil {
			return Pair{}, err
		}
		return pair, s.write(file, joinPair(pair))
	}
	pair := splitPair(data)
	cert, _, err := parsePair(pair)
	if err != nil {
		return Pair{}, s.damaged(file, err, lost)
	}
	if !cert.IsCA {
		return Pair{}, s.damaged(file, errors.New("it is not an authority's certificate"), lost)
	}
	if s.now.After(cert.NotAfter) || s.now.Before(cert.NotBefore) {
		return Pair{}, s.damaged(file, fmt.Errorf("the authority is valid from %s to %s, and this machine's clock says %s: if the clock is wrong, set it right; if not",
			cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339), s.now.UTC().Format(time.RFC3339)), lost)
	}
	return pair, nil
}

func (s store) certificate(id plan.Identity, ca Pair) (Pair, error) {
	file := filepath.Join("certificates", id.Name+".pem")
	data, err := s.read(file)
	if err != nil {
		return Pair{}, err
	}
	if data != nil {
		pair := splitPair(data)
		cert, _, err := parsePair(pair)
		if err != nil {
			return Pair{}, s.damaged(file, err, "a new certificate is then issued")
		}
		if current(cert, id, ca, s.now, s.keeps) {
			return pair, nil
		}
	}
	pair, err := issue(id, ca, s.now)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate %s: %w", id.Name, err)
	}
	return pair, s.write(file, joinPair(pair))
}

func (s store) serviceAccount() (Pair, error) {
	const file = "service-account.pem"
	data, err := s.read(file)
	if err != nil {
		return Pair{}, err
	}
	if data == nil {
		pair, err := newKeyPair()
		if err != nil {
			return Pair{}, err
		}
		return pair, s.write(file, joinPair(pair))
	}
	pair := splitPair(data)
	if err := matchPublic(pair); err != nil {
		return Pair{}, s.damaged(file, err, "every pod's token is then void")
	}
	return pair, nil
}

func (s store) encryptionKey() (string, error) {
	const file = "encryption.key"
	data, err := s.read(file)
	if err != nil {
		return "", err
	}
	if data == nil {
		key := make([]byte, 32)
		rand.Read(key) // never fails: crypto/rand ends the program instead
		text := base64.StdEncoding.EncodeToString(key)
		return text, s.write(file, []byte(text+"\n"))
	}
	text := string(bytes.TrimSpace(data))
	key, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("%d bytes where 32 were expected", len(key))
	}
	if err != nil {
		return "", s.damaged(file, err, "the secrets in the cluster's etcd are then lost")
	}
	return text, nil
}

var tokenForm = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)

// cutToken splits a bootstrap token into its id, which is no secret, and its secret.
func cutToken(token string) (id, secret string, ok bool) {
	m := tokenForm.FindStringSubmatch(token)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// TokenID is the public part of a bootstrap token, or "" where it is none.
func TokenID(token string) string {
	id, _, _ := cutToken(token)
	return id
}

func (s store) bootstrapToken(machine string) (string, error) {
	file := filepath.Join("bootstrap-tokens", machine)
	data, err := s.read(file)
	if err != nil {
		return "", err
	}
	if data == nil {
		text := strings.ToLower(rand.Text()) // 26 letters and digits of base32: 130 bits
		token := text[:6] + "." + text[6:22]
		return token, s.write(file, []byte(token+"\n"))
	}
	token := string(bytes.TrimSpace(data))
	if !tokenForm.MatchString(token) {
		return "", s.damaged(file, errors.New("it is no bootstrap token (six characters, a dot, sixteen characters)"), "the machine then has to be made anew")
	}
	return token, nil
}
