// Package architecture tests what no compiler does: which package may import which, that
// each says what it is for, and that each dependency has its reason in docs. It has no
// other code, and nothing imports it.
package architecture

import (
	"fmt"
	"go/build"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rule says what some packages may not import. Patterns are paths below the module, or of
// other modules and the standard library, where "x/..." is x and all below it and "ours"
// is every package of the module. Tests' imports are free.
type rule struct {
	packages string
	mayNot   []string
	// except are imports that are allowed all the same or, in a rule about all packages,
	// the packages that it is not about.
	except []string
	reason string
}

// rules are the arrows of docs/architecture.md.
var rules = []rule{
	{"contract", []string{"ours"}, nil,
		"it is the document as data: everything else follows from it"},
	{"cluster", []string{"ours"}, nil,
		"a cluster file can be read and checked by programs that know nothing else of craton"},
	{"plan", []string{"ours"}, []string{"contract", "cluster"},
		"a plan is a function of the contract and the cluster file, and of nothing else"},
	{"pki", []string{"ours"}, []string{"cluster", "plan", "durable"},
		"the plan says which certificates there are; who uses them is no matter here"},
	{"render/...", []string{"ours"}, []string{"contract", "cluster", "plan", "pki", "render/..."},
		"what a plan looks like in a format does not depend on a platform or a host"},
	{"payload/...", []string{"ours"}, []string{"payload/...", "command", "disk"},
		"components are built in the same way for every cluster"},
	{"machines", []string{"ours"}, []string{"plan"},
		"the interface of platforms decides nothing"},
	{"machines/...", []string{"bootstrap", "operate/...", "doctor", "cli", "payload/..."}, nil,
		"a platform starts machines; it does not know Kubernetes, nor where images come from"},
	{"operate/...", []string{"ours"}, []string{"operate/...", "render/manifests/...", "snapshot", "durable"},
		"the operator is small and runs inside the cluster: what it reads there is all that it knows; " +
			"it takes the snapshots that others check"},
	{"metrics", []string{"ours"}, nil,
		"a format of numbers: what they mean is others' matter"},
	{"health", []string{"ours"}, []string{"render/manifests/..."},
		"it judges what others have read, for the command line and the Console alike"},
	{"health", effects, nil, "it reads nothing itself"},
	{"console", []string{"ours"}, []string{"console/...", "contract", "plan", "health", "render/manifests/..."},
		"the Console shows what the cluster says; what the command line can do from outside, it cannot"},
	{"console/kube", []string{"ours"}, nil,
		"it asks the API as a person, whatever for"},
	{"console/signin", []string{"ours"}, nil,
		"who somebody is does not depend on what they look at"},
	{"console/view", []string{"ours"}, nil,
		"templates decide nothing"},
	{"console/assets", []string{"ours"}, nil,
		"styles and scripts are files"},
	{"snapshot", []string{"ours"}, nil,
		"a file of etcd's can be looked at on any host, by whoever took or got it"},
	{"backup", []string{"ours"}, []string{"snapshot"},
		"a backup's format does not depend on how it is taken, nor on what is done with it"},
	{"bootstrap", []string{"operate/...", "doctor", "cli"}, nil,
		"the operator is reached by the cluster's API only"},
	{"packets", []string{"ours"}, nil,
		"it is mathematics: what packets mean is others' matter"},
	{"filter/...", []string{"ours"}, []string{"filter/...", "packets"},
		"rules are read as they are: what they should be is no matter there"},
	{"cloud/...", []string{"ours"}, []string{"cloud/...", "filter", "packets"},
		"groups are read as they are, without asking a cloud; what they should be is no matter there"},
	{"audit", []string{"ours"}, []string{"contract", "cluster", "plan", "packets", "filter/...", "cloud/..."},
		"somebody else's rules are compared with the contract, whatever platform there is"},
	{"signin", []string{"ours"}, nil,
		"a person's side needs no cluster on this host, and works with any provider"},
	{"verify", []string{"bootstrap", "operate/...", "doctor", "payload/...", "cli", "bench/..."}, nil,
		"what is gets compared with the plan, not with how it came about"},
	{"operation", []string{"bootstrap", "operate/...", "doctor", "payload/...", "cli", "bench/...", "verify", "prove"}, nil,
		"an operation is tried on whatever cluster there is, however it came about"},
	{"prove", []string{"bootstrap", "operate/...", "doctor", "payload/...", "cli", "bench/...", "machines/..."}, nil,
		"it takes clauses out and puts them back, wherever that is; it makes no cluster"},
	{"minimum", []string{"bootstrap", "operate/...", "doctor", "payload/...", "cli", "bench/...", "machines/..."}, nil,
		"it says what is tried next, wherever that is; it makes no cluster"},
	{"doctor", []string{"ours"}, []string{"command", "disk", "namespace"},
		"it has to run on a host where nothing else of craton can"},
	{"disk", []string{"ours"}, nil,
		"it looks at file systems, whatever is on them"},
	{"durable", []string{"ours"}, nil,
		"it writes files, whatever is in them"},
	{"namespace", []string{"ours"}, nil,
		"it enters namespaces, whosever they are"},
	{"command", []string{"ours"}, nil,
		"it runs programs, whatever they are"},
	{"...", []string{"cli"}, []string{"cmd/craton"},
		"the command line is thin: what it does can be used without it"},
	{"...", []string{"architecture"}, nil,
		"it holds tests only"},
	{"...", []string{"golden"}, nil,
		"it is for tests: what imports it has their flag"},

	{"packets", effects, nil, "the same rules give the same answer, on any host"},
	{"filter/...", effects, nil, "a file of rules can be read on any host, without running what wrote it"},
	{"cloud/...", effects, nil, "a document can be read on any host"},
	{"audit", effects, nil, "the same documents give the same report, on any host"},
	{"contract", effects, nil, "it is pure data"},
	{"plan", effects, nil, "the same input gives the same bytes, on any host, at any time"},
	{"render/...", effects, nil, "the same input gives the same bytes, on any host"},
	{"contract", []string{"time"}, nil, "it is pure data"},
	{"plan", []string{"time"}, nil, "a plan does not depend on when it is made"},
	{"...", []string{"os/exec"}, []string{"command", "machines/local", "doctor", "payload", "bench/..."},
		"programs are started by package command, with a time limit and an error that shows the command; the " +
			"embedded platform and the benchmarks keep some running, doctor and payload only ask whether one is missing"},
	{"...", []string{"github.com/vishvananda/..."}, []string{"machines/local", "doctor", "verify", "bench/...", "namespace"},
		"the host's network is touched in one package; others try it out, look at it or measure beside it"},
	{"cli", []string{"k8s.io/..."}, nil,
		"the command line decides nothing about the cluster"},
}

// effects are the packages by which a program reaches out of itself.
var effects = []string{"os/...", "net/http", "math/rand/...", "crypto/rand", "syscall", "golang.org/x/sys/...", "k8s.io/client-go/..."}

// TestImports protects the arrows: a package may use those to its left, never those to its
// right.
func TestImports(t *testing.T) {
	packages := tree(t)
	for _, v := range violations(packages, rules) {
		t.Error(v)
	}
	for _, r := range rules {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(packages)), func(p string) bool { return match(r.packages, p) }) {
			t.Errorf("there is no package %s any more: remove its rule", r.packages)
		}
	}
}

