package parts

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

// everything is the plan of a cluster with every option on.
func everything(t *testing.T) *plan.Plan {
	t.Helper()
	file, err := cluster.Parse("all.yaml", []byte("name: demo\nuserNetwork: 10.0.0.0/24\noptions:\n"+options(t)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// options turns on all that the contract's components may be chosen by.
func options(t *testing.T) string {
	t.Helper()
	seen := map[string]bool{}
	var b strings.Builder
	for _, c := range contract.Components() {
		name, ok := strings.CutPrefix(c.Option, "options.")
		if ok && !seen[name] {
			seen[name] = true
			b.WriteString("  " + name + ": true\n")
		}
	}
	if b.Len() == 0 {
		t.Fatal("no component has an option")
	}
	return b.String()
}

// TestNames protects that a part can be found: by the contract's component of its name, and
// by components of the payload that exist. What is not in every cluster is built on demand,
// and what is in every one is not.
func TestNames(t *testing.T) {
	components, built := map[string]contract.Component{}, map[string]payload.Component{}
	for _, c := range contract.Components() {
		components[c.Name] = c
	}
	for _, c := range payload.Components() {
		built[c.Name] = c
	}
	everywhere := map[string]bool{} // of the payload, what parts of every cluster run
	for _, one := range All() {
		for _, name := range one.Payload {
			everywhere[name] = everywhere[name] || components[one.Name].Condition == contract.Always
		}
	}
	seen := map[string]bool{}
	for _, one := range All() {
		if seen[one.Name] {
			t.Errorf("%s is there twice", one.Name)
		}
		seen[one.Name] = true
		if _, ok := components[one.Name]; !ok {
			t.Errorf("%s: the contract has no such component", one.Name)
		}
		for _, name := range one.Payload {
			b, ok := built[name]
			if !ok || b.Image == "" {
				t.Errorf("%s: the payload has no image of %s", one.Name, name)
			}
			if b.OnDemand == everywhere[name] {
				t.Errorf("%s: built on demand: %v; in every cluster: %v", name, b.OnDemand, everywhere[name])
			}
		}
	}
}

// TestObjects protects what every part keeps to: it takes no image but those that it names,
// so that each is built before it is pulled; its objects have kinds and names of their own;
// and its checks ask one of the plan's addresses or names.
func TestObjects(t *testing.T) {
	p := everything(t)
	secrets, err := pki.Ensure(t.TempDir(), p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(Chosen(p)), len(All()); got != want {
		t.Errorf("%d of %d parts are chosen by a file with every option", got, want)
	}
	owner := map[string]string{}
	for _, one := range All() {
		var taken []string
		objects, err := one.Objects(part.Input{Plan: p, Secrets: secrets, Images: func(name string) string {
			taken = append(taken, name)
			return payload.Image(name)
		}})
		if err != nil {
			t.Fatalf("%s: %v", one.Name, err)
		}
		if len(taken) == 0 {
			t.Errorf("%s runs no image", one.Name)
		}
		for _, name := range taken {
			if !slices.Contains(one.Payload, name) {
				t.Errorf("%s runs %s, which it does not name", one.Name, name)
			}
		}
		for _, o := range objects {
			m, err := meta.Accessor(o)
			if err != nil {
				t.Fatal(err)
			}
			if kind := o.GetObjectKind().GroupVersionKind(); !slices.Contains(Kinds(), kind) {
				t.Errorf("%s has a %s, which would stay when it is turned off: add it to Kinds", one.Name, kind)
			}
			id := o.GetObjectKind().GroupVersionKind().String() + " " + m.GetNamespace() + "/" + m.GetName()
			if owner[id] != "" {
				t.Errorf("%s is of %s and of %s", id, owner[id], one.Name)
			}
			owner[id] = one.Name
		}
		if one.Checks == nil {
			continue
		}
		checks, err := one.Checks(p)
		if err != nil || len(checks) == 0 {
			t.Errorf("%s: %d checks, %v", one.Name, len(checks), err)
		}
	}
}
