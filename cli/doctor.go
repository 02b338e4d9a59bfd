package cli

import (
	"runtime/debug"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/contract"
	"craton.dev/craton/doctor"
	"craton.dev/craton/machines/local"
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
		report := doctor.Examine(cmd.Context(), doctor.ThisHost(doctor.Facts{
			CacheDir: payload.DefaultCache(), StateDir: bootstrap.StateRoot, Built: built(),
			Build:  payload.CacheDisk + payload.GoDisk,
			Master: share(contract.Master), Worker: share(contract.Worker), KeepFree: local.KeepFree,
		}, local.Inotify))
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

// share is what a machine takes of the host, as the platform reckons when it starts one.
func share(role contract.Role) doctor.Share {
	s := local.ShareOf(role)
	return doctor.Share{Inotify: s.Inotify, Disk: s.Disk}
}

// built is the time of the commit that this program was made from; where that is not
// known, a day on which there was none yet.
func built() time.Time {
	before := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return before
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t
			}
		}
	}
	return before
}
