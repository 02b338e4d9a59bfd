package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part/dex"
	"craton.dev/craton/signin"
)

// The programs of the payload that these tests run.
const (
	dexVariable = "CRATON_DEX"
	etcdVar     = "CRATON_ETCD"
	apiVariable = "CRATON_APISERVER"
)

func program(t *testing.T, variable, component string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s is not set: expected the path that `craton payload path %s` prints", variable, component)
	}
	return path
}

const (
	anna     = "anna@example.org"
	ben      = "ben@example.org"
	password = "correct horse battery"
)

// lab is a Dex that runs, with the configuration that a cluster would give it. Only its address
// and its store are other ones.
type lab struct {
	plan   *plan.Plan
	ca     pki.Pair
	place  signin.Place
	config map[string]any
	args   []string
	dir    string
	stop   func()
	said   func() string
}

// newLab starts it. change may change the configuration before.
func newLab(t *testing.T, change func(config map[string]any)) *lab {
	t.Helper()
	return newLabWith(t, nil, change)
}

// newLabWith starts one at which people come from elsewhere too.
func newLabWith(t *testing.T, places func(*lab, *cluster.SignIn, *pki.SignIn), change func(config map[string]any)) *lab {
	t.Helper()
	l := &lab{dir: t.TempDir(), args: []string{program(t, dexVariable, "dex"), "serve"}}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	file := cluster.Default("demo")
	file.Options.SignIn = true
	file.SignIn.FirstAdministrator = false // nobody knows the password
	file.SignIn.Users = []cluster.User{
		{Email: anna, PasswordHash: string(hash), Groups: []string{"ops", "night shift"}},
		{Email: ben, PasswordHash: string(hash), Groups: []string{"developers"}},
	}
	file.SignIn.Roles = []cluster.Role{
		{Group: "local:ops", Role: cluster.RoleAdmin}, {Group: "local:developers", Role: cluster.RoleView}, {Group: "local:guests", Role: cluster.RoleNone},
	}
	if l.plan, err = plan.Make(file); err != nil {
		t.Fatal(err)
	}
	secrets, err := pki.Ensure(filepath.Join(l.dir, "pki"), l.plan, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l.ca = secrets.Authorities[pki.KubernetesCA]
	pair, err := pki.IssueServer(l.ca, nil, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key := l.write(t, "tls.crt", pair.Cert), l.write(t, "tls.key", pair.Key)
	address := freeAddress(t)
	if places != nil {
		places(l, &file.SignIn, &secrets.SignIn)
	}
	config, err := dex.Config(l.plan, secrets, dex.Storage{Type: "memory"}, dex.Serve{Address: address, Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	// The issuer is reached under its own URL, by the browser, by craton and by the API server.
	config = []byte(l.local(string(config), address))
	if err := json.Unmarshal(config, &l.config); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(l.config)
	}
	l.place = signin.Place{Issuer: "https://" + address + dex.Path, Client: dex.Client, CA: l.ca.Cert}
	l.start(t)
	return l
}

// local puts the address where the tests run into the place of the cluster's name.
func (l *lab) local(text, address string) string {
	return strings.ReplaceAll(text, "https://"+l.plan.Network.Console, "https://"+address)
}

func (l *lab) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (l *lab) start(t *testing.T) {
	t.Helper()
	data, err := json.Marshal(l.config)
	if err != nil {
		t.Fatal(err)
	}
	l.stop, l.said = run(t, nil, append(l.args, l.write(t, "config.json", data))...)
	l.await(t, l.place.Issuer+"/healthz", http.StatusOK)
}

func (l *lab) await(t *testing.T, address string, status int) {
	t.Helper()
	client := l.client()
	until(t, 30*time.Second, func() error {
		answer, err := client.Get(address)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != status {
			return fmt.Errorf("%s answers with %s", address, answer.Status)
		}
		return nil
	})
}

func until(t *testing.T, limit time.Duration, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatalf("after %v: %v", limit, err)
}

// log is what a program says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// run keeps a program running till the test ends or stop is called.
func run(t *testing.T, env []string, argv ...string) (stop func(), says func() string) {
	t.Helper()
	var said log
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stderr, cmd.Stdout = append(os.Environ(), env...), &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			text := said.String()
			t.Logf("%s said last:\n%s", filepath.Base(argv[0]), text[max(0, len(text)-4000):])
		}
		// Nothing that somebody typed may be in a log.
		if strings.Contains(said.String(), password) {
			t.Errorf("%s wrote a password into its log", filepath.Base(argv[0]))
		}
	})
	return stop, said.String
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func limited(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}
