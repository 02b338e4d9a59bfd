package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"craton.dev/craton/command"
	"craton.dev/craton/pki"
	"craton.dev/craton/signin"
)

// loginFlags say where somebody signs in: at a cluster of this host, or where a kubeconfig says.
type loginFlags struct {
	file, name          string
	kubeconfig, context string
}

func (f *loginFlags) add(cmd *cobra.Command) {
	clusterFlags(cmd, &f.file, &f.name)
	cmd.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "the kubeconfig that craton kubeconfig --login made, or into which the context is written")
	cmd.Flags().StringVar(&f.context, "context", "", "the kubeconfig's context that signs in, instead of a cluster of this host")
}

// place finds it. For a cluster of this host, a context is written into the kubeconfig where
// write is set.
func (f *loginFlags) place(cmd *cobra.Command, write bool) (context string, p signin.Place, err error) {
	if f.context != "" || !f.ofThisHost(cmd) {
		context, p, err = signin.PlaceOf(f.kubeconfig, f.context)
		if err != nil {
			err = usage("%w; for a cluster of this host name it with --cluster", err)
		}
		return context, p, err
	}
	c, err := openCluster(f.file, f.name)
	if err != nil {
		return "", p, err
	}
	api, p, err := c.SignIn(true)
	if err != nil {
		return "", p, err
	}
	context = c.Name + "-login"
	if !write {
		return context, p, nil
	}
	program, err := os.Executable()
	if err != nil {
		return "", p, err
	}
	_, err = signin.AddContext(f.kubeconfig, context, api, p, program)
	return context, p, err
}

// ofThisHost tells whether a cluster of this host is meant: it is named, there is a cluster file,
// or there are clusters here and no kubeconfig that signs in.
func (f *loginFlags) ofThisHost(cmd *cobra.Command) bool {
	if cmd.Flags().Changed("cluster") || cmd.Flags().Changed("file") {
		return true
	}
	if _, _, err := signin.PlaceOf(f.kubeconfig, ""); err == nil {
		return false
	}
	if _, err := os.Stat(f.file); !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return len(clustersHere()) > 0
}

func loginCommand() *cobra.Command {
	var f loginFlags
	var device, exec bool
	var p signin.Place
	cmd := &cobra.Command{
		Use:     "login",
		GroupID: groupCluster,
		Short:   "Sign in to a cluster with a name and a password",
		Long: `Signs in with a browser, or, where there is none, with a code that is typed into a browser
elsewhere. kubectl then works with tokens that last minutes and are renewed by themselves,
until the session ends. They are in a file that only you can read.

On the cluster's host this writes a context into your kubeconfig. Elsewhere it takes the
kubeconfig that "craton kubeconfig --login" prints, which has no secret in it.`,
		Example: `  craton login
  craton login --device
  craton login --kubeconfig demo.kubeconfig`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := signin.UserStore()
			if err != nil {
				return err
			}
			if exec {
				return credential(cmd, store, p)
			}
			kubeContext, p, err := f.place(cmd, true)
			if err != nil {
				return err
			}
			tokens, err := signInAt(cmd.Context(), cmd.ErrOrStderr(), p, device || !hasBrowser(os.Getenv))
			if err != nil {
				return err
			}
			if err := store.Save(p, tokens); err != nil {
				return err
			}
			groups := "in no group"
			if len(tokens.Groups) > 0 {
				groups = "in " + strings.Join(tokens.Groups, ", ")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "You are signed in as %s (%s).\n\n  kubectl --context %s get pods\n", tokens.Name, groups, kubeContext)
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&device, "device", false, "show a code for a browser elsewhere, rather than open one here")
	// What kubectl runs, by the kubeconfig.
	cmd.Flags().BoolVar(&exec, signin.FlagExec, false, "print a token for kubectl")
	cmd.Flags().StringVar(&p.Issuer, signin.FlagIssuer, "", "where to sign in")
	cmd.Flags().StringVar(&p.Client, signin.FlagClient, "", "the id of craton there")
	cmd.Flags().StringVar(&p.Connect, signin.FlagConnect, "", "HOST:PORT at which the issuer is reached")
	for _, name := range []string{signin.FlagExec, signin.FlagIssuer, signin.FlagClient, signin.FlagConnect} {
		// A flag that exists cannot fail to be hidden.
		_ = cmd.Flags().MarkHidden(name)
	}
	return cmd
}

// credential answers kubectl.
func credential(cmd *cobra.Command, store signin.Store, p signin.Place) (err error) {
	if p.Issuer == "" || p.Client == "" {
		return usage("--%s is for kubectl, with --%s and --%s: get the kubeconfig anew with craton kubeconfig --login", signin.FlagExec, signin.FlagIssuer, signin.FlagClient)
	}
	if p.CA, err = signin.ClusterCA(); err != nil {
		return err
	}
	answer, err := store.Credential(cmd.Context(), p)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(append(answer, '\n'))
	return err
}

// signInAt signs in, and tells the person what to do.
func signInAt(ctx context.Context, say io.Writer, p signin.Place, device bool) (*signin.Tokens, error) {
	if device {
		return p.Device(ctx, func(c signin.Code) {
			fmt.Fprintf(say, "Open %s in a browser and type the code %s.\nOr open %s\n", c.Address, c.Code, c.Whole)
		})
	}
	return p.Browser(ctx, func(address string) error {
		fmt.Fprintf(say, "A browser opens. If none does, open this on this machine:\n%s\n", address)
		// Where it fails the person has the address.
		_, _ = command.Cmd{Name: "xdg-open", Args: []string{address}, Timeout: 10 * time.Second}.Run(ctx)
		return nil
	})
}

// hasBrowser tells whether a browser on this machine would be on this person's screen.
func hasBrowser(getenv func(string) string) bool {
	return getenv("SSH_CONNECTION") == "" && (getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != "")
}

func logoutCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:     "logout",
		GroupID: groupCluster,
		Short:   "Forget the tokens that craton login got",
		Long: `Removes the tokens from this machine. The one that was in use is good for some minutes more,
as the cluster file's signIn.tokenMinutes says, to whoever has a copy of it.`,
		Example: `  craton logout
  craton logout --kubeconfig demo.kubeconfig`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := signin.UserStore()
			if err != nil {
				return err
			}
			kubeContext, p, err := f.place(cmd, false)
			if err != nil {
				return err
			}
			was, err := store.Remove(p)
			if err != nil {
				return err
			}
			if !was {
				fmt.Fprintf(cmd.OutOrStdout(), "You were not signed in with %s.\n", kubeContext)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "You are signed out of %s.\n", kubeContext)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func passwordCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "password",
		GroupID: groupDesign,
		Short:   "Print the hash of a password, for the cluster file",
		Long: `Asks for a password, without showing it, and prints its bcrypt hash, for passwordHash in the
cluster file's signIn.users. The password goes nowhere else. Without a terminal it is the
first line of the input.`,
		Example: `  craton password
  pass show demo/anna | craton password`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := askPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			hash, err := pki.HashPassword(password)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		},
	}
}

func askPassword(in io.Reader, say io.Writer) ([]byte, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(in, 1<<10)).ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(say, prompt)
		defer fmt.Fprintln(say)
		return term.ReadPassword(int(f.Fd()))
	}
	password, err := ask("Password: ")
	if err != nil {
		return nil, err
	}
	again, err := ask("Once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(password, again) {
		return nil, usage("the two are not the same: nothing is printed")
	}
	return password, nil
}
