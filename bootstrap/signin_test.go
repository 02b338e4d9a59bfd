package bootstrap

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// A password is made until one has been shown, and then no more; a run that was stopped before it
// was shown leaves nothing behind. What is kept does not give it away.
func TestFirstAdministrator(t *testing.T) {
	file := cluster.Default("demo")
	file.Options.SignIn = true
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	up := func() *Cluster {
		c := &Cluster{Name: "demo", Dir: dir, Plan: p}
		if c.Secrets, err = pki.Ensure(c.pkiDir(), p, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := c.firstAdministrator(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	stopped, ok := up().FirstPassword()
	if !ok || stopped.Name != "admin@demo.cluster.test" {
		t.Fatalf("%+v %t", stopped, ok)
	}
	c := up()
	shown, ok := c.FirstPassword()
	if !ok || shown.Password == stopped.Password || bcrypt.CompareHashAndPassword([]byte(c.Secrets.SignIn.FirstAdministrator), []byte(shown.Password)) != nil {
		t.Errorf("%+v %t", shown, ok)
	}
	if err := c.ShownFirstPassword(); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.FirstPassword(); ok {
		t.Error("it can be shown again")
	}
	again := up()
	if p, ok := again.FirstPassword(); ok || bcrypt.CompareHashAndPassword([]byte(again.Secrets.SignIn.FirstAdministrator), []byte(shown.Password)) != nil {
		t.Errorf("the next run makes another: %+v", p)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "pki", "first-administrator")); err != nil || len(data) != 61 {
		t.Errorf("kept is %q %v", data, err)
	}
	file.SignIn.FirstAdministrator = false
	os.Remove(filepath.Join(dir, "pki", "first-administrator"))
	if p, ok := up().FirstPassword(); ok {
		t.Errorf("nobody wants one: %+v", p)
	}
}

// A file of a running pod is written in place, as the pod has the file and not its name; one that
// is right is left alone, and one that is not there is not made.
func TestInPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write := func(text string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", inPlace, "sh", file)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
	}
	write("first")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Fatalf("a file that was not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("a long text\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"short", "short", "much longer than that\n"} {
		write(text)
		after, err := os.Stat(file)
		got, err2 := os.ReadFile(file)
		if err != nil || err2 != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() || string(got) != text {
			t.Errorf("%q: %q, the same file: %t, mode %o", text, got, os.SameFile(before, after), after.Mode())
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); err != nil || len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}
