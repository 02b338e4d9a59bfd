package payload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"

	"craton.dev/craton/command"
)

// failure says in one sentence which component could not be built, why, and what to do.
// The command and the end of its stderr follow, since the sentence may be wrong.
func failure(component, dir string, err error) error {
	text := err.Error()
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	cause := ""
	var cmd *command.Error
	errors.As(err, &cmd)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("payload: %s: stopped; the next run goes on from here: %w", component, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), has("no space left on device", "No space left on device"):
		cause = fmt.Sprintf("a disk is full: a first build needs about 6 GiB in %s, Go's caches and the folder for temporary files; free some, or move the cache with CRATON_CACHE", dir)
	case errors.Is(err, exec.ErrNotFound) && cmd != nil:
		cause = fmt.Sprintf("%s is not installed: `craton doctor` says what to install", cmd.Cmd.Name)
	case has("executable file not found", "command not found", "C compiler", "blkid/blkid.h"):
		cause = "a program or library that the build needs is not installed: `craton doctor` says what to install"
	case has("dial tcp", "no such host", "Temporary failure resolving", "Could not resolve", "connection refused", "i/o timeout", "TLS handshake timeout", "network is unreachable", "Unable to connect to"):
		cause = "its sources could not be downloaded: check this host's network, its proxy settings and `go env GOPROXY`"
	case has("checksum mismatch", "SECURITY ERROR", "missing go.sum entry"):
		cause = "a downloaded module is not the one that is pinned: do not build it; ask who runs this host's module proxy"
	case errors.Is(err, fs.ErrPermission):
		cause = fmt.Sprintf("%s may not be written: run craton as root, or move the cache with CRATON_CACHE", dir)
	}
	if cause == "" {
		return fmt.Errorf("payload: %s could not be built: %w", component, err)
	}
	return fmt.Errorf("payload: %s could not be built: %s: %w", component, cause, err)
}
