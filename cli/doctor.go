package cli

import (
	"runtime/debug"
	"time"

	"craton.dev/craton/doctor"
	"craton.dev/craton/payload"
	"github.com/spf13/cobra"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: groupSelf,
		Short:   "Check whether this host can run clusters",
		Long: `Check whether this host can run clusters on the embedded platform, and say what to install
or why it cannot work. Nothing on the host is changed. Exit code 1 means that something
that is needed is missing; a warning is no failure.`,
		Example: `  sudo craton doctor
  sudo craton doctor -o json`,
		Args: noArgs,
	}
	out := addOutputFlag(cmd,
		format[doctor.Report]{"table", doctor.WriteTable},
		jsonFormat[doctor.Report](), yamlFormat[doctor.Report](),
	)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		report := doctor.Examine(cmd.Context(), doctor.ThisHost(payload.DefaultCache(), stateDir, built()))
		if err := out.print(cmd.OutOrStdout(), report); err != nil {
			return err
		}
		if !report.OK {
			return &exitError{code: exitFailed}
		}
		return nil
	}
	return cmd
}

// stateDir is where clusters of the embedded platform are kept, each in a folder of its name.
const stateDir = "/var/lib/craton"

// built is the time of the commit that this program was made from, if it is known.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}
