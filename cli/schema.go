package cli

import (
	"craton.dev/craton/cluster"
	"github.com/spf13/cobra"
)

func schemaCommand() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:     "schema",
		GroupID: groupDesign,
		Short:   "Print the JSON Schema of a cluster file",
		Long: `Print the JSON Schema of a cluster file, for editors and checkers, or with --markdown the
page that describes every field. What needs arithmetic (networks that overlap, room for
machines) is not in the schema: craton plan checks it.`,
		Example: `  craton schema > cluster.schema.json
  craton schema --markdown | less`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := cluster.Schema()
			if markdown {
				text = cluster.Reference()
			}
			_, err := cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the reference of all fields instead")
	return cmd
}
