// Package command runs other programs: with a context, a time limit and an error that
// shows the command, so that it can be pasted into a shell, and the end of its stderr.
//
// It is the only package that starts programs, apart from the embedded platform's
// supervisor, which keeps them running. It knows nothing of what it runs.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Cmd is a program to run. The zero values of the optional fields mean: no input, this
// process's environment, this process's folder, one minute.
type Cmd struct {
	Name  string
	Args  []string
	Stdin io.Reader
	// Stdout, where set, receives the output instead of Run's result.
	Stdout io.Writer
	// Stderr, where set, receives stderr as well as the error.
	Stderr io.Writer
	// Env is added to this process's environment.
	Env     []string
	Dir     string
	Timeout time.Duration
	// Attr is passed on to the kernel, for process groups and the like.
	Attr *syscall.SysProcAttr
}

// Error is a program that could not be started, failed or ran out of time.
type Error struct {
	Cmd    Cmd
	Err    error
	Stderr string // its last lines
}

func (e *Error) Error() string {
	msg := fmt.Sprintf("%s: %v", e.Cmd, e.Err)
	if e.Stderr != "" {
		msg += ": " + e.Stderr
	}
	return msg
}

func (e *Error) Unwrap() error { return e.Err }

// ExitCode is the program's exit code, or -1 where it did not exit by itself.
func (e *Error) ExitCode() int {
	var exit *exec.ExitError
	if errors.As(e.Err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// String is the command as a line that a shell accepts.
func (c Cmd) String() string {
	words := make([]string, 0, len(c.Args)+1)
	for _, w := range append([]string{c.Name}, c.Args...) {
		if w == "" || strings.ContainsAny(w, " \t\n'\"$&|;<>()*?[]{}\\`!#~") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// Run runs a program with no input and returns what it prints to stdout.
func Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	return Cmd{Name: name, Args: args}.Run(ctx)
}

// Run runs the command and returns what it prints to stdout. A failure is an *Error.
func (c Cmd) Run(ctx context.Context) ([]byte, error) {
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no end after %s", c.Timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Dir, cmd.Stdin, cmd.SysProcAttr = c.Dir, c.Stdin, c.Attr
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = io.MultiWriter(&stderr, c.Stderr)
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return stdout.Bytes(), &Error{Cmd: c, Err: err, Stderr: tail(stderr.String())}
	}
	return stdout.Bytes(), nil
}

func tail(s string) string {
	s = strings.TrimSpace(s)
	const most = 800
	if len(s) > most {
		s = "…" + strings.TrimLeftFunc(s[len(s)-most:], func(r rune) bool { return r == utf8.RuneError }) // no half of a letter
	}
	return s
}
