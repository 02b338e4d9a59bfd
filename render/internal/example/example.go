// Package example makes the plans and secrets that the tests of the renderers work on. It
// is not for anything but tests: its secrets are text that says what it is.
package example

import (
	"fmt"
	"strings"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// File is a cluster file of so many masters and workers, with further lines of it.
func File(masters, workers int, lines ...string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nname: demo\nsubdomain: example.com\nmasters: %d\nworkers: %d\n%s",
		cluster.APIVersion, cluster.Kind, masters, workers, strings.Join(append(lines, ""), "\n"))
}

// Plan is the plan of the same.
func Plan(t testing.TB, masters, workers int, lines ...string) *plan.Plan {
	t.Helper()
	c, err := cluster.Parse("cluster.yaml", []byte(File(masters, workers, lines...)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Secrets are secrets for a plan: each is text with its own name in it, so that a test can
// tell who got what.
func Secrets(p *plan.Plan) *pki.Secrets {
	pair := func(name string) pki.Pair {
		return pki.Pair{Cert: []byte("CERTIFICATE " + name + "\n"), Key: []byte("PRIVATE KEY " + name + "\n")}
	}
	s := &pki.Secrets{
		Authorities: map[string]pki.Pair{}, Pairs: map[string]pki.Pair{}, BootstrapTokens: map[string]string{},
		ServiceAccount: pair("service-account"), Registry: pair("registry"),
		EncryptionKey: "PRIVATE KEY encryption",
	}
	for _, ca := range []string{plan.KubernetesCA, plan.EtcdCA, plan.FrontProxyCA} {
		s.Authorities[ca] = pair("authority-" + ca)
	}
	for _, id := range p.Identities {
		s.Pairs[id.Name] = pair(id.Name)
	}
	for _, m := range p.Machines {
		s.BootstrapTokens[m.Name] = "TOKEN " + m.Name
	}
	return s
}

// Golden are the plans that golden files are kept for.
func Golden(t testing.TB) map[string]*plan.Plan {
	t.Helper()
	return map[string]*plan.Plan{
		"1+1-document": Plan(t, 1, 1),
		"1+1-minimal":  Plan(t, 1, 1, "profile: minimal"),
		"3+2-document": Plan(t, 3, 2),
	}
}