// TestViolationsAreFound protects from rules that hold whatever the tree looks like: each
// fails once something that it forbids is imported.
func TestViolationsAreFound(t *testing.T) {
	for _, r := range rules {
		for _, pattern := range r.mayNot {
			importer, imported := strings.Replace(r.packages, "...", "some", 1), strings.Replace(pattern, "...", "some", 1)
			if pattern == "ours" {
				imported = "some"
			}
			if !standard(imported) {
				imported = absolute(imported)
			}
			packages := map[string]*build.Package{importer: {Imports: []string{imported}}}
			if len(violations(packages, []rule{r})) == 0 {
				t.Errorf("%s imports %s, but the rule about %s does not see it", importer, imported, r.packages)
			}
			if len(r.except) > 0 {
				packages[importer].Imports[0] = module + "/" + strings.TrimSuffix(r.except[0], "/...")
				if found := violations(packages, []rule{r}); pattern == "ours" && len(found) > 0 {
					t.Errorf("an exception does not count: %s", found[0])
				}
			}
		}
	}
}

// TestPackagesSayWhatTheyAreFor: a doc comment is the first that a stranger reads in a
// folder, and a few words do not tell what a package is not for.
func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	for name, p := range tree(t) {
		doc := documentation(t, name)
		start := "Package " + strings.TrimSuffix(p.Name, "_test") + " "
		if p.Name == "main" {
			start = "Command " + path.Base(name) + " "
		}
		if !strings.HasPrefix(doc, start) {
			t.Errorf("%s: its doc comment should start with %q, but is %q", name, start, firstLine(doc))
		} else if n := len(strings.Fields(doc)); n < 10 {
			t.Errorf("%s: its doc comment has %d words only: say what it is for and what it is not", name, n)
		}
	}
}

const module = "craton.dev/craton"

// root is the tree's.
const root = ".."

// tree reads the imports of every package, by its path below the module. It reads files
// itself, rather than ask the go command, so that go test knows what its result hangs on.
func tree(t *testing.T) map[string]*build.Package {
	t.Helper()
	packages := map[string]*build.Package{}
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if dir != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
			return fs.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		if _, none := err.(*build.NoGoError); none {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		below, err := filepath.Rel(root, dir)
		packages[filepath.ToSlash(below)] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("found %d packages only: this test looks in the wrong place", len(packages))
	}
	return packages
}

// violations are sentences, sorted.
func violations(packages map[string]*build.Package, rules []rule) []string {
	var found []string
	for name, p := range packages {
		for _, r := range rules {
			if !match(r.packages, name) {
				continue
			}
			for _, imported := range p.Imports {
				below, ours := strings.CutPrefix(imported, module+"/")
				forbidden := slices.ContainsFunc(r.mayNot, func(pattern string) bool {
					return pattern == "ours" && ours || match(pattern, below)
				})
				// An exception is an import; of a rule about all packages, an importer.
				excepted := slices.ContainsFunc(r.except, func(pattern string) bool {
					if r.packages == "..." {
						return match(pattern, name)
					}
					return match(pattern, below)
				})
				if forbidden && !excepted && below != name {
					found = append(found, fmt.Sprintf("%s may not import %s: %s", name, imported, r.reason))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// match tells whether a path is one that a pattern means.
func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if parent, all := strings.CutSuffix(pattern, "/..."); all {
		return name == parent || strings.HasPrefix(name, parent+"/")
	}
	return name == pattern
}

// standard tells packages of the standard library and of other modules from ours.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return strings.Contains(first, ".") || slices.Contains([]string{"os", "net", "math", "crypto", "syscall", "time"}, first)
}

func absolute(name string) string { return module + "/" + name }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
