package firstboot_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

// TestJoiningMaster protects how a master joins that has no API server yet: by the API's name, once its member of etcd
// has a vote; and that a master which begins asks no other.
func TestJoiningMaster(t *testing.T) {
	p := example.Plan(t, 3, 0)
	own := "https://" + p.Machines[1].Address.String() + ":443"
	const name = "https://demo-k8s.example.com:443"
	joins := options
	joins.Joins, joins.JoinsAfter = true, netip.MustParseAddrPort("127.0.0.1:2381")
	for _, c := range []struct {
		opt          firstboot.Options
		server, host string
	}{
		{joins, name, "demo-k8s.example.com"},
		{options, own, p.Machines[1].Address.String()},
	} {
		config, err := firstboot.For(p, "demo-master-2", example.Secrets(p), c.opt)
		if err != nil {
			t.Fatal(err)
		}
		if text := file(t, config, "/etc/kubernetes/bootstrap.kubeconfig"); !strings.Contains(text, "server: "+c.server+"\n") {
			t.Errorf("expected the API at %s in\n%s", c.server, text)
		}
		join := file(t, config, "/usr/local/sbin/craton-join")
		if !strings.Contains(join, " answers 2 "+c.host+":443 ") {
			t.Errorf("expected the API to be asked at %s in\n%s", c.host, join)
		}
		vote, ask := strings.Index(join, "|| ready 127.0.0.1 2381 "), strings.Index(join, " answers 2 ")
		if c.opt.Joins != (vote > 0 && vote < ask) {
			t.Errorf("whether the member of etcd has a vote is asked first where the master joins, and only there:\n%s", join)
		}
		check := exec.Command("bash", "-n")
		check.Stdin = strings.NewReader(join)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("bash does not take the script: %s\n%s", out, join)
		}
	}
}

// TestServerOfKubelet protects that a master which boots while others serve asks them, so that it needs no stand-in, that
// one which boots alone asks its own API server, and that a kubelet which asks others turns to its own when
// that is ready. The script of a real master runs, but for its paths and the servers.
func TestServerOfKubelet(t *testing.T) {
	p := example.Plan(t, 3, 1)
	master := render(t, p, p.Machines[0].Name)
	script := file(t, master, "/usr/local/sbin/craton-server")
	for _, verb := range []string{"choose", "turn"} {
		if !slices.ContainsFunc(master.Units, func(u firstboot.Unit) bool {
			return u.Enabled && strings.Contains(u.Contents, "ExecStart=/usr/local/sbin/craton-server "+verb+"\n")
		}) {
			t.Errorf("%s: no unit has the kubelet %s its API server", master.Hostname, verb)
		}
	}
	for _, m := range p.Machines {
		for _, f := range render(t, p, m.Name).Files {
			if f.Path == "/usr/local/sbin/craton-server" && m.Role != contract.Master {
				t.Errorf("%s has no API server of its own to turn to", m.Name)
			}
		}
	}
	ready := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer ready.Close()
	dead := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer dead.Close()
	const own, name = "https://10.32.0.10:443", "https://demo-k8s.example.com:443"
	for _, c := range []struct {
		what, verb string
		own, named *httptest.Server
		before     string
		want       string
		restarts   bool
	}{
		{"others serve", "choose", dead, ready, own, name, false},
		{"nobody serves", "choose", dead, dead, own, own, false},
		{"nobody serves any more", "choose", dead, dead, name, own, false},
		{"its own is ready, and nobody's else", "turn", ready, dead, name, own, true},
		{"it asks its own already", "turn", ready, dead, own, own, false},
	} {
		dir := t.TempDir()
		kubeconfig, ca := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "ca.crt")
		write := func(path, text string, mode os.FileMode) {
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		write(kubeconfig, "clusters:\n- cluster:\n    server: "+c.before+"\n", 0o600)
		write(ca, string(certificatePEM(ready)), 0o600)
		write(filepath.Join(dir, "systemctl"), "#!/bin/sh\necho $* >>"+dir+"/restarts\n", 0o755)
		text := strings.NewReplacer(
			firstboot.KubeletKubeconfig, kubeconfig, firstboot.KubernetesCA, ca,
			"answers 1 ", "answers 20 ", // a busy host takes its time
			"ready demo-k8s.example.com:443 -verify_hostname demo-k8s.example.com", "ready "+c.named.Listener.Addr().String()+" -verify_ip 127.0.0.1",
			"ready 10.32.0.10:443 -verify_ip 10.32.0.10", "ready "+c.own.Listener.Addr().String()+" -verify_ip 127.0.0.1",
		).Replace(script)
		run := exec.Command("bash", "-s", c.verb)
		run.Stdin, run.Env = strings.NewReader(text), append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", c.what, err, out)
		}
		got, err := os.ReadFile(kubeconfig)
		if err != nil || !strings.Contains(string(got), "server: "+c.want+"\n") {
			t.Errorf("%s: expected the kubelet to ask %s: %v\n%s", c.what, c.want, err, got)
		}
		if info, err := os.Stat(kubeconfig); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the kubeconfig has mode %v, %v", c.what, info.Mode(), err)
		}
		if _, err := os.Stat(filepath.Join(dir, "restarts")); (err == nil) != c.restarts {
			t.Errorf("%s: the kubelet was started again: %v, expected %v", c.what, err == nil, c.restarts)
		}
	}
}

