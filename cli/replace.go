package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
)

func replaceCommand() *cobra.Command {
	var file, name string
	drain := time.Minute
	cmd := &cobra.Command{
		Use:     "replace MACHINE",
		GroupID: groupCluster,
		Short:   "Make a machine anew, dead or alive, with an empty disk",
		Long: `Makes a master or a worker anew: with an empty disk, the same name and address, and waits
until it is ready. It may be off, broken or gone.

A machine that works is drained before: its pods get the time to end, and a disruption budget
keeps them for as long as --drain-time says; then the machine stays as it was. A master leaves etcd
before, where the others have a quorum without it; otherwise it is refused, and the message
says which member has to be well before. The only master cannot be replaced: back it up, and
recover.`,
		Example: `  craton replace demo-worker-1
  craton replace demo-master-2 --drain-time 10m`,
		Args: oneArg("a machine's name"),
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().Var((*span)(&drain), "drain-time", "how long its pods may take to leave it")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if name, err = clusterName(file, name); err != nil {
			return err
		}
		if err := needRoot("replace"); err != nil {
			return err
		}
		p := newProgress(cmd.ErrOrStderr())
		c, err := bootstrap.Open(name, options(p))
		if err != nil {
			return err
		}
		err = c.Replace(cmd.Context(), args[0], drain)
		p.end()
		if err != nil {
			return misused(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is made anew and ready, %.1f s.\n", args[0], time.Since(p.began).Seconds())
		return nil
	}
	return cmd
}

// misused makes what was asked for wrongly the exit code of that.
func misused(err error) error {
	if _, ok := errors.AsType[bootstrap.Misuse](err); ok {
		return &exitError{exitUsage, err}
	}
	return err
}
