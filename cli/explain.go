package cli

import (
	"io"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "explain PORT|CLAUSE",
		GroupID: groupDesign,
		Short:   "Say why a port is open, or what a clause is for",
		Long: `Say which clauses open a port (for instance 10250, udp/4789 or 30000-32767/tcp), from whom to
whom, which components use it, and what stops without it; or the same for one clause by its
id. Exit code 3 means that nothing opens it in this cluster.`,
		Example: `  craton explain 10250
  craton explain udp/4789
  craton explain master.ingress.ssh`,
		Args:              oneArg("a port or a clause"),
		ValidArgsFunction: completeClauses,
	}
	addFileFlag(cmd, &file)
	out := addOutputFlag(cmd,
		format[plan.Explanation]{"table", func(w io.Writer, e plan.Explanation) error { return e.WriteTable(w) }},
		jsonFormat[plan.Explanation](),
		yamlFormat[plan.Explanation](),
	)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		p, err := loadPlan(file)
		if err != nil {
			return err
		}
		explanation, err := plan.Explain(p, args[0])
		if err != nil {
			return &exitError{exitUsage, err}
		}
		if err := out.print(cmd.OutOrStdout(), explanation); err != nil {
			return err
		}
		if !explanation.Open {
			return difference(nil)
		}
		return nil
	}
	return cmd
}

// completeClauses completes the ids of clauses, with their purposes.
func completeClauses(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var ids []cobra.Completion
	if len(args) == 0 {
		for _, c := range contract.Clauses() {
			ids = append(ids, cobra.CompletionWithDesc(c.ID, c.Purpose))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
