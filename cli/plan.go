package cli

import (
	"fmt"
	"io"

	"craton.dev/craton/minimum"
	"craton.dev/craton/plan"
	"github.com/spf13/cobra"
)

func planCommand() *cobra.Command {
	var file, old string
	var exitCodeFlag bool
	cmd := &cobra.Command{
		Use:     "plan",
		GroupID: groupDesign,
		Short:   "Show what a cluster file means",
		Long: `Show what follows from a cluster file: machines and their addresses, every rule and the
clauses that ask for it, names, and the certificates to issue. The same file gives the same
bytes. csv is the sheet for a network team, a row a rule; svg is a picture.

With --diff, show instead what changes from an older cluster file: what opens, what shuts and
what moves with it. As with git diff, the exit code is 0 unless --exit-code is given.`,
		Example: `  craton plan
  craton plan -o csv > firewall.csv
  craton plan -o svg > cluster.svg
  craton plan --diff cluster.old.yaml --exit-code`,
		Args: noArgs,
	}
	addFileFlag(cmd, &file)
	out := addOutputFlag(cmd,
		format[*plan.Plan]{"table", plan.WriteTable},
		format[*plan.Plan]{"json", plan.WriteJSON},
		format[*plan.Plan]{"yaml", plan.WriteYAML},
		format[*plan.Plan]{"csv", plan.WriteCSV},
		format[*plan.Plan]{"svg", plan.WriteSVG},
	)
	cmd.Flags().StringVar(&old, "diff", "", "show what changes from this older cluster file (-o table, json or yaml)")
	cmd.Flags().BoolVar(&exitCodeFlag, "exit-code", false, "with --diff: exit with 3 where something changes")
	_ = cmd.MarkFlagFilename("diff", "yaml", "yml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		if old == "" {
			if exitCodeFlag {
				return usage("--exit-code is about --diff: give the older cluster file with --diff")
			}
			p, err := loadPlan(file)
			if err != nil {
				return err
			}
			small, err := minimum.Below(p)
			if err != nil {
				return err
			}
			for _, s := range small {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", s)
			}
			return out.print(cmd.OutOrStdout(), p)
		}
		changed, err := diff(cmd.OutOrStdout(), old, file, out.chosen)
		if err == nil && changed && exitCodeFlag {
			return difference(nil)
		}
		return err
	}
	return cmd
}

// diff prints what changes from one cluster file to another, and tells whether anything does.
func diff(w io.Writer, old, file, chosen string) (bool, error) {
	formats := &output[plan.Changes]{chosen: chosen, formats: []format[plan.Changes]{
		{"table", func(w io.Writer, c plan.Changes) error { return c.WriteTable(w) }},
		jsonFormat[plan.Changes](),
		yamlFormat[plan.Changes](),
	}}
	if err := formats.check(); err != nil {
		return false, err
	}
	before, err := loadPlan(old)
	if err != nil {
		return false, err
	}
	after, err := loadPlan(file)
	if err != nil {
		return false, err
	}
	changes := plan.Diff(before, after)
	return !changes.Empty(), formats.print(w, changes)
}
