package payload

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"craton.dev/craton/command"
)

func component(t *testing.T, name string) Component {
	t.Helper()
	for _, c := range Components() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no component %s", name)
	return Component{}
}

// Every component must be complete: a version, a licence, a pinned module graph with
// hashes, somewhere to go; and no two may use one name, image or program.
func TestComponentsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	once := func(kind, s string) {
		if seen[kind+s] {
			t.Errorf("%s %s is there twice", kind, s)
		}
		seen[kind+s] = true
	}
	for _, c := range Components() {
		once("component", c.Name)
		if c.Version == "" || c.License == "" || c.Module == "" || len(c.Binaries)+len(c.With)+len(c.Base) == 0 {
			t.Errorf("%s: something is missing: %+v", c.Name, c)
		}
		if c.Image == "" && c.NodeDir == "" && !c.Host {
			t.Errorf("%s goes nowhere", c.Name)
		}
		for _, b := range c.Binaries {
			once("program", b.Name)
		}
		images := c.Names
		if c.Image != "" {
			images = append(images, c.Image)
		}
		for _, name := range images {
			once("image", name)
			if strings.Count(name, ":") != 1 || !strings.Contains(strings.Split(name, "/")[0], ".") {
				t.Errorf("%s: %q is not host/name:tag", c.Name, name)
			}
		}
		if c.Module == module {
			continue
		}
		for _, f := range []string{"module.mod", "module.sum"} {
			data, err := fs.ReadFile(source, "source/"+c.Source+"/"+f)
			if err != nil {
				t.Error(err)
			}
			if !strings.Contains(string(data), c.Module) {
				t.Errorf("%s: %s does not name %s", c.Name, f, c.Module)
			}
			if f == "module.mod" && c.Name != "pause" && !strings.Contains(string(data), " "+c.Version+"\n") {
				t.Errorf("%s: %s has not version %s", c.Name, f, c.Version)
			}
		}
	}
}

