package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/part"
	"craton.dev/craton/signin"
)

// TestSignIn protects signing in on a real cluster: turned on while it runs, the first password
// is shown once, people do what their group may and no more, a role that is taken away is gone at
// once; turned off, nothing of it is left.
func TestSignIn(t *testing.T) {
	needHost(t)
	l := newLab(t, signInCluster)
	t.Cleanup(func() { l.diagnose(t) })
	const word, ben, guest = "correct horse battery", "ben@example.org", "guest@example.org"
	hash, err := pki.HashPassword([]byte(word))
	if err != nil {
		t.Fatal(err)
	}
	write := func(roles string) {
		l.write(t, 1, 1, "options: {signIn: true}", "signIn:", "  tokenMinutes: 1", roles, "  users:",
			fmt.Sprintf("  - {email: %s, passwordHash: '%s', groups: [developers]}", ben, hash),
			fmt.Sprintf("  - {email: %s, passwordHash: '%s', groups: [guests]}", guest, hash))
	}
	up := func(about string) string {
		began := time.Now()
		out, err := l.craton("up", "--file", l.file)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("up, %s, took %.1f s", about, time.Since(began).Seconds())
		return out
	}
	trust := func() string {
		out, err := l.craton("ssh", "--cluster", l.name, machines(l.plan(t), contract.Master)[0].Name, "--", "cat", manifests.AuthenticationPath)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	l.write(t, 1, 1)
	up("off")
	before := trust()

	write("  roles: [{group: 'local:developers', role: view}, {group: 'local:guests', role: none}]")
	shown := regexp.MustCompile(`(?m)^  name      (\S+)\n  password  (\S+)$`).FindStringSubmatch(up("sign-in turned on"))
	if shown == nil {
		t.Fatal("no first password is shown")
	}
	if out := up("again"); strings.Contains(out, "password") {
		t.Errorf("a password is shown again:\n%s", out)
	}
	c := l.open(t)
	_, place, err := c.SignIn(true)
	if err != nil {
		t.Fatal(err)
	}
	place.Connect = l.forward(t, c)
	people := map[string]*person{}
	for name, word := range map[string]string{ben: word, guest: word, shown[1]: shown[2]} {
		people[name] = l.person(t, c, place, name, word)
	}
	admin := people[shown[1]]
	for _, ask := range []struct {
		who  *person
		args []string
		says string
	}{
		{admin, []string{"create", "namespace", "made-by-admin"}, ""},
		{admin, []string{"auth", "whoami"}, "sign-in:local:administrators"},
		{people[ben], []string{"get", "nodes"}, ""},
		{people[ben], []string{"get", "pods", "-A"}, ""},
		{people[ben], []string{"create", "namespace", "made-by-ben"}, "Forbidden"},
		{people[ben], []string{"delete", "namespace", "made-by-admin"}, "Forbidden"},
		{people[ben], []string{"get", "secrets", "-A"}, "Forbidden"},
		{people[ben], []string{"get", "signingkeies.dex.coreos.com", "-A"}, "Forbidden"},
		{people[guest], []string{"get", "pods", "-A"}, "Forbidden"},
	} {
		eventually(t, 20*time.Second, func() error { // an API server reads Dex's keys on its own time
			out, err := ask.who.kubectl(ask.args...)
			if ask.says != "" && !strings.Contains(out, ask.says) || ask.says == "" && err != nil {
				return fmt.Errorf("%s: kubectl %s: %s %v", ask.who.name, ask.args, out, err)
			}
			return nil
		})
	}

	write("  roles: [{group: 'local:developers', role: none}]")
	up("a role taken away")
	if out, _ := people[ben].kubectl("get", "pods", "-A"); !strings.Contains(out, "Forbidden") {
		t.Errorf("the role is still there: %s", out)
	}

	l.write(t, 1, 1)
	up("turned off")
	if after := trust(); after != before {
		t.Errorf("turned off, the API server is told:\n%s\nbefore it was:\n%s", after, before)
	}
	for _, kind := range []string{"all", "secret", "serviceaccount", "role", "rolebinding", "clusterrole", "clusterrolebinding", "crd"} {
		eventually(t, 30*time.Second, func() error {
			out, err := l.kubectl("get", kind, "-A", "-l", part.Label+"=dex", "-o", "name")
			if err != nil || strings.TrimSpace(out) != "" {
				return fmt.Errorf("of dex there is still %s%v", out, err)
			}
			return nil
		})
	}
	eventually(t, 20*time.Second, func() error {
		if out, _ := admin.kubectl("get", "nodes"); !strings.Contains(out, "Unauthorized") && !strings.Contains(out, "must be logged in") {
			return fmt.Errorf("a token is still taken: %s", out)
		}
		return nil
	})
	if _, err := l.client(t).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator's certificate: %v", err)
	}
}