// certificatePEM is what a server's certificate is known by.
func certificatePEM(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// TestFirstMasterHasItsCertificate protects how the kubelet of the machine that a cluster begins with gets into it: with the
// certificate that it was given, which is in its place before the kubelet starts again, and not before the API is ready; and
// that a script which could not put it there fails, so that its unit tries again.
// The script of a real master runs, but for its paths and the server.
func TestFirstMasterHasItsCertificate(t *testing.T) {
	p := example.Plan(t, 1, 0)
	opt := options
	opt.KubeletClient = pki.Pair{Cert: []byte("certificate\n"), Key: []byte("key\n")}
	config, err := firstboot.For(p, "demo-master-1", example.Secrets(p), opt)
	if err != nil {
		t.Fatal(err)
	}
	const given = "/etc/kubernetes/kubelet-client.pem"
	if at := slices.IndexFunc(config.Files, func(f firstboot.File) bool { return f.Path == given }); at < 0 || config.Files[at].Mode != 0o600 {
		t.Fatalf("expected %s, for root only", given)
	}
	for _, f := range render(t, p, "demo-master-1").Files {
		if f.Path == given {
			t.Errorf("a machine that asks for its certificate has %s", given)
		}
	}

	dir := t.TempDir()
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 || r.URL.Path != "/readyz" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("given.pem", file(t, config, given), 0o600)
	write("ca.crt", string(certificatePEM(server)), 0o600)
	write("systemctl", "#!/bin/sh\necho $* $(cat "+dir+"/pki/kubelet-client-current.pem 2>/dev/null) >>"+dir+"/done\n", 0o755)
	host, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	script := strings.NewReplacer(
		firstboot.KubeletPKIDir, filepath.Join(dir, "pki"), given, filepath.Join(dir, "given.pem"), firstboot.KubernetesCA, filepath.Join(dir, "ca.crt"),
		"/dev/tcp/10.32.0.10/443", "/dev/tcp/"+host+"/"+port, "10.32.0.10:443", server.Listener.Addr().String(), "10.32.0.10", host,
	).Replace(file(t, config, "/usr/local/sbin/craton-join"))
	join := func() error {
		run := exec.Command("bash", "-s")
		run.Stdin, run.Env = strings.NewReader(script), append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := run.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	// As on a full disk, there is no room for the folder at first.
	write("pki", "", 0o600)
	if err := join(); err == nil {
		t.Error("the certificate cannot be put in its place, and the script says nothing: its unit will not try again")
	}
	if got, err := os.ReadFile(filepath.Join(dir, "done")); err != nil || string(got) != "stop kubelet\nstart kubelet\n" {
		t.Errorf("expected the kubelet to run without its certificate: %v\n%s", err, got)
	}
	if asked.Load() != 3 {
		t.Errorf("the API was asked %d times, expected till it was ready", asked.Load())
	}
	for _, name := range []string{"pki", "done"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := join(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "done")); err != nil || string(got) != "stop kubelet\nstart kubelet certificate key\n" {
		t.Errorf("expected the kubelet to be ended, and started with its certificate: %v\n%s", err, got)
	}
	if _, err := os.Stat(filepath.Join(dir, "given.pem")); err == nil {
		t.Error("what was given is still there: a kubelet that joins again would get an old certificate")
	}
}
