package dex

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

func input(t *testing.T, masters int, change func(*cluster.SignIn)) part.Input {
	t.Helper()
	c := cluster.Default("demo")
	c.Masters, c.Options.SignIn = masters, true
	if change != nil {
		change(&c.SignIn)
	}
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return part.Input{Plan: p, Images: func(name string) string { return "example.com/" + name + ":1" }, Secrets: &pki.Secrets{
		Pairs:  map[string]pki.Pair{plan.IdentitySignIn: {Cert: []byte("cert"), Key: []byte("the key")}},
		SignIn: pki.SignIn{FirstAdministrator: "the hash", ConsoleClient: "the secret", Files: map[string][]byte{"/f": []byte("the word\n")}},
	}}
}

// What is secret is in a Secret and nowhere else; Dex runs on masters, on two where there are
// several, as nobody and with no right to anything but its own state.
func TestObjects(t *testing.T) {
	for masters, replicas := range map[int]int32{1: 1, 3: 2} {
		in := input(t, masters, func(s *cluster.SignIn) {
			s.GitHub = []cluster.GitHub{{ID: "gh", Name: "G", ClientID: "c", ClientSecretFile: "/f", Organizations: []string{"o"}}}
		})
		objects, err := objects(in)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, o := range objects {
			data, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			switch o := o.(type) {
			case *corev1.Secret:
				seen["secret"] = true
				for _, want := range []string{"the hash", "the secret", `"the word"`} {
					if !bytes.Contains(o.Data[configKey], []byte(want)) {
						t.Errorf("the secret has no %s", want)
					}
				}
				continue
			case *appsv1.Deployment:
				seen["deployment"] = true
				spec := o.Spec.Template.Spec
				if *o.Spec.Replicas != replicas || len(spec.NodeSelector) != 1 || !*spec.SecurityContext.RunAsNonRoot || !*spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%d masters: %s", masters, data)
				}
			case *rbacv1.Role:
				seen["role"] = true
				for _, r := range o.Rules {
					if !slices.Equal(r.APIGroups, []string{group}) || slices.Contains(r.Verbs, "*") {
						t.Errorf("Dex may do %+v", r)
					}
				}
			case *corev1.Service:
				seen["service"] = true
				if o.Spec.ClusterIP != in.Plan.Network.ServiceSignIn.String() {
					t.Errorf("its service is at %s, API servers look for it at %s", o.Spec.ClusterIP, in.Plan.Network.ServiceSignIn)
				}
			}
			for _, secret := range []string{"the hash", "the secret", "the word", "the key", "dGhlIGtleQ"} {
				if bytes.Contains(data, []byte(secret)) {
					t.Errorf("%T has %q: %s", o, secret, data)
				}
			}
		}
		if len(seen) != 4 {
			t.Errorf("seen only %v", seen)
		}
	}
}

// Each group has the role of the cluster file and no other; a role that nobody has any more has
// an empty binding, which takes it away.
func TestRoles(t *testing.T) {
	bound := func(change func(*cluster.SignIn)) map[string][]string {
		out := map[string][]string{}
		for _, o := range roles(input(t, 1, change).Plan.File) {
			if b, ok := o.(*rbacv1.ClusterRoleBinding); ok {
				out[b.RoleRef.Name] = []string{}
				for _, s := range b.Subjects {
					if s.Kind != rbacv1.GroupKind || s.APIGroup != rbacv1.GroupName {
						t.Errorf("%s is bound to %+v", b.Name, s)
					}
					out[b.RoleRef.Name] = append(out[b.RoleRef.Name], s.Name)
				}
			}
		}
		return out
	}
	some := bound(func(s *cluster.SignIn) {
		s.Roles = []cluster.Role{{Group: "local:ops", Role: cluster.RoleAdmin}, {Group: "dir:system:masters", Role: cluster.RoleView}, {Group: "local:guests", Role: cluster.RoleNone}}
	})
	none := bound(func(s *cluster.SignIn) { s.FirstAdministrator = false })
	for role, want := range map[string][]string{
		"cluster-admin": {"sign-in:local:administrators", "sign-in:local:ops"},
		"view":          {"sign-in:dir:system:masters"}, viewMore: {"sign-in:dir:system:masters"},
	} {
		if !slices.Equal(some[role], want) {
			t.Errorf("%s is for %v, want %v", role, some[role], want)
		}
		if got, ok := none[role]; !ok || len(got) != 0 {
			t.Errorf("with no roles, %s is for %v (%t)", role, got, ok)
		}
	}
	if len(some) != 3 {
		t.Errorf("bound are %v", some)
	}
}

// A secret that was not read is an error and not an empty secret; without the certificate or the
// authority there is no half of a configuration.
func TestMissing(t *testing.T) {
	in := input(t, 1, func(s *cluster.SignIn) { s.OIDC = []cluster.OIDC{{ID: "a", ClientSecretFile: "/other"}} })
	if _, err := objects(in); err == nil || !strings.Contains(err.Error(), "/other was not read") {
		t.Errorf("a file that was not read: %v", err)
	}
	in = input(t, 1, nil)
	in.Secrets.Pairs = nil
	if _, err := objects(in); err == nil || !strings.Contains(err.Error(), "no certificate for dex") {
		t.Errorf("no certificate: %v", err)
	}
	// A first administrator whose password nobody has seen is not there.
	in = input(t, 1, nil)
	in.Secrets.SignIn.FirstAdministrator = ""
	config, err := Config(in.Plan, in.Secrets, Storage{Type: "memory"}, Serve{})
	if err != nil || bytes.Contains(config, []byte("first-administrator")) {
		t.Errorf("%v %s", err, config)
	}
}
