package cli

import (
	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/machines/local"
)

// backgroundCommands are what the embedded platform starts of craton itself. Nobody types
// them.
func backgroundCommands() []*cobra.Command {
	return []*cobra.Command{
		{
			Use: local.BootCommand, Hidden: true, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return local.Boot(cmd.InOrStdin()) },
		},
		{
			Use: guardCommand, Hidden: true, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return guardProof(cmd.Context(), cmd.InOrStdin()) },
		},
		{
			Use: minimumGuard, Hidden: true, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return guardMinimum(cmd.Context(), cmd.InOrStdin()) },
		},
		{
			Use: local.GatewayCommand, Hidden: true, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return local.Gateway(cmd.Context(), cmd.InOrStdin(), bootstrap.Publish)
			},
		},
	}
}
