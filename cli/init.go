package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"craton.dev/craton/cluster"
	"github.com/spf13/cobra"
)

func initCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "init [NAME]",
		GroupID: groupDesign,
		Short:   "Write a commented cluster file",
		Long: `Write a cluster file in which the cluster's name is set (demo, if none is given), the ingress,
the Console and signing in are on, and every other setting stands in a comment with its
default. A file that exists is never overwritten; with --file - it is printed instead.`,
		Example: `  craton init shop
  craton init shop --file shop.yaml
  craton init --file - | less`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("craton init takes one name, but got %d", len(args))
			}
			return nil
		},
	}
	addFileFlag(cmd, &file)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := "demo"
		if len(args) == 1 {
			name = args[0]
		}
		if err := cluster.CheckName(name); err != nil {
			return usage("%w", err)
		}
		text := cluster.Template(name)
		if file == "-" {
			_, err := cmd.OutOrStdout().Write(text)
			return err
		}
		if err := writeNew(file, text); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s. Next: craton plan%s shows what it means.\n", file, fileFlag(file))
		return nil
	}
	return cmd
}

// writeNew writes a file that must not be there yet.
func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usage("%s exists and is not overwritten: remove it, or name another with --file", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// fileFlag is what to add to a command that we propose.
func fileFlag(file string) string {
	if file == defaultFile {
		return ""
	}
	return " --file " + file
}
