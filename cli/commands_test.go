package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"craton.dev/craton/cluster"
	"github.com/spf13/cobra"
)

// TestEveryCommandIsDocumented keeps --help useful: what it is, how it behaves, an example,
// and, for craton's own verbs, a place in the list.
func TestEveryCommandIsDocumented(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return // craton starts these itself
		}
		for _, missing := range []struct{ what, text string }{
			{"Short", cmd.Short}, {"Long", cmd.Long}, {"Example", cmd.Example},
		} {
			if missing.text == "" {
				t.Errorf("%s has no %s", cmd.CommandPath(), missing.what)
			}
		}
		if cmd.HasParent() && !cmd.Parent().HasParent() && cmd.GroupID == "" {
			t.Errorf("%s is in no group", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(NewCommand())
}

// TestArguments: whoever gives a command too few arguments, or too many, gets exit code 2 and is
// told where its help is, and nothing is done.
func TestArguments(t *testing.T) {
	many := []string{"one", "two", "three"}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.Args == nil || cmd.Hidden {
			return
		}
		for _, args := range [][]string{nil, many} {
			if err := cmd.ValidateArgs(args); err != nil && exitCode(err) != exitUsage {
				t.Errorf("%s %q: exit code %d, want %d: %v", cmd.CommandPath(), args, exitCode(err), exitUsage, err)
			}
		}
	}
	walk(NewCommand())
}

// TestExitCode protects the codes that scripts rely on, also where the error that carries
// one is wrapped.
func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"done", nil, 0},
		{"any error", errors.New("disk full"), 1},
		{"usage", usage("no"), 2},
		{"wrapped usage", fmt.Errorf("render: %w", usage("no")), 2},
		{"fault of the file", cluster.Errors{{File: "a", Line: 1, Column: 1, Message: "no"}}, 2},
		{"wrapped fault", fmt.Errorf("up: %w", cluster.Errors{{File: "a"}}), 2},
		{"difference", difference(nil), 3},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}

// TestPrintError: each line says who speaks, once; a check that has said everything on
// stdout adds nothing.
func TestPrintError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("one\ntwo\n"), "craton: one\ncraton: two\n"},
		{difference(nil), ""},
		{difference(errors.New("it differs")), "craton: it differs\n"},
	} {
		var out bytes.Buffer
		printError(&out, test.err)
		if out.String() != test.want {
			t.Errorf("%v: printed %q, want %q", test.err, out.String(), test.want)
		}
	}
}
