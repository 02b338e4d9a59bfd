package pki

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"craton.dev/craton/cluster"
)

// SignIn are the secrets of a cluster that lets people sign in.
type SignIn struct {
	// FirstAdministrator is the bcrypt hash of that user's password; "" where there is none yet.
	FirstAdministrator string
	// ConsoleClient is the secret by which Dex knows the console.
	ConsoleClient string
	// ConsoleCookies is the key by which all Consoles of the cluster encrypt what browsers keep for
	// them. Whoever has it can read and make such cookies.
	ConsoleCookies []byte
	// Files are the contents of the files that the cluster file's section signIn names, by path.
	Files map[string][]byte
}

const (
	firstAdministratorFile = "first-administrator"
	consoleClientFile      = "console-client"
	consoleCookiesFile     = "console-cookies"
	consoleCookiesBytes    = 32
	// passwordCost is how much work it is to try a password: a quarter of a second here.
	passwordCost = 12
	// longestPassword is what bcrypt looks at; what is beyond would not count.
	longestPassword = 72
)

// signIn reads what there is, and makes what no person has to know.
func (s store) signIn(f *cluster.Cluster) (out SignIn, err error) {
	hash, err := s.read(firstAdministratorFile)
	if err != nil {
		return out, err
	}
	out.FirstAdministrator = string(bytes.TrimSpace(hash))
	if _, err := bcrypt.Cost([]byte(out.FirstAdministrator)); hash != nil && err != nil {
		return out, s.damaged(firstAdministratorFile, err, "craton up then makes a new password")
	}
	secret, err := s.read(consoleClientFile)
	if err != nil {
		return out, err
	}
	if secret == nil {
		secret = []byte(rand.Text())
		if err := s.write(consoleClientFile, secret); err != nil {
			return out, err
		}
	}
	out.ConsoleClient = string(bytes.TrimSpace(secret))
	if out.ConsoleCookies, err = s.read(consoleCookiesFile); err != nil {
		return out, err
	}
	if len(out.ConsoleCookies) != consoleCookiesBytes {
		out.ConsoleCookies = make([]byte, consoleCookiesBytes)
		rand.Read(out.ConsoleCookies)
		if err := s.write(consoleCookiesFile, out.ConsoleCookies); err != nil {
			return out, err
		}
	}
	out.Files, err = signInFiles(&f.SignIn)
	return out, err
}

// signInFiles reads the files that the section names. The error names the field.
func signInFiles(s *cluster.SignIn) (map[string][]byte, error) {
	files := map[string][]byte{}
	var errs []error
	read := func(field, path string, is func([]byte) error) {
		if path == "" {
			return
		}
		data, err := os.ReadFile(path)
		if err == nil {
			err = is(data)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("signIn.%s: %s: %w", field, path, err))
		}
		files[path] = data
	}
	for i, c := range s.OIDC {
		read(fmt.Sprintf("oidc[%d].clientSecretFile", i), c.ClientSecretFile, isSecret)
		read(fmt.Sprintf("oidc[%d].caFile", i), c.CAFile, isCertificates)
	}
	for i, c := range s.LDAP {
		read(fmt.Sprintf("ldap[%d].bindPasswordFile", i), c.BindPasswordFile, isSecret)
		read(fmt.Sprintf("ldap[%d].caFile", i), c.CAFile, isCertificates)
	}
	for i, c := range s.GitHub {
		read(fmt.Sprintf("github[%d].clientSecretFile", i), c.ClientSecretFile, isSecret)
	}
	for i, c := range s.SAML {
		read(fmt.Sprintf("saml[%d].caFile", i), c.CAFile, isCertificates)
	}
	return files, errors.Join(errs...)
}

func isSecret(data []byte) error {
	if text := bytes.TrimSpace(data); len(text) == 0 || bytes.ContainsAny(text, "\r\n\x00") {
		return errors.New("expected one line with the secret")
	}
	return nil
}

func isCertificates(data []byte) error {
	certs, err := parseCertificates(data)
	if err == nil && len(certs) == 0 {
		err = errors.New("no certificate in it")
	}
	if err != nil {
		return fmt.Errorf("%w: expected certificates in PEM", err)
	}
	return nil
}

// NewPassword makes a password that nobody guesses, and its hash.
func NewPassword() (password, hash string, err error) {
	text := strings.ToLower(rand.Text())[:20] // 100 bits
	password = strings.Join([]string{text[:5], text[5:10], text[10:15], text[15:]}, "-")
	hash, err = HashPassword([]byte(password))
	return password, hash, err
}

// HashPassword is a password's bcrypt hash. It is an error where the password is longer than
// bcrypt looks, or too short to be one.
func HashPassword(password []byte) (string, error) {
	const shortest = 12
	switch n := len(password); {
	case n < shortest:
		return "", fmt.Errorf("the password has %d bytes, expected at least %d", n, shortest)
	case n > longestPassword:
		return "", fmt.Errorf("the password has %d bytes, of which bcrypt would look at %d only: use a shorter one", n, longestPassword)
	}
	hash, err := bcrypt.GenerateFromPassword(password, passwordCost)
	return string(hash), err
}

// KeepFirstAdministrator keeps the hash of the first administrator's password, once somebody has
// seen the password.
func KeepFirstAdministrator(dir, hash string) error {
	return store{dir: dir}.write(firstAdministratorFile, []byte(hash+"\n"))
}
