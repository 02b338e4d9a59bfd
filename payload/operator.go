package payload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"craton.dev/craton/command"
)

// The operator is this project's own program, so it has no pinned graph in source/. It
// has to be of the same build as the craton that talks to it, so:
//   - where craton-operator is beside the running craton, as an installation has it, that
//     file goes into the image;
//   - otherwise (go run, go test, a development build) it is built from the source tree
//     that this craton was built from.

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
		if err == nil && strings.HasPrefix(string(data), "module craton.dev/craton\n") {
			return operator{tree: tree}, nil
		}
	}
	return operator{}, fmt.Errorf("%s is not beside craton, and craton's source tree is not here: put both programs into one folder", Operator)
}

// key changes with the file, or with any source of the tree.
func (o operator) key(goVersion string) (string, error) {
	h := sha256.New()
	if o.file != "" {
		if err := hashFile(h, o.file); err != nil {
			return "", err
		}
		return key(Operator, hex.EncodeToString(h.Sum(nil)))
	}
	err := filepath.WalkDir(o.tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && path != o.tree && (strings.HasPrefix(name, ".") || name == "testdata" || name == "docs" || name == "bin"):
			return filepath.SkipDir
		case d.IsDir() || strings.HasSuffix(name, "_test.go"):
			return nil
		case strings.HasSuffix(name, ".go") || name == "go.mod" || name == "go.sum":
			fmt.Fprintln(h, strings.TrimPrefix(path, o.tree))
			return hashFile(h, path)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return key(Operator, goVersion, hex.EncodeToString(h.Sum(nil)))
}

// build puts the operator's program into dir.
func (o operator) build(ctx context.Context, c Component, dir string) error {
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
		Dir:  o.tree, Env: goEnv(false), Timeout: buildTime, Attr: dieWithUs(),
	}.Run(ctx)
	return err
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
