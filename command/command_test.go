package command_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"craton.dev/craton/command"
)

// TestPasted protects whoever pastes a failed command into a shell: it is the same command there, whatever its words.
func TestPasted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// The kernel takes no zero byte in an argument.
		words := rapid.SliceOfN(rapid.String().Filter(func(s string) bool { return !strings.Contains(s, "\x00") }), 1, 4).Draw(t, "words")
		words = append(words, rapid.StringMatching(`[ -~\n\t]{0,20}`).Draw(t, "typed"))
		line := command.Cmd{Name: "printf", Args: append([]string{`%s\0`}, words...)}.String()
		out, err := exec.Command("bash", "-c", line).CombinedOutput()
		if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(out) != want {
			t.Fatalf("%s\nprints %q, want %q: %v", line, out, want, err)
		}
	})
}

// TestError protects what a person reads of a command that failed: the command, why, and the end of what it said; and
// that callers get its exit code.
func TestError(t *testing.T) {
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("somebody stopped it"))
	for _, c := range []struct {
		name  string
		ctx   context.Context
		cmd   command.Cmd
		code  int
		words []string
	}{
		{"fails", t.Context(), command.Cmd{Name: "sh", Args: []string{"-c", "echo out; echo no such thing >&2; exit 7"}}, 7,
			[]string{"sh -c 'echo out; echo no such thing >&2; exit 7': exit status 7: no such thing"}},
		{"is not there", t.Context(), command.Cmd{Name: "craton-no-such-program"}, -1, []string{"craton-no-such-program: ", "not found"}},
		{"takes too long", t.Context(), command.Cmd{Name: "sleep", Args: []string{"60"}, Timeout: time.Millisecond}, -1, []string{"sleep 60: no end after 1ms"}},
		{"is stopped", stopped, command.Cmd{Name: "sleep", Args: []string{"60"}}, -1, []string{"sleep 60: somebody stopped it"}},
	} {
		_, err := c.cmd.Run(c.ctx)
		var failed *command.Error
		if !errors.As(err, &failed) || failed.ExitCode() != c.code {
			t.Errorf("%s: %v, expected exit code %d", c.name, err, c.code)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", c.name, err, w)
			}
		}
	}
	// Of much that was said the end is shown, where the reason is.
	for _, end := range []string{"the reason", "the reasons", "the reasons."} { // a letter of two bytes is cut in none
		_, err := command.Run(t.Context(), "sh", "-c", "yes ä | head -2000 >&2; echo "+end+" >&2; exit 1")
		if err == nil || len(err.Error()) > 1000 || !strings.HasSuffix(err.Error(), "ä\n"+end) || !utf8.ValidString(err.Error()) {
			t.Errorf("%q: expected the end of what it said", err)
		}
	}
}

// TestRun protects what a program is given, and that what it prints comes back to who asked for it.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CRATON_TEST_OURS", "ours")
	var stdout, stderr bytes.Buffer
	cmd := command.Cmd{
		Name: "sh", Args: []string{"-c", `cat; pwd; echo "$CRATON_TEST_OURS $ADDED"; echo aside >&2`}, Dir: dir, Env: []string{"ADDED=added"},
		Stderr: &stderr, Attr: &syscall.SysProcAttr{Setpgid: true},
	}
	cmd.Stdin = strings.NewReader("in\n")
	out, err := cmd.Run(t.Context())
	if want := "in\n" + dir + "\nours added\n"; err != nil || string(out) != want || stderr.String() != "aside\n" {
		t.Errorf("%q and %q, want %q: %v", out, stderr.String(), want, err)
	}
	cmd.Stdin, cmd.Stdout = strings.NewReader("in\n"), &stdout
	if out, err := cmd.Run(t.Context()); err != nil || len(out) != 0 || !strings.HasPrefix(stdout.String(), "in\n") {
		t.Errorf("%q, and %q to its own writer: %v", out, stdout.String(), err)
	}
}
