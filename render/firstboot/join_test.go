package firstboot_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/contract"
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
		if !strings.Contains(join, "-connect "+c.host+":443 ") {
			t.Errorf("expected the API to be asked at %s in\n%s", c.host, join)
		}
		vote, ask := strings.Index(join, "|| ready 127.0.0.1 2381 "), strings.Index(join, "openssl")
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
