package firstboot_test

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

// TestJoiningMaster protects how a master joins that has no API server yet: by the API's name, once its member of etcd
// has a vote, and that its kubelet turns to the machine's own API server then; and that a master which begins
// asks no other.
func TestJoiningMaster(t *testing.T) {
	p := example.Plan(t, 3, 0)
	own := "https://" + p.Machines[1].Address.String() + ":443"
	const name, script = "https://demo-k8s.example.com:443", "/usr/local/sbin/craton-own-api"
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
		unit := slices.ContainsFunc(config.Units, func(u firstboot.Unit) bool {
			return u.Enabled && strings.Contains(u.Contents, "ExecStart="+script+"\n")
		})
		if unit != c.opt.Joins {
			t.Errorf("the kubelet turns to the machine's own API server: %v, expected %v", unit, c.opt.Joins)
		}
		scripts := []string{join}
		if unit {
			turn := file(t, config, script)
			if !strings.Contains(turn, "s|server: .*|server: "+own+"|") {
				t.Errorf("expected the kubelet to turn to %s in\n%s", own, turn)
			}
			scripts = append(scripts, turn)
		}
		for _, text := range scripts {
			check := exec.Command("bash", "-n")
			check.Stdin = strings.NewReader(text)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("bash does not take the script: %s\n%s", out, text)
			}
		}
	}
}
