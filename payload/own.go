package payload

import (
	"cmp"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"craton.dev/craton/command"
)

// The operator, the checkpointer and the Console are this project's own programs, so they
// have no pinned graph in source/. They have to be of the same build as the craton that talks to
// them, so:
//   - where they are beside the running craton, as an installation has them, those files go
//     into the image;
//   - otherwise (go run, go test, a development build) they are built from the source tree
//     that this craton was built from.

// module is this project's own.
const module = "craton.dev/craton"

// own is where these programs come from: a folder that has them, or a source tree.
type own struct {
	programs  []string
	dir, tree string
}

// findOwn looks for both. The error says what to do.
func findOwn(c Component) (own, error) {
	o := own{}
	for _, b := range c.Binaries {
		o.programs = append(o.programs, b.Name)
	}
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Dir(exe)
		if !slices.ContainsFunc(o.programs, func(name string) bool {
			info, err := os.Stat(filepath.Join(dir, name))
			return err != nil || !info.Mode().IsRegular()
		}) {
			o.dir = dir
			return o, o.fit()
		}
	}
	var trees []string
	if _, file, _, ok := runtime.Caller(0); ok {
		trees = append(trees, filepath.Dir(filepath.Dir(file))) // no use when built with -trimpath
	}
	if dir, err := os.Getwd(); err == nil {
		for ; dir != "/"; dir = filepath.Dir(dir) {
			trees = append(trees, dir)
		}
	}
	for _, tree := range trees {
		data, err := os.ReadFile(filepath.Join(tree, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module "+module+"\n") {
			o.tree = tree
			return o, nil
		}
	}
	return own{}, fmt.Errorf("%s are not beside craton, and craton's source tree is not here: put these programs into one folder",
		strings.Join(o.programs, " and "))
}

// fit refuses programs beside craton that could not do their work, or not with this craton. Found
// out by the cluster, it would be an API that never answers.
func (o own) fit() error {
	self, _ := debug.ReadBuildInfo()
	for _, name := range o.programs {
		path := filepath.Join(o.dir, name)
		fault := ""
		if dynamic, err := isDynamic(path); err != nil {
			fault = fmt.Sprintf("is no program: %v", err)
		} else if dynamic {
			fault = "needs the host's libraries, and its image has none"
		} else if info, err := buildinfo.ReadFile(path); err != nil {
			fault = fmt.Sprintf("is not of this project: %v", err)
		} else if self != nil && info.Main.Version != self.Main.Version {
			fault = fmt.Sprintf("is of build %s, craton of %s", cmp.Or(info.Main.Version, "unknown"), self.Main.Version)
		}
		if fault != "" {
			return fmt.Errorf("%s %s: build all programs together with CGO_ENABLED=0, or remove it where craton's source tree is here: craton builds its own then", path, fault)
		}
	}
	return nil
}

// isDynamic tells whether a program is started by a dynamic linker.
func isDynamic(path string) (bool, error) {
	f, err := elf.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }), nil
}

// key changes with the files, or with any source of the tree that they are built from.
func (o own) key(component, goVersion string) (string, error) {
	h := sha256.New()
	if o.dir != "" {
		for _, name := range o.programs {
			if err := hashFile(h, filepath.Join(o.dir, name)); err != nil {
				return "", err
			}
		}
		return key(component, hex.EncodeToString(h.Sum(nil)))
	}
	files := map[string]bool{"go.mod": true, "go.sum": true}
	for _, name := range o.programs {
		dirs, err := ownPackages(o.tree, "cmd/"+name)
		if err != nil {
			return "", err
		}
		for _, dir := range dirs {
			more, err := packageFiles(o.tree, dir)
			if err != nil {
				return "", err
			}
			for _, file := range more {
				files[file] = true
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintln(h, file)
		if err := hashFile(h, filepath.Join(o.tree, file)); err != nil {
			return "", err
		}
	}
	return key(component, goVersion, hex.EncodeToString(h.Sum(nil)))
}

// build puts the programs into dir; work is a folder for the meantime.
func (o own) build(ctx context.Context, c Component, dir, work string) error {
	for _, name := range o.programs {
		out := filepath.Join(dir, name)
		if o.dir != "" {
			data, err := os.ReadFile(filepath.Join(o.dir, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(out, data, 0o755); err != nil {
				return err
			}
			continue
		}
		if _, err := (command.Cmd{
			Name: "go",
			Args: []string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags(c.LDFlags), "-o", out, "./cmd/" + name},
			Dir:  o.tree, Env: append(goEnv(false), "TMPDIR="+work), Timeout: buildTime, Attr: dieWithUs(),
		}).Run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ownPackages are the folders of this module's packages that the one in dir is built
// from, itself included, sorted. `go list -deps` says the same, ten times slower.
func ownPackages(tree, dir string) ([]string, error) {
	seen := map[string]bool{dir: true}
	for queue := []string{dir}; len(queue) > 0; queue = queue[1:] {
		entries, err := os.ReadDir(filepath.Join(tree, queue[0]))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(tree, queue[0], e.Name()), nil, parser.ImportsOnly)
			if err != nil {
				return nil, err
			}
			for _, i := range f.Imports {
				path, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module+"/")
				if ok && !seen[path] {
					seen[path] = true
					queue = append(queue, path)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// packageFiles are the files of one package, with those below its folder where it embeds
// some.
func packageFiles(tree, dir string) ([]string, error) {
	var files []string
	embeds := false
	entries, err := os.ReadDir(filepath.Join(tree, dir))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.Type().IsRegular() || strings.HasSuffix(path, "_test.go") {
			continue
		}
		files = append(files, path)
		if strings.HasSuffix(path, ".go") && !embeds {
			data, err := os.ReadFile(filepath.Join(tree, path))
			if err != nil {
				return nil, err
			}
			embeds = strings.Contains(string(data), "\n//go:embed ")
		}
	}
	if !embeds {
		return files, nil
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "testdata" {
			continue
		}
		err := filepath.WalkDir(filepath.Join(tree, dir, e.Name()), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, strings.TrimPrefix(path, tree+"/"))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
