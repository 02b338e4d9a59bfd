package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// span is the value of a flag for how long something may last.
type span time.Duration

func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("expected 0s or more, such as 90s or 10m")
	}
	*s = span(d)
	return nil
}

// String is "" for none, which help then does not show as a default.
func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

func (*span) Type() string { return "duration" }

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
	cmd.Flags().Var((*span)(&f.limit), "for", fmt.Sprintf("stop after the %s during which so much time has passed, such as %s; run again, it goes on there", step, instance))
	cmd.Flags().StringVar(&f.file, "results", "", "the file of results to write, and to go on from; default: "+place)
	cmd.Flags().StringVar(&f.page, "page", "", "print the results in this file, and try nothing")
	_ = cmd.MarkFlagFilename("results", "json")
	_ = cmd.MarkFlagFilename("page", "json")
	return f
}
