package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// resultFlags are those of a command that takes long and keeps what it finds.
type resultFlags struct {
	limit time.Duration
	// file is where results are kept; "" for the command's own place.
	file string
	// page is a file of earlier results; where it is given, they are printed and nothing else is done.
	page string
}

// addResultFlags gives a command such flags. It stops after a step, for instance after so much time; place
// is its own place for results.
func addResultFlags(cmd *cobra.Command, step, instance, place string) *resultFlags {
	f := &resultFlags{}
	cmd.Flags().DurationVar(&f.limit, "for", 0, fmt.Sprintf("stop after the %s during which so much time has passed, such as %s; run again, it goes on there", step, instance))
	cmd.Flags().StringVar(&f.file, "results", "", "the file of results to write, and to go on from; default: "+place)
	cmd.Flags().StringVar(&f.page, "page", "", "print the results in this file, and try nothing")
	_ = cmd.MarkFlagFilename("results", "json")
	_ = cmd.MarkFlagFilename("page", "json")
	return f
}