// A key that misses an input serves an old build for a new source; one that covers where
// the result goes rebuilds for nothing.
func TestKeyChangesWithInputs(t *testing.T) {
	c := component(t, "cni-plugins")
	key := func(change func(*Component), goVersion string) string {
		c := c
		c.Binaries = slices.Clone(c.Binaries)
		change(&c)
		k, err := componentKey(c, goVersion)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := key(func(*Component) {}, "go1.26.8")
	for what, k := range map[string]string{
		"version":   key(func(c *Component) { c.Version = "v9" }, "go1.26.8"),
		"sources":   key(func(c *Component) { c.Source = "flannel" }, "go1.26.8"),
		"packages":  key(func(c *Component) { c.Binaries[0].Package += "x" }, "go1.26.8"),
		"ldflags":   key(func(c *Component) { c.LDFlags = "-X a=b" }, "go1.26.8"),
		"cgo":       key(func(c *Component) { c.Cgo = true }, "go1.26.8"),
		"tags":      key(func(c *Component) { c.Tags = "x" }, "go1.26.8"),
		"toolchain": key(func(*Component) {}, "go1.26.9"),
	} {
		if k == base {
			t.Errorf("another %s, the same key", what)
		}
	}
	for what, k := range map[string]string{
		"image": key(func(c *Component) { c.Image = "a.b/c:d" }, "go1.26.8"),
		"place": key(func(c *Component) { c.NodeDir = "x"; c.Host = true }, "go1.26.8"),
	} {
		if k != base {
			t.Errorf("another %s, another key", what)
		}
	}
}

// The operator is rebuilt when a source of its own changes, and only then: every `up` of
// a developer would rebuild it otherwise, or, worse, none would.
func TestOwnKey(t *testing.T) {
	tree := t.TempDir()
	write := func(path, content string) {
		path = filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module "+module+"\n")
	write("go.sum", "")
	write("cmd/craton-operator/main.go", "package main\nimport _ \""+module+"/used\"\n")
	write("used/a.go", "package used\n\nimport _ \"embed\"\n\n//go:embed data\nvar x string\n")
	write("used/data/file", "1")
	write("unused/a.go", "package unused\n")
	key := func() string {
		k, err := own{programs: []string{Operator}, tree: tree}.key(Operator, "go1")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := key()
	write("unused/a.go", "package unused // changed\n")
	write("used/a_test.go", "package used\n")
	if key() != base {
		t.Error("changed with a file that the operator is not built from")
	}
	for _, path := range []string{"used/data/file", "used/b.go", "cmd/craton-operator/b.go", "go.sum"} {
		before := key()
		write(path, "package x // more\n")
		if key() == before {
			t.Errorf("the same after %s changed", path)
		}
	}
}

// A program beside craton that cannot run in its image, or is of another build, is refused before
// anything is made of it: such a cluster's API would never answer, and nothing would say why.
func TestOwnFit(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := func(cgo, name, text string) {
		write("main.go", text)
		if _, err := (command.Cmd{
			Name: "go", Args: []string{"build", "-buildvcs=false", "-o", name, "main.go"}, Dir: dir,
			Env: append(os.Environ(), "CGO_ENABLED="+cgo, "GO111MODULE=off"), Timeout: buildTime,
		}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write("script", "#!/bin/sh\n")
	build("0", "static", "package main\nfunc main() {}\n")
	build("1", "dynamic", "package main\nimport \"C\"\nfunc main() {}\n")
	for name, want := range map[string]string{
		"script":  "is no program",
		"dynamic": "needs the host's libraries",
		"static":  "is of build",
	} {
		err := own{programs: []string{name}, dir: dir}.fit()
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)+" "+want) || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = own{programs: []string{filepath.Base(self)}, dir: filepath.Dir(self)}.fit()
	if err != nil && !strings.Contains(err.Error(), "needs the host's libraries") { // as a test with the race detector does
		t.Errorf("of this very build: %v", err)
	}
}

// What a component needs comes with it, and a misspelt name is not taken for "nothing".
func TestChoose(t *testing.T) {
	chosen, image, err := choose([]string{"kube-proxy"})
	if err != nil || !image || !slices.ContainsFunc(chosen, func(c Component) bool { return c.Name == "registry" }) {
		t.Errorf("kube-proxy: %d components, image %v, %v", len(chosen), image, err)
	}
	chosen, image, err = choose([]string{"kubectl"})
	if err != nil || image || len(chosen) != 1 {
		t.Errorf("kubectl: %d components, image %v, %v", len(chosen), image, err)
	}
	chosen, _, err = choose([]string{"e2e-agnhost"})
	if err != nil || !slices.ContainsFunc(chosen, func(c Component) bool { return c.Name == "agnhost" }) || len(bases(chosen)) != 1 {
		t.Errorf("e2e-agnhost: %+v, %v", chosen, err)
	}
	if _, _, err := choose([]string{"kubect"}); err == nil || !strings.Contains(err.Error(), "kubect") {
		t.Errorf("kubect: %v", err)
	}
	if slices.Contains(Default(), "kubeadm") || !slices.Contains(Default(), "kubelet") {
		t.Errorf("by default: %v", Default())
	}
}

// What only upstream's tests need must cost nobody else a build, and what an image is made of
// has to exist.
func TestSuite(t *testing.T) {
	for _, c := range suite() {
		if !c.OnDemand {
			t.Errorf("%s is built for every cluster", c.Name)
		}
		for _, name := range c.With {
			component(t, name)
		}
		for _, folder := range c.Base {
			if files, err := sourceFiles(folder); err != nil || files["setup.sh"] == "" {
				t.Errorf("%s: source/%s: %v", c.Name, folder, err)
			}
		}
	}
}

// small is a component that builds in seconds: one Go program of the CNI plugins.
func small(t *testing.T) Component {
	c := component(t, "cni-plugins")
	for _, b := range c.Binaries {
		if b.Name == "loopback" {
			c.Binaries = []Binary{b}
		}
	}
	return c
}

// Two builds in different folders with different build caches must agree byte for byte:
// only so can anyone check what is in the payload.
func TestBuildsAreReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles from scratch: 20 s")
	}
	for _, c := range []Component{component(t, "pause"), small(t)} {
		var builds [2][]byte
		for i := range builds {
			t.Setenv("GOCACHE", t.TempDir())
			dir := t.TempDir()
			if err := compile(t.Context(), c, dir, t.TempDir()); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(dir, c.Binaries[0].Name))
			if err != nil {
				t.Fatal(err)
			}
			builds[i] = data
		}
		if !bytes.Equal(builds[0], builds[1]) {
			t.Errorf("%s: two builds differ", c.Name)
		}
	}
}

// Two `up` on one host share the work instead of doing it twice, and a later one finds it
// done.
func TestConcurrentBuildsShareTheWork(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles: 20 s")
	}
	opt := Options{Cache: t.TempDir(), Want: []string{"cni-plugins"}}
	states := make(chan State, 99)
	opt.Progress = func(e Event) { states <- e.State }
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			p, err := Build(t.Context(), opt)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(p.HostBin("host-local")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(states)
	count := map[State]int{}
	for s := range states {
		count[s]++
	}
	if count[Started] != 1 || count[Built] != 1 || count[Cached] != 2 {
		t.Errorf("%v", count)
	}
	rows, err := List(t.Context(), opt.Cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if (r.Bytes > 0) != (r.Name == "cni-plugins") {
			t.Errorf("%s: %d bytes", r.Name, r.Bytes)
		}
	}
}

// A module whose hash is not pinned must not be built, whatever it holds.
func TestUnpinnedModuleIsRefused(t *testing.T) {
	c := small(t)
	c.Binaries = []Binary{{Name: "x", Package: "rsc.io/quote"}}
	err := compile(t.Context(), c, t.TempDir(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "rsc.io/quote: import lookup disabled") {
		t.Errorf("got %v", err)
	}
}

// Without a network and without downloaded modules the sentence says so.
func TestNoNetwork(t *testing.T) {
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOPROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "127.0.0.1")
	err := compile(t.Context(), small(t), t.TempDir(), t.TempDir())
	if err == nil {
		t.Fatal("built without modules")
	}
	if got := failure("loopback", t.TempDir(), err).Error(); !strings.Contains(got, "could not be downloaded") {
		t.Error(got)
	}
}

// The table of components must name all of them, in a cache that has none as well.
func TestListWithoutBuilds(t *testing.T) {
	rows, err := List(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(Components())+1 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		if r.Bytes != 0 || r.Kind == "" || r.Version == "" || r.License == "" || r.Module == "" {
			t.Errorf("%+v", r)
		}
	}
}
