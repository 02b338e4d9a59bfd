package payload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"craton.dev/craton/command"
)

// The operator is this project's own program, so it has no pinned graph in source/. It
// has to be of the same build as the craton that talks to it, so:
//   - where craton-operator is beside the running craton, as an installation has it, that
//     file goes into the image;
//   - otherwise (go run, go test, a development build) it is built from the source tree
//     that this craton was built from.

// module is this project's own.
const module = "craton.dev/craton"

// operator is where the operator's program comes from: a file or a source tree.
type operator struct{ file, tree string }

// findOperator looks for both. The error says what to do.
func findOperator() (operator, error) {
	if exe, err := os.Executable(); err == nil {
		file := filepath.Join(filepath.Dir(exe), Operator)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return operator{file: file}, nil
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
			return operator{tree: tree}, nil
		}
	}
	return operator{}, fmt.Errorf("%s is not beside craton, and craton's source tree is not here: put both programs into one folder", Operator)
}

// key changes with the file, or with any source of the tree that it is built from.
func (o operator) key(goVersion string) (string, error) {
	h := sha256.New()
	if o.file != "" {
		if err := hashFile(h, o.file); err != nil {
			return "", err
		}
		return key(Operator, hex.EncodeToString(h.Sum(nil)))
	}
	dirs, err := ownPackages(o.tree, "cmd/"+Operator)
	if err != nil {
		return "", err
	}
	files := []string{"go.mod", "go.sum"}
	for _, dir := range dirs {
		more, err := packageFiles(o.tree, dir)
		if err != nil {
			return "", err
		}
		files = append(files, more...)
	}
	for _, file := range files {
		fmt.Fprintln(h, file)
		if err := hashFile(h, filepath.Join(o.tree, file)); err != nil {
			return "", err
		}
	}
	return key(Operator, goVersion, hex.EncodeToString(h.Sum(nil)))
}

// build puts the operator's program into dir; work is a folder for the meantime.
func (o operator) build(ctx context.Context, c Component, dir, work string) error {
	out := filepath.Join(dir, Operator)
	if o.file != "" {
		data, err := os.ReadFile(o.file)
		if err != nil {
			return err
		}
		return os.WriteFile(out, data, 0o755)
	}
	if _, err := os.Stat(filepath.Join(o.tree, "cmd", Operator)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no cmd/%s", o.tree, Operator)
	}
	_, err := command.Cmd{
		Name: "go",
		Args: []string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags(c.LDFlags), "-o", out, "./cmd/" + Operator},
		Dir:  o.tree, Env: append(goEnv(false), "TMPDIR="+work), Timeout: buildTime, Attr: dieWithUs(),
	}.Run(ctx)
	return err
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
