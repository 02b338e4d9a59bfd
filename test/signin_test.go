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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/part"
	"craton.dev/craton/signin"
)

// TestSignIn protects signing in on a real cluster, with kubectl and in the Console: a file as craton
// init writes it ends with the Console's address and the first password, which is shown once; people
// do what their group may and no more, as soon as up has ended; a role that is taken away is gone at once and a group with
// the token; without Dex the administrator's certificate works; turned off, nothing of it is left.
func TestSignIn(t *testing.T) {
	needHost(t)
	l := newLab(t, signInCluster)
	t.Cleanup(func() {
		l.diagnose(t)
		if t.Failed() {
			says, err := l.kubectl("-n", "kube-system", "logs", "deployment/dex", "--tail=20")
			t.Log(says, err)
		}
	})
	const word, ben, guest = "correct horse battery", "ben@example.org", "guest@example.org"
	hash, err := pki.HashPassword([]byte(word))
	if err != nil {
		t.Fatal(err)
	}
	const formerly = "eva@example.org" // who loses her group
	write := func(roles, formerGroups string) {
		l.write(t, 1, 1, "options: {signIn: true, console: true, ingress: true}", "signIn:", "  tokenMinutes: 1", roles, "  users:",
			fmt.Sprintf("  - {email: %s, passwordHash: '%s', groups: [developers]}", ben, hash),
			fmt.Sprintf("  - {email: %s, passwordHash: '%s', groups: [guests]}", guest, hash),
			fmt.Sprintf("  - {email: %s, passwordHash: '%s', groups: [%s]}", formerly, hash, formerGroups))
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
		out, err := l.craton("ssh", "--cluster", l.name, l.plan(t).OfRole(contract.Master)[0].Name, "--", "cat", manifests.AuthenticationPath)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, err := l.craton("init", l.name, "--file", l.file); err != nil {
		t.Fatal(err)
	}
	says := up("as craton init writes it")
	first, password := firstAdministrator(t, says)
	if at := "The Console is at https://" + l.plan(t).Network.Console; !strings.Contains(says, at) {
		t.Errorf("up does not say %q:\n%s", at, says)
	}
	const roles = "  roles: [{group: 'local:developers', role: view}, {group: 'local:guests', role: none}]"
	write(roles, "developers")
	if out := up("with users"); strings.Contains(out, "password") {
		t.Errorf("a password is shown again:\n%s", out)
	}
	c := l.open(t)
	_, place, err := c.SignIn(true)
	if err != nil {
		t.Fatal(err)
	}
	people := map[string]*person{}
	for name, word := range map[string]string{ben: word, guest: word, formerly: word, first: password} {
		people[name] = l.person(t, c, place, name, word)
	}
	admin := people[first]
	expect := func(who *person, says string, args ...string) {
		t.Helper()
		// At once: up has waited until the API server knows whom it is to trust.
		if out, err := who.kubectl(args...); says != "" && !strings.Contains(out, says) || says == "" && err != nil {
			t.Errorf("%s: kubectl %s: %s %v", who.name, args, out, err)
		}
	}
	expect(admin, "", "create", "namespace", "made-by-admin")
	expect(admin, "sign-in:local:administrators", "auth", "whoami")
	expect(people[ben], "", "get", "nodes")
	expect(people[ben], "", "get", "pods", "-A")
	expect(people[ben], "Forbidden", "create", "namespace", "made-by-ben")
	expect(people[ben], "Forbidden", "delete", "namespace", "made-by-admin")
	expect(people[ben], "Forbidden", "get", "secrets", "-A")
	expect(people[ben], "Forbidden", "get", "signingkeies.dex.coreos.com", "-A")
	expect(people[formerly], "", "get", "pods", "-A")
	expect(people[guest], "Forbidden", "get", "pods", "-A")
	// Dex renews the latest session of a person only, so that this one ends his first.
	people[ben] = l.byDevice(t, c, place, ben, word)
	expect(people[ben], "sign-in:local:"+ben, "auth", "whoami")
	expect(people[ben], "Forbidden", "create", "namespace", "made-by-code")

	l.replacedAPIServer(t)

	write(roles, "guests")
	up("a group taken away")
	taken := time.Now()
	l.browse(t, place, visitors{admin: first, first: password, viewer: ben, guest: guest, word: word})
	eventually(t, time.Minute+20*time.Second-time.Since(taken), func() error { // the token's life, and what is remembered
		if out, _ := people[formerly].kubectl("get", "pods", "-A"); !strings.Contains(out, "Forbidden") {
			return fmt.Errorf("after %.0f s the group still counts: %s", time.Since(taken).Seconds(), out)
		}
		return nil
	})
	t.Logf("the group was gone after %.0f s at most", time.Since(taken).Seconds())
	l.withoutDex(t, place, people[ben])

	write("  roles: [{group: 'local:developers', role: none}]", "guests")
	up("a role taken away")
	if out, _ := people[ben].kubectl("get", "pods", "-A"); !strings.Contains(out, "Forbidden") {
		t.Errorf("the role is still there: %s", out)
	}

	last, err := admin.store().Current(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, 1, 1)
	up("turned off")
	want, err := manifests.Authentication(l.open(t).Plan, place.CA)
	if err != nil {
		t.Fatal(err)
	}
	if got := trust(); got != string(want) {
		t.Errorf("turned off, the API server is told:\n%s\nexpected was:\n%s", got, want)
	}
	for _, kind := range []string{"all", "secret", "serviceaccount", "role", "rolebinding", "clusterrole", "clusterrolebinding", "crd", "ingress", "ingressclass"} {
		eventually(t, 30*time.Second, func() error {
			out, err := l.kubectl("get", kind, "-A", "-l", part.Label+" in (dex, console, ingress)", "-o", "name")
			if err != nil || strings.TrimSpace(out) != "" {
				return fmt.Errorf("there is still %s%v", out, err)
			}
			return nil
		})
	}
	token := l.config(t)
	token.BearerToken, token.CertData, token.KeyData = last.ID, nil, nil
	as, err := kubernetes.NewForConfig(token)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() error {
		if _, err := as.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			return fmt.Errorf("a token is still taken: %v", err)
		}
		return nil
	})
	if _, err := l.client(t).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator's certificate: %v", err)
	}
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
	if err := p.store().Save(place, tokens); err != nil {
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
		Env: p.env(), Timeout: time.Minute}.Run(context.Background())
	if failed, ok := errors.AsType[*command.Error](err); ok {
		return string(out) + failed.Stderr, err
	}
	return string(out), err
}

// store is signin.UserStore's, with this person's home.
func (p *person) store() signin.Store {
	return signin.Store{Dir: filepath.Join(p.home, "cache", "craton", "tokens")}
}

func (p *person) env() []string {
	return []string{"HOME=" + p.home, "XDG_CACHE_HOME=" + filepath.Join(p.home, "cache"), "PATH=" + os.Getenv("PATH")}
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
	submit := func(fields url.Values) {
		form := formAction.FindStringSubmatch(page)
		if err != nil || form == nil {
			err = errors.Join(err, fmt.Errorf("there is no form:\n%s", page))
			return
		}
		to, bad := at.Parse(html.UnescapeString(form[1]))
		if bad != nil {
			err = bad
			return
		}
		page, at, err = read(browser.PostForm(to.String(), fields))
	}
	if code := at.Query().Get("user_code"); code != "" { // of a device
		submit(url.Values{"user_code": {code}})
	}
	submit(url.Values{"login": {name}, "password": {word}})
	if err == nil && !strings.Contains(page, "You can close this window") && !strings.Contains(page, "Login Successful") {
		err = fmt.Errorf("the last page says:\n%s", page)
	}
	return err
}
