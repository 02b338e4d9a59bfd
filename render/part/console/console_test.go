package console

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

func input(t *testing.T, masters int) part.Input {
	t.Helper()
	c := cluster.Default("demo")
	c.Masters, c.Options.SignIn, c.Options.Console = masters, true, true
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return part.Input{Plan: p, Images: func(name string) string { return "example.com/" + name + ":1" }, Secrets: &pki.Secrets{
		Authorities: map[string]pki.Pair{pki.KubernetesCA: {Cert: []byte("authority")}},
		Pairs:       map[string]pki.Pair{plan.IdentityConsole: {Cert: []byte("cert"), Key: []byte("the key")}},
		SignIn:      pki.SignIn{ConsoleClient: "the secret", ConsoleCookies: []byte("the cookies' key")},
	}}
}

// TestObjects protects that the Console has no right and no token of its own, runs on masters as
// nobody, and that what is secret is in its Secret and nowhere else.
func TestObjects(t *testing.T) {
	for masters, replicas := range map[int]int32{1: 1, 3: 2} {
		in := input(t, masters)
		objects, err := objects(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			data, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			switch o := o.(type) {
			case *corev1.Secret:
				if string(o.Data[clientKey]) != "the secret" || string(o.Data[cookiesKey]) != "the cookies' key" {
					t.Errorf("the secret holds %q", o.Data)
				}
				continue
			case *appsv1.Deployment:
				spec := o.Spec.Template.Spec
				c := spec.Containers[0]
				if *o.Spec.Replicas != replicas || len(spec.NodeSelector) != 1 || !*spec.SecurityContext.RunAsNonRoot || !*c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%d masters: %s", masters, data)
				}
				if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
					t.Error("the pod gets a token of its own")
				}
				if want := "--issuer=https://" + in.Plan.Network.Console + "/dex"; !slices.Contains(c.Command, want) {
					t.Errorf("%s is not among %s", want, c.Command)
				}
				if a := spec.HostAliases; len(a) != 1 || a[0].IP != in.Plan.Network.ServiceSignIn.String() {
					t.Errorf("Dex is looked for at %v", a)
				}
			}
			if kind := o.GetObjectKind().GroupVersionKind().Kind; strings.Contains(kind, "Role") {
				t.Errorf("the Console has a %s", kind)
			}
			for _, secret := range []string{"the secret", "the cookies", "the key", "dGhlIGtleQ"} {
				if bytes.Contains(data, []byte(secret)) {
					t.Errorf("%T has %q: %s", o, secret, data)
				}
			}
		}
	}
}

// TestRestart protects that a certificate or key that is issued anew gets into use: pods read
// theirs once.
func TestRestart(t *testing.T) {
	configured := func(in part.Input) string {
		objects, err := objects(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if d, ok := o.(*appsv1.Deployment); ok {
				return d.Spec.Template.Spec.Volumes[0].Secret.SecretName
			}
		}
		t.Fatal("there is no Deployment")
		return ""
	}
	before := configured(input(t, 1))
	if again := configured(input(t, 1)); again != before {
		t.Errorf("the same input gives %s and %s", before, again)
	}
	in := input(t, 1)
	in.Secrets.Pairs[plan.IdentityConsole] = pki.Pair{Cert: []byte("another"), Key: []byte("the key")}
	if after := configured(in); after == before {
		t.Error("another certificate changes nothing")
	}
}

// TestMissing protects that there is no Console which could not serve.
func TestMissing(t *testing.T) {
	in := input(t, 1)
	in.Secrets.Pairs = nil
	if _, err := objects(in); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("without a certificate: %v", err)
	}
}
