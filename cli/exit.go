package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"craton.dev/craton/cluster"
	"github.com/spf13/cobra"
)

// The exit codes. Scripts rely on them.
const (
	exitDone       = 0
	exitFailed     = 1 // the operation failed
	exitUsage      = 2 // wrong usage or bad input
	exitDifference = 3 // the check ran and found a difference
)

// exitError is an error with an exit code of its own. Where err is nil nothing is printed:
// the command has said everything on stdout.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is an error of the person who typed the command.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// difference ends a check that ran and found one. A nil error prints nothing.
func difference(err error) error { return &exitError{exitDifference, err} }

// exitCode is the code for what a command returned. A fault in the cluster file is bad
// input, wherever it is found.
func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if own, ok := errors.AsType[*exitError](err); ok {
		return own.code
	}
	if _, ok := errors.AsType[cluster.Errors](err); ok {
		return exitUsage
	}
	return exitFailed
}

// printError writes an error once, each of its lines marked as ours.
func printError(w io.Writer, err error) {
	if own, ok := err.(*exitError); ok && own.err == nil {
		return
	}
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintf(w, "craton: %s\n", line)
	}
}

// noArgs and oneArg are like cobra's, but say what to do and exit with code 2.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument, but got %q: see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s takes one argument, %s, but got %d: see %s --help", cmd.CommandPath(), what, len(args), cmd.CommandPath())
		}
		return nil
	}
}
