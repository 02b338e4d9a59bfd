package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
	"github.com/spf13/cobra"
)

// defaultFile is the cluster file's usual name.
const defaultFile = "cluster.yaml"

// addFileFlag gives a command the flag -f for its cluster file.
func addFileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", defaultFile, "the cluster file")
	// A flag that exists cannot fail to be marked.
	_ = cmd.MarkFlagFilename("file", "yaml", "yml")
}

// loadCluster reads a cluster file. Whatever is wrong with it is the user's to correct.
func loadCluster(file string) (*cluster.Cluster, error) {
	c, err := cluster.Load(file)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, usage("there is no cluster file %s: craton init writes one, or name yours with --file", file)
	case exitCode(err) == exitUsage:
		return nil, err
	}
	return nil, &exitError{exitUsage, fmt.Errorf("cannot read the cluster file: %w", err)}
}

// loadPlan reads a cluster file and works out its plan.
func loadPlan(file string) (*plan.Plan, error) {
	c, err := loadCluster(file)
	if err != nil {
		return nil, err
	}
	p, err := plan.Make(c)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("%s: %w", file, err)}
	}
	return p, nil
}
