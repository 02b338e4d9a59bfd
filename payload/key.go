package payload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"craton.dev/craton/command"
)

// source holds what builds need besides the upstream modules: a folder a module graph.
// The files are named module.mod and module.sum, since a folder with a go.mod would be
// a module of its own, which embedding leaves out.
//
//go:embed source
var source embed.FS

// recipe is part of every key: raise it when the way of building changes.
const recipe = "1"

// key is a short hash of everything that an entry is made from.
func key(parts ...any) (string, error) {
	h := sha256.New()
	for _, p := range append(parts, recipe) {
		data, err := json.Marshal(p)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%d:", len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// sourceFiles are the embedded files of one folder of source/, by name.
func sourceFiles(folder string) (map[string]string, error) {
	files := map[string]string{}
	entries, err := fs.ReadDir(source, "source/"+folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := fs.ReadFile(source, "source/"+folder+"/"+e.Name())
		if err != nil {
			return nil, err
		}
		files[e.Name()] = string(data)
	}
	return files, nil
}

// componentKey changes with whatever can change the component's bytes. What only says
// where they go (image name, folder) is not part of it.
func componentKey(c Component, goVersion string) (string, error) {
	files, err := sourceFiles(c.Source)
	if err != nil {
		return "", err
	}
	parts := []any{c.Binaries, c.Version, c.Module, c.Cgo, c.LDFlags, files, goVersion}
	if c.Tags != "" {
		parts = append(parts, c.Tags)
	}
	return key(parts...)
}

// toolchain is the version of the host's Go.
func toolchain(ctx context.Context) (string, error) {
	out, err := command.Cmd{Name: "go", Args: []string{"env", "GOVERSION"}, Dir: os.TempDir(), Env: goEnv(false)}.Run(ctx)
	if err != nil {
		return "", fmt.Errorf("the payload is built with Go 1.26 or newer: %w", err)
	}
	return string(bytes.TrimSpace(out)), nil
}

// goEnv is what a build's result may depend on, whatever the user's settings are.
// Where modules come from stays the user's choice.
func goEnv(cgo bool) []string {
	env := []string{"GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GO111MODULE=on", "GOOS=linux", "GOEXPERIMENT=", "GOAMD64=v1"}
	if cgo {
		return append(env, "CGO_ENABLED=1", "CGO_CFLAGS=-O2", "CGO_LDFLAGS=")
	}
	return append(env, "CGO_ENABLED=0")
}

func ldflags(extra string) string { return strings.TrimSpace("-s -w " + extra) }
