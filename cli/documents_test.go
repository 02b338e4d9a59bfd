package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// In pages a command stands between backquotes, or in a block of code on a line of its own; in
// messages of programs between backquotes.
var (
	inline = regexp.MustCompile("`(?:sudo )?(?:bin/)?craton ([^`\n]+)`")
	block  = regexp.MustCompile(`(?m)^(?:    |\$ )(?:sudo )?(?:bin/)?craton (.+)$`)
)

// TestDocumentsNameCommands protects people who type what a page or an error tells them: each
// command of it exists, with each of its flags.
func TestDocumentsNameCommands(t *testing.T) {
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != ".." && strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		page := filepath.Ext(path) == ".md"
		if !page && (filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go")) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		commands := inline.FindAllStringSubmatch(string(text), -1)
		if page {
			commands = append(commands, block.FindAllStringSubmatch(string(text), -1)...)
		}
		for _, c := range commands {
			found++
			if wrong := unknown(NewCommand(), c[1]); wrong != "" {
				t.Errorf("%s: craton %s: %s", path, c[1], wrong)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("found %d commands only: this test does not see them", found)
	}
}

// unknown says what a command line has that craton has not.
func unknown(cmd *cobra.Command, line string) string {
	words := strings.Fields(line)
	for len(words) > 0 && cmd.HasSubCommands() {
		var next *cobra.Command
		for _, sub := range cmd.Commands() {
			if sub.Name() == words[0] {
				next = sub
			}
		}
		if next == nil {
			return "there is no " + cmd.CommandPath() + " " + words[0]
		}
		cmd, words = next, words[1:]
	}
	for _, word := range words {
		switch {
		case strings.ContainsAny(word, "|>#;") || word == "--" || cmd.DisableFlagParsing:
			return "" // the rest is another program's
		case strings.HasPrefix(word, "--"):
			name, _, _ := strings.Cut(word[2:], "=")
			if cmd.Flag(name) == nil {
				return "it has no --" + name
			}
		case len(word) == 2 && word[0] == '-':
			if cmd.Flags().ShorthandLookup(word[1:]) == nil {
				return "it has no " + word
			}
		}
	}
	return ""
}

// TestUnknown: the check above can fail.
func TestUnknown(t *testing.T) {
	for line, want := range map[string]bool{
		"up":                              false,
		"up -f FILE":                      false,
		"explain 22 | less --raw":         false,
		"kubectl get csr --watch":         false,
		"render nftables --machine NAME":  false,
		"upp":                             true,
		"render iptables":                 true,
		"up --cluster NAME":               true,
		"up -o json":                      true,
		"logs MACHINE -u kubelet -n 50":   false,
		"ssh MACHINE -- ls --all":         false,
		"recover --from FILE --ident KEY": true,
	} {
		if got := unknown(NewCommand(), line); (got != "") != want {
			t.Errorf("craton %s: %q", line, got)
		}
	}
}
