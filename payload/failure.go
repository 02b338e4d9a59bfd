package payload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"craton.dev/craton/command"
	"craton.dev/craton/disk"
)

// failed is a build that did not succeed, in one sentence.
type failed struct {
	sentence string
	cause    error
}

func (f *failed) Error() string { return f.sentence }
func (f *failed) Unwrap() error { return f.cause }

// failure says in one sentence which component could not be built, why, and what to do.
// The command and the end of its stderr are in a file of the cache beside that, since the
// sentence may be wrong.
func failure(component, dir string, err error) error {
	if own := (*failed)(nil); errors.As(err, &own) {
		return err // said already, nearer to its cause
	}
	if errors.Is(err, context.Canceled) {
		return &failed{fmt.Sprintf("payload: %s: stopped; the next run goes on from here", component), err}
	}
	cause, next := reason(dir, err)
	text := fmt.Sprintf("payload: %s could not be built: %s", component, cause)
	if file := keep(dir, component, err); file != "" {
		text += "; what was run, and the end of what it said, is in " + file
	}
	return &failed{text + ": " + next, err}
}

// reason is the cause of a failed build, and what can be done about it.
func reason(dir string, err error) (cause, next string) {
	text := err.Error()
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	var cmd *command.Error
	errors.As(err, &cmd)
	switch {
	case disk.Full(err):
		return "a disk is full: " + fullest(dir),
			"make room, or move the cache with CRATON_CACHE and Go's with GOCACHE and GOMODCACHE, then run it again"
	case errors.Is(err, exec.ErrNotFound) && cmd != nil:
		return cmd.Cmd.Name + " is not installed", "`craton doctor` says what to install"
	case has("executable file not found", "command not found", "C compiler", "blkid/blkid.h"):
		return "a program or library that the build needs is not installed", "`craton doctor` says what to install"
	case has("dial tcp", "no such host", "disabled by GOPROXY", "Temporary failure resolving", "Could not resolve", "connection refused",
		"i/o timeout", "TLS handshake timeout", "network is unreachable", "Unable to connect to"):
		return "its sources could not be downloaded", "check this host's network, its proxy settings and `go env GOPROXY`, then run it again"
	case has("checksum mismatch", "SECURITY ERROR", "missing go.sum entry"):
		return "a downloaded module is not the one that is pinned", "do not build it; ask who runs this host's module proxy"
	case errors.Is(err, fs.ErrPermission):
		return dir + " may not be written", "run it as root, or move the cache with CRATON_CACHE"
	case has("signal: killed", "signal: terminated"):
		return "its compiler was ended from outside", "where `dmesg` says that memory was short, end something else; then run it again"
	case cmd != nil:
		words := append([]string{cmd.Cmd.Name}, cmd.Cmd.Args[:min(1, len(cmd.Cmd.Args))]...)
		return fmt.Sprintf("%s: %v: %s", strings.Join(words, " "), cmd.Err, lastLine(cmd.Stderr)), "correct that, then run it again"
	}
	return lastLine(text), "correct that, then run it again"
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// keep writes the whole error down. Where it cannot, as on a full disk, there is no file.
func keep(dir, component string, err error) string {
	file := filepath.Join(dir, "failed", strings.ReplaceAll(component, " ", "-")+".log")
	if os.MkdirAll(filepath.Dir(file), 0o755) != nil || os.WriteFile(file, []byte(err.Error()+"\n"), 0o644) != nil {
		return ""
	}
	return file
}

// fullest is the one of a build's file systems that has the least room.
func fullest(dir string) string {
	var least disk.Room
	found := false
	for _, d := range append(goCaches(context.Background()), dir, os.TempDir()) {
		if r, err := disk.At(d); err == nil && (!found || r.Free < least.Free || r.NoInodes) {
			least, found = r, true
		}
	}
	if !found {
		return "which one, the system does not say"
	}
	return least.String()
}
