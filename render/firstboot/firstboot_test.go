package firstboot_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/contract"
	"craton.dev/craton/golden"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

var options = firstboot.Options{
	PauseImage: "registry.k8s.io/pause:3.10",
	RegistryCA: []byte("CERTIFICATE registry\n"),
	SSHKeys:    []string{"ssh-ed25519 AAAA user@example.com"},
}

func render(t *testing.T, p *plan.Plan, machine string) *firstboot.Config {
	t.Helper()
	opt := options
	if strings.Contains(machine, "master") {
		opt.Manifests = []firstboot.File{{Path: firstboot.ManifestDir + "/etcd.yaml", Mode: 0o600, Contents: []byte("kind: Pod\n")}}
	}
	c, err := firstboot.For(p, machine, example.Secrets(p), opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func file(t *testing.T, c *firstboot.Config, path string) string {
	t.Helper()
	for _, f := range c.Files {
		if f.Path == path {
			return string(f.Contents)
		}
	}
	t.Fatalf("%s has no file %s", c.Hostname, path)
	return ""
}

// TestList protects which files a machine gets, with which mode, and shows a reviewer at
// which of them to look when contents change.
func TestList(t *testing.T) {
	p := example.Plan(t, 1, 1)
	for _, m := range p.Machines {
		c := render(t, p, m.Name)
		var b strings.Builder
		for _, f := range c.Files {
			fmt.Fprintf(&b, "%04o %.8x %s\n", f.Mode, sha256.Sum256(f.Contents), f.Path)
		}
		for _, u := range c.Units {
			fmt.Fprintf(&b, "unit %t %.8x %s\n", u.Enabled, sha256.Sum256([]byte(u.Contents)), u.Name)
		}
		for _, u := range c.Users {
			fmt.Fprintf(&b, "user %s %d keys\n", u.Name, len(u.SSHKeys))
		}
		golden.Check(t, string(m.Role)+".list", b.String())
	}
}

// TestKeys protects the rule that a machine holds no key that it need not have: every
// secret of the cluster is looked for in every file of every machine.
func TestKeys(t *testing.T) {
	p := example.Plan(t, 3, 2)
	s := example.Secrets(p)
	secrets := map[string]string{} // text → who may have it: a machine's name, "masters" or "nobody"
	for name, pair := range s.Pairs {
		owner := "nobody" // the administrator's is on no machine
		for _, id := range p.Identities {
			if id.Name == name && id.Machine != "" {
				owner = id.Machine
			}
		}
		secrets[string(pair.Key)] = owner
	}
	for machine, token := range s.BootstrapTokens {
		secrets[token] = machine
	}
	secrets[string(s.Authorities[plan.KubernetesCA].Key)] = "masters"
	secrets[string(s.Authorities[plan.EtcdCA].Key)] = "nobody"
	secrets[string(s.Authorities[plan.FrontProxyCA].Key)] = "nobody"
	secrets[string(s.Registry.Key)] = "nobody"
	secrets[string(s.ServiceAccount.Key)] = "masters"
	secrets[s.EncryptionKey] = "masters"

	found := map[string]int{}
	for _, m := range p.Machines {
		for _, f := range render(t, p, m.Name).Files {
			text := f.Contents
			if strings.HasSuffix(f.Path, ".kubeconfig") {
				text = decoded(t, text)
			}
			for secret, owner := range secrets {
				if !bytes.Contains(text, []byte(secret)) {
					continue
				}
				found[secret]++
				if f.Mode != 0o600 {
					t.Errorf("%s: %s holds a secret and has mode %04o: expected 0600", m.Name, f.Path, f.Mode)
				}
				if owner != m.Name && !(owner == "masters" && m.Role == contract.Master) {
					t.Errorf("%s: %s holds %q, which is for %s", m.Name, f.Path, secret, owner)
				}
			}
		}
	}
	// Without this, a search that finds nothing would pass.
	for secret, owner := range secrets {
		want := 1
		switch owner {
		case "masters":
			want = 3
		case "nobody":
			want = 0
		}
		if found[secret] != want {
			t.Errorf("%q is in %d files: expected %d", secret, found[secret], want)
		}
	}
}

// decoded is a kubeconfig with its base64 fields' contents after it.
func decoded(t *testing.T, text []byte) []byte {
	t.Helper()
	var c struct {
		Users []struct {
			User struct {
				Key []byte `json:"client-key-data"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	for _, u := range c.Users {
		text = append(bytes.Clone(text), u.User.Key...)
	}
	return text
}

// TestKubelet protects the kubelet's configuration against fields that the kubelet does
// not know, and what differs between roles.
func TestKubelet(t *testing.T) {
	p := example.Plan(t, 1, 1)
	for _, m := range p.Machines {
		var k kubeletv1beta1.KubeletConfiguration
		c := render(t, p, m.Name)
		if err := yaml.UnmarshalStrict([]byte(file(t, c, "/etc/kubernetes/kubelet.yaml")), &k); err != nil {
			t.Fatal(err)
		}
		pods, server := "", "https://demo-k8s.example.com:443"
		if m.Role == contract.Master {
			pods, server = firstboot.ManifestDir, "https://"+m.Address.String()+":443"
		}
		if restarts := k.CrashLoopBackOff.MaxContainerRestartPeriod; (restarts != nil) != (m.Role == contract.Master) {
			t.Errorf("%s: what has ended is started again within %v: expected a limit on masters", m.Name, restarts)
		}
		if k.StaticPodPath != pods {
			t.Errorf("%s: static pods in %q: expected %q", m.Name, k.StaticPodPath, pods)
		}
		if k.Address != m.Address.String() || k.ReadOnlyPort != 0 || k.Port != 10250 || !k.ServerTLSBootstrap || *k.FailCgroupV1 {
			t.Errorf("%s: %+v", m.Name, k)
		}
		if text := file(t, c, "/etc/kubernetes/bootstrap.kubeconfig"); !strings.Contains(text, "server: "+server+"\n") {
			t.Errorf("%s: expected the API at %s in\n%s", m.Name, server, text)
		}
	}
	p.File.Options.ReadOnlyPort = true
	for _, m := range p.Machines {
		want := "readOnlyPort: 0\n" // no clause opens it on other machines than masters
		if m.Role == contract.Master {
			want = "readOnlyPort: 10255\n"
		}
		text := file(t, render(t, p, m.Name), "/etc/kubernetes/kubelet.yaml")
		if !strings.Contains(text, want) {
			t.Errorf("%s: with readOnlyPort in the cluster file, expected %q in\n%s", m.Name, want, text)
		}
		// What a running master is told is what a new one boots with.
		if again, err := firstboot.Kubelet(p, &m); err != nil || again.Path != "/etc/kubernetes/kubelet.yaml" || string(again.Contents) != text {
			t.Errorf("%s: a running kubelet is told another configuration (%v):\n%s", m.Name, err, again.Contents)
		}
	}
}

// TestErrors protects what is refused, and that the error names the thing.
func TestErrors(t *testing.T) {
	p := example.Plan(t, 1, 1)
	pod := firstboot.File{Path: firstboot.ManifestDir + "/a.yaml"}
	noToken, noKey, noEtcd := example.Secrets(p), example.Secrets(p), example.Secrets(p)
	delete(noToken.BootstrapTokens, "demo-worker-1")
	delete(noKey.Pairs, "etcd-server-demo-master-1")
	delete(noEtcd.Authorities, plan.EtcdCA)
	for _, c := range []struct {
		name, machine, want string
		opt                 firstboot.Options
		secrets             int
	}{
		{name: "no such machine", machine: "demo-worker-9", want: `"demo-worker-9"`},
		{name: "static pod on a worker", machine: "demo-worker-1", want: "a.yaml", opt: firstboot.Options{Manifests: []firstboot.File{pod}}},
		{name: "two files", machine: "demo-master-1", want: "a.yaml", opt: firstboot.Options{Manifests: []firstboot.File{pod, pod}}},
		{name: "no token", machine: "demo-worker-1", want: "token of demo-worker-1", secrets: 1},
		{name: "no key", machine: "demo-master-1", want: "etcd-server", secrets: 2},
		{name: "no authority", machine: "demo-master-1", want: "etcd-ca.crt", secrets: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := example.Secrets(p)
			switch c.secrets {
			case 1:
				s = noToken
			case 2:
				s = noKey
			case 3:
				s = noEtcd
			}
			_, err := firstboot.For(p, c.machine, s, c.opt)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: expected an error with %s", err, c.want)
			}
		})
	}
}

// A machine knows the way to the registry of every image of the payload: one under another
// registry's name is never pulled.
func TestRegistriesOfThePayload(t *testing.T) {
	for _, host := range payload.Hosts() {
		if !slices.Contains(firstboot.RegistryHosts(), host) {
			t.Errorf("there are images of %s, and machines know the way to %v only", host, firstboot.RegistryHosts())
		}
	}
}
