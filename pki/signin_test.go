package pki

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"craton.dev/craton/cluster"
)

// The files that the section names are read, and what is wrong with them is told by field, all
// at once, without showing what is in them. What is made is made once.
func TestSignIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, []byte("  sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testPlan()
	p.File = cluster.Default("demo")
	if s := ensure(t, dir, p, t0); s.SignIn.ConsoleClient != "" || s.SignIn.Files != nil {
		t.Errorf("off: %+v", s.SignIn)
	}
	p.File.Options.SignIn = true
	p.File.SignIn.GitHub = []cluster.GitHub{{ClientSecretFile: there}}
	s := ensure(t, dir, p, t0)
	if s.SignIn.FirstAdministrator != "" || len(s.SignIn.ConsoleClient) < 20 || string(s.SignIn.Files[there]) != "  sesame\n" {
		t.Errorf("on: %+v", s.SignIn)
	}
	password, hash, err := NewPassword()
	if err != nil || len(password) != 23 || bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		t.Errorf("%q %q %v", password, hash, err)
	}
	if again, _, err := NewPassword(); err != nil || again == password {
		t.Errorf("the same password twice: %v", err)
	}
	if err := KeepFirstAdministrator(dir, hash); err != nil {
		t.Fatal(err)
	}
	again := ensure(t, dir, p, t0)
	if again.SignIn.FirstAdministrator != hash || again.SignIn.ConsoleClient != s.SignIn.ConsoleClient {
		t.Errorf("again: %+v", again.SignIn)
	}
	for name, text := range files(t, dir) { // which looks at modes too
		if strings.Contains(text, password) {
			t.Errorf("%s has the password in the clear", name)
		}
	}

	p.File.SignIn.GitHub[0].ClientSecretFile = there + "-not"
	p.File.SignIn.LDAP = []cluster.LDAP{{CAFile: there}}
	p.File.SignIn.OIDC = []cluster.OIDC{{ClientSecretFile: os.DevNull}}
	_, err = Ensure(dir, p, t0)
	for _, want := range []string{"signIn.github[0].clientSecretFile", "signIn.ldap[0].caFile", "expected certificates in PEM", "signIn.oidc[0].clientSecretFile", "expected one line"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v: want words about %s", err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, firstAdministratorFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(dir, p, t0); err == nil || !strings.Contains(err.Error(), firstAdministratorFile) {
		t.Errorf("a damaged hash: %v", err)
	}
}

// bcrypt looks at 72 bytes: what would not count is refused, and so is what is soon guessed.
func TestHashPassword(t *testing.T) {
	for n, good := range map[int]bool{0: false, 11: false, 12: true, 72: true, 73: false} {
		password := strings.Repeat("x", n)
		hash, err := HashPassword([]byte(password))
		if (err == nil) != good {
			t.Errorf("%d bytes: %v", n, err)
		}
		if good && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
			t.Errorf("%d bytes: the hash is of another", n)
		}
	}
}
