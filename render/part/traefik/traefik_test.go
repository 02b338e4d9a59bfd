package traefik

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

func input(t *testing.T, change func(*cluster.Cluster)) part.Input {
	t.Helper()
	c := cluster.Default("demo")
	c.Workers, c.Options.Ingress = 1, true
	if change != nil {
		change(c)
	}
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return part.Input{Plan: p, Images: func(name string) string { return "example.com/" + name + ":1" }, Secrets: &pki.Secrets{
		Authorities: map[string]pki.Pair{pki.KubernetesCA: {Cert: []byte("authority")}},
		Pairs:       map[string]pki.Pair{plan.IdentityIngress: {Cert: []byte("cert"), Key: []byte("the key")}},
	}}
}

// TestWays protects where the ingress is: by node ports on masters in the network of pods, with the
// document's three ports; by host ports on infra machines, or else on workers, in the machine's.
// Its key is in its Secret and nowhere else.
func TestWays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*cluster.Cluster)
		clause string
		host   bool
	}{
		"node ports":            {nil, "master.machine.kubelet", false},
		"host ports on workers": {func(c *cluster.Cluster) { c.Ingress = "hostPort" }, "worker.machine.kubelet", true},
		"host ports on infra": {func(c *cluster.Cluster) { c.Ingress, c.Infra, c.LoadBalancer = "hostPort", 1, false },
			"infra.machine.label", true},
	} {
		label, _, err := part.MachineLabel(c.clause)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := objects(input(t, c.change))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var ports []int32
		for _, o := range objects {
			data, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			switch o := o.(type) {
			case *corev1.Secret:
				if !bytes.Contains(o.Data[configFile], []byte("the key")) {
					t.Errorf("%s: the secret is %s", name, o.Data[configFile])
				}
				continue
			case *appsv1.DaemonSet:
				pod := o.Spec.Template.Spec
				if _, ok := pod.NodeSelector[label]; !ok || pod.HostNetwork != c.host {
					t.Errorf("%s: it is on %v, in the machine's network: %t", name, pod.NodeSelector, pod.HostNetwork)
				}
				believes := slices.ContainsFunc(pod.Containers[0].Command, func(arg string) bool { return strings.Contains(arg, "proxyprotocol") })
				if believes == c.host {
					t.Errorf("%s: it believes a load balancer: %t", name, believes)
				}
			case *corev1.Service:
				for _, p := range o.Spec.Ports {
					ports = append(ports, p.NodePort)
				}
			}
			if bytes.Contains(data, []byte("the key")) || bytes.Contains(data, []byte("dGhlIGtleQ")) {
				t.Errorf("%s: %T has the key", name, o)
			}
		}
		want, err := part.Ports("master.ingress.tectonic")
		if err != nil {
			t.Fatal(err)
		}
		if c.host && ports != nil || !c.host && (len(ports) != 3 || ports[0] != int32(want.First) || ports[2] != int32(want.Last)) {
			t.Errorf("%s: the node ports are %v", name, ports)
		}
	}
}

// TestNowhere protects that there is no half of an ingress: without the option, and without its
// certificate.
func TestNowhere(t *testing.T) {
	in := input(t, func(c *cluster.Cluster) { c.Options.Ingress = false })
	if _, err := objects(in); err == nil || !strings.Contains(err.Error(), "options.ingress") {
		t.Errorf("off: %v", err)
	}
	in = input(t, nil)
	in.Secrets.Pairs = nil
	if _, err := objects(in); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("no certificate: %v", err)
	}
}

// TestCheck protects that what is asked is the user's whole way: from the user network, by name.
func TestCheck(t *testing.T) {
	all, err := checks(input(t, nil).Plan)
	if err != nil || len(all) != 1 || all[0].From != contract.UserNetwork || all[0].URL != "https://demo.cluster.test"+healthPath {
		t.Errorf("%+v %v", all, err)
	}
}

// TestGateway protects that Gateway objects are served where the option asks for that, with their kinds
// of the version that the payload's Traefik knows; and that nothing of it is there otherwise.
func TestGateway(t *testing.T) {
	module, err := os.ReadFile("../../../payload/source/traefik/module.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`sigs.k8s.io/gateway-api (v[^ ]+)`).FindStringSubmatch(string(module))
	for _, on := range []bool{true, false} {
		objects, err := objects(input(t, func(c *cluster.Cluster) { c.Options.Gateway = on }))
		if err != nil {
			t.Fatal(err)
		}
		all, err := json.Marshal(objects)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(all, []byte(gatewayGroup)) || bytes.Contains(all, []byte("kubernetesgateway")); got != on {
			t.Errorf("on: %t, Gateway objects are spoken of: %t", on, got)
		}
		if want := `"gateway.networking.k8s.io/bundle-version":"` + version[1] + `"`; on && bytes.Count(all, []byte(want)) != 6 {
			t.Errorf("six kinds are expected with %s: run scripts/gateway-definitions", want)
		}
	}
}
