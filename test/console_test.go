package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/render/part/dex"
	"craton.dev/craton/signin"
)

// testConsole protects what a person finds whose cluster has a Console: turned on, on a running
// cluster, it lets them sign in with a browser, shows each to whom it may, and ends with the option.
// What its pages do beside a real cluster is tested in its own package, with a browser too.
func testConsole(t *testing.T, l *lab) {
	const word, viewer, guest = "correct horse battery", "ben@example.org", "guest@example.org"
	hash, err := pki.HashPassword([]byte(word))
	if err != nil {
		t.Fatal(err)
	}
	user := "  - {email: %s, passwordHash: '" + hash + "', groups: [%s]}"
	l.write(t, 1, 1, "options: {signIn: true, console: true, ingress: true}", "signIn:",
		"  roles: [{group: 'local:developers', role: view}, {group: 'local:guests', role: none}]", "  users:",
		fmt.Sprintf(user, viewer, "developers"), fmt.Sprintf(user, guest, "guests"))
	says, err := l.craton("up", "--file", l.file)
	if err != nil {
		t.Fatal(err)
	}
	l.ready(t)
	_, place, err := l.open(t).SignIn(true)
	if err != nil {
		t.Fatal(err)
	}
	admin, first := firstAdministrator(t, says)
	l.browse(t, place, visitors{admin: admin, first: first, viewer: viewer, guest: guest, word: word})
	l.write(t, 1, 1)
	l.up(t)
	l.ready(t)
}

// firstAdministrator is whom up has made, and the password that it shows once.
func firstAdministrator(t *testing.T, says string) (name, word string) {
	t.Helper()
	shown := regexp.MustCompile(`(?m)^  name      (\S+)\n  password  (\S+)$`).FindStringSubmatch(says)
	if shown == nil {
		t.Fatal("no first password is shown")
	}
	return shown[1], shown[2]
}

// visitors are people who look at a Console: the first administrator with the first password,
// somebody who may see and somebody who may not, who share another one.
type visitors struct{ admin, first, viewer, guest, word string }

// browse looks at the Console with a real browser: console/npm/cluster.mjs has the checks. With
// CRATON_SHOTS it leaves screenshots in that folder.
func (l *lab) browse(t *testing.T, place signin.Place, who visitors) {
	t.Helper()
	const chromium, modules = "/usr/bin/chromium", "../console/npm/node_modules/playwright-core"
	for _, path := range []string{chromium, modules} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: scripts/setup test installs it", err)
		}
	}
	issuer, err := url.Parse(place.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range l.plan(t).Machines {
		names = append(names, m.Name)
	}
	env := []string{
		"CONSOLE=https://" + issuer.Host, "AT=" + place.Connect, "MACHINES=" + strings.Join(names, " "), "CHROMIUM=" + chromium,
		"SHOTS=" + os.Getenv("CRATON_SHOTS"), "ADMIN=" + who.admin, "ADMIN_PASSWORD=" + who.first,
		"VIEWER=" + who.viewer, "GUEST=" + who.guest, "PASSWORD=" + who.word,
	}
	out, err := command.Cmd{Name: "node", Args: []string{filepath.Join("..", "console", "npm", "cluster.mjs")}, Env: env, Timeout: 3 * time.Minute}.Run(t.Context())
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	logged, err := l.kubectl("-n", "kube-system", "logs", "-l", "k8s-app in (console, dex)", "--tail=-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{who.first, who.word, "eyJ"} {
		if strings.Contains(logged, secret) {
			t.Errorf("a log holds %.5s…", secret)
		}
	}
}

// withoutDex protects that nobody is locked out while Dex is away: the administrator's
// certificate works, and tokens that are still good do. The master, on which the API server and
// the ingress are, has no way to Dex's pod.
func (l *lab) withoutDex(t *testing.T, place signin.Place, who *person) {
	t.Helper()
	if out, err := who.kubectl("get", "nodes"); err != nil { // with a token that is good for half a minute at least
		t.Fatalf("%s %v", out, err)
	}
	pod, err := l.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=dex", "-o", "jsonpath={.items[*].status.podIP}")
	if err != nil || strings.Contains(strings.TrimSpace(pod), " ") {
		t.Fatalf("Dex's pods: %s %v", pod, err)
	}
	way := func(verb string) {
		l.exec(t, l.plan(t).OfRole(contract.Master)[0].Name, "ip rule "+verb+" pref 10 to "+strings.TrimSpace(pod)+" unreachable")
	}
	way("add")
	if out, err := l.kubectl("get", "nodes"); err != nil {
		t.Errorf("without Dex the administrator's certificate: %s %v", out, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := place.Browser(ctx, func(string) error { return nil }); err == nil || !strings.Contains(err.Error(), "does not answer as the cluster's sign-in") {
		t.Errorf("without Dex somebody who signs in reads: %v", err)
	}
	if out, err := who.kubectl("get", "nodes"); err != nil {
		t.Errorf("without Dex a good token: %s %v", out, err)
	}
	way("del")
}

// replacedAPIServer protects people who begin to sign in while an API server is replaced: Dex, whose
// state is there, lets none of them read of an error.
func (l *lab) replacedAPIServer(t *testing.T) {
	t.Helper()
	query := url.Values{
		"client_id": {dex.Client}, "redirect_uri": {"http://127.0.0.1:8000/"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"x"},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}
	client, address := l.visitor(t), dex.Issuer(l.open(t).Plan)+"/auth?"+query.Encode()
	if _, err := l.kubectl("-n", "kube-system", "rollout", "restart", "daemonset/kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	replaced := make(chan error, 1)
	go func() {
		_, err := l.kubectl("-n", "kube-system", "rollout", "status", "daemonset/kube-apiserver", "--timeout=90s")
		time.Sleep(3 * time.Second) // the old one ends
		replaced <- err
	}()
	for asked := 1; ; asked++ {
		answer, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusFound {
			t.Fatalf("request %d, while the API server is replaced: %s", asked, answer.Status)
		}
		select {
		case err := <-replaced:
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d people began to sign in while the API server was replaced", asked)
			return
		case <-time.After(100 * time.Millisecond): // Dex lets twenty a second begin
		}
	}
}

// byDevice signs somebody in as on a machine without a browser: craton login shows a code, which
// is typed into a browser elsewhere.
func (l *lab) byDevice(t *testing.T, c *bootstrap.Cluster, place signin.Place, name, word string) *person {
	t.Helper()
	p := &person{name: name, home: t.TempDir()}
	var err error
	if p.kubectlPath, err = c.Kubectl(t.Context()); err != nil {
		t.Fatal(err)
	}
	says, say := io.Pipe()
	go func() {
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			if address, ok := strings.CutPrefix(lines.Text(), "Or open "); ok {
				if err := signInByHand(place, address, name, word); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}()
	_, err = command.Cmd{Name: craton, Args: []string{"login", "--device", "--cluster", l.name, "--kubeconfig", filepath.Join(p.home, "config")},
		Env: p.env(), Stderr: say, Timeout: time.Minute}.Run(t.Context())
	say.Close()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