// forward is a loopback address that leads to Dex's service, as a master sees it.
func (l *lab) forward(t *testing.T, c *bootstrap.Cluster) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := l.plan(t)
	master, address := machines(p, contract.Master)[0].Name, net.JoinHostPort(p.Network.ServiceSignIn.String(), "443")
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := c.Platform.DialFrom(context.Background(), master, "tcp", address, 5*time.Second)
				if err != nil {
					return
				}
				defer far.Close()
				go io.Copy(far, near)
				io.Copy(near, far)
			}()
		}
	}()
	return listener.Addr().String()
}

// person is somebody who has signed in, with a kubeconfig and a cache of their own.
type person struct{ name, home, kubectlPath string }

func (l *lab) person(t *testing.T, c *bootstrap.Cluster, place signin.Place, name, word string) *person {
	t.Helper()
	p := &person{name: name, home: t.TempDir()}
	var err error
	if p.kubectlPath, err = c.Kubectl(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tokens, err := place.Browser(ctx, func(address string) error {
		go func() {
			if err := signInByHand(place, address, name, word); err != nil {
				t.Errorf("%s: %v", name, err)
				cancel()
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	store := signin.Store{Dir: filepath.Join(p.home, "cache", "craton", "tokens")} // signin.UserStore's, with this home
	if err := store.Save(place, tokens); err != nil {
		t.Fatal(err)
	}
	api, _, err := c.SignIn(true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signin.AddContext(filepath.Join(p.home, "config"), "here", api, place, craton); err != nil {
		t.Fatal(err)
	}
	return p
}

// kubectl runs kubectl, which runs craton login for a token.
func (p *person) kubectl(args ...string) (string, error) {
	out, err := command.Cmd{Name: p.kubectlPath, Args: append([]string{"--kubeconfig", filepath.Join(p.home, "config")}, args...),
		Env: []string{"HOME=" + p.home, "XDG_CACHE_HOME=" + filepath.Join(p.home, "cache"), "PATH=" + os.Getenv("PATH")}, Timeout: time.Minute}.Run(context.Background())
	if failed, ok := errors.AsType[*command.Error](err); ok {
		return string(out) + failed.Stderr, err
	}
	return string(out), err
}

var formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)

// signInByHand is what a person does in a browser.
func signInByHand(place signin.Place, address, name, word string) error {
	u, err := url.Parse(place.Issuer)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(place.CA)
	jar, _ := cookiejar.New(nil) // never fails without options
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if to == net.JoinHostPort(u.Hostname(), "443") {
				to = place.Connect
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	}}
	read := func(r *http.Response, err error) (string, *url.URL, error) {
		if err != nil {
			return "", nil, err
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		return string(body), r.Request.URL, err
	}
	page, at, err := read(browser.Get(address))
	if err != nil {
		return err
	}
	form := formAction.FindStringSubmatch(page)
	if form == nil {
		return fmt.Errorf("there is no form:\n%s", page)
	}
	to, err := at.Parse(html.UnescapeString(form[1]))
	if err != nil {
		return err
	}
	page, _, err = read(browser.PostForm(to.String(), url.Values{"login": {name}, "password": {word}}))
	if err == nil && !strings.Contains(page, "You can close this window") {
		err = fmt.Errorf("the last page says:\n%s", page)
	}
	return err
}
