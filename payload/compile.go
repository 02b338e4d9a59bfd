package payload

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"craton.dev/craton/command"
)

// buildTime is how long one program may take to build: the API server takes five minutes
// on two idle cores.
const buildTime = 30 * time.Minute

// compile builds a component's programs into dir; work is a folder for the meantime.
func compile(ctx context.Context, c Component, dir, work string) error {
	// Not one folder for both: Go ignores a go.mod in the folder for temporary files.
	src, tmp := filepath.Join(work, "src"), filepath.Join(work, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	if err := unpackSource(c.Source, src); err != nil {
		return err
	}
	for _, b := range c.Binaries {
		out, err := filepath.Join(dir, b.Name), error(nil)
		if strings.HasSuffix(b.Package, ".c") {
			err = compileC(ctx, c, b, src, tmp, out)
		} else {
			err = goBuild(ctx, c, b, src, tmp, out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unpackSource writes a folder of source/ to dir, which it makes.
func unpackSource(folder, dir string) error {
	files, err := sourceFiles(folder)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		switch name {
		case "module.mod":
			name = "go.mod"
		case "module.sum":
			name = "go.sum"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// goBuild builds one program. -mod=readonly: every module must be in the pinned graph
// with its hash, so that nobody can slip in another.
func goBuild(ctx context.Context, c Component, b Binary, src, tmp, out string) error {
	verb := []string{"build"}
	if b.Test {
		verb = []string{"test", "-c"}
	}
	args := append(verb, "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags(c.LDFlags), "-o", out)
	if c.Tags != "" {
		args = append(args, "-tags", c.Tags)
	}
	_, err := command.Cmd{
		Name: "go", Args: append(args, strings.Fields(b.Package)...),
		Dir: src, Env: append(goEnv(c.Cgo), "TMPDIR="+tmp), Timeout: buildTime, Attr: dieWithUs(),
	}.Run(ctx)
	return err
}

// compileC builds one C file of the component's module, statically.
func compileC(ctx context.Context, c Component, b Binary, src, tmp, out string) error {
	module, err := moduleDir(ctx, c.Module, src)
	if err != nil {
		return err
	}
	_, err = command.Cmd{
		Name: "gcc",
		Args: []string{"-Os", "-Wall", "-static", "-s", "-Wl,--build-id=none", "-DVERSION=v" + c.Version, "-o", out, b.Package},
		Dir:  module, Env: []string{"TMPDIR=" + tmp}, Attr: dieWithUs(),
	}.Run(ctx)
	return err
}

// moduleDir is where the source of a module of the graph in src is.
func moduleDir(ctx context.Context, module, src string) (string, error) {
	list, err := command.Cmd{
		Name: "go", Args: []string{"mod", "download", "-json", module},
		Dir: src, Env: goEnv(false), Timeout: buildTime, Attr: dieWithUs(),
	}.Run(ctx)
	if err != nil {
		return "", err
	}
	var found struct{ Dir string }
	if err := json.NewDecoder(bytes.NewReader(list)).Decode(&found); err != nil {
		return "", fmt.Errorf("what go mod download printed: %w", err)
	}
	return found.Dir, nil
}

// dieWithUs keeps no build running after its craton was killed.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
