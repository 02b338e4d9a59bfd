package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
)

// The groups of commands in craton's help, in the order of use.
const (
	groupCluster = "cluster" // start, look at and use a cluster
	groupDesign  = "design"  // see what a cluster file means
	groupSelf    = "self"    // craton itself
)

// Main runs the command line that the process was started with and returns its exit code.
// The first ^C or SIGTERM cancels what runs, so that it can stop in an orderly way; the
// second one kills.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	cmd := NewCommand()
	err := cmd.ExecuteContext(ctx)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) && !bootstrap.SaysNext(err) {
			err = errors.New("stopped by a signal: the same command can be run again")
		}
		printError(cmd.ErrOrStderr(), err)
	}
	return exitCode(err)
}

// NewCommand is the whole command line.
func NewCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "craton",
		Short: "Kubernetes clusters from a platform document",
		Long: `craton turns a platform document (which ports, names, labels and machines a cluster has)
into a running cluster that is exactly that: every open port is asked for by a clause of
the document, and whatever no clause names is shut.

A cluster is described by one file, by default cluster.yaml in the current folder.

Exit codes: 0 done, 1 failed, 2 wrong usage or bad input, 3 a check ran and found a difference.`,
		Example: `  craton init demo              # write cluster.yaml
  craton plan                   # what would be made, and what would be open
  craton explain 10250          # why is this port open?
  sudo craton up                # make it
  craton kubectl get nodes`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		// Flags that exclude each other are wrong usage, as any other flag that is.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.ValidateFlagGroups(); err != nil {
				return usage("%w: see %s --help", err, cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.AddGroup(
		&cobra.Group{ID: groupCluster, Title: "A cluster:"},
		&cobra.Group{ID: groupDesign, Title: "What a cluster is made of:"},
		&cobra.Group{ID: groupSelf, Title: "craton itself:"},
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		upCommand(), downCommand(), statusCommand(), metricsCommand(),
		backupCommand(), recoverCommand(), replaceCommand(),
		kubeconfigCommand(), kubectlCommand(), loginCommand(), logoutCommand(), sshCommand(), logsCommand(),
		initCommand(), schemaCommand(), passwordCommand(),
		contractCommand(), planCommand(), explainCommand(), renderCommand(), auditCommand(),
		payloadCommand(), doctorCommand(), verifyCommand(), proveCommand(), minimumCommand(), versionCommand(), docsCommand(),
	)
	root.AddCommand(backgroundCommands()...)
	root.SetHelpCommandGroupID(groupSelf)
	root.SetCompletionCommandGroupID(groupSelf)
	adoptDefaults(root)
	return root
}

// adoptDefaults makes cobra's own commands like ours: with an example, and with exit code 2 and a
// hint where they are called wrongly.
func adoptDefaults(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  craton help render dns"
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if about, rest, err := root.Find(args); err == nil && len(rest) > 0 {
					return unknownCommand(about, rest[0])
				}
				return nil
			}
		case "completion":
			group(cmd)
			cmd.Example = "  source <(craton completion bash)"
			for _, shell := range cmd.Commands() {
				shell.Args = noArgs
				shell.Example = "  craton completion " + shell.Name()
			}
		}
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return usage("there is no command %q: did you mean %q? %s --help lists all", name, near[0], cmd.CommandPath())
	}
	return usage("there is no command %q: %s --help lists all", name, cmd.CommandPath())
}

// group is for commands that only hold others.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
	return cmd
}
