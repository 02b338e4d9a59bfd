package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
)

func statusCommand() *cobra.Command {
	var file, name string
	var out *output[*bootstrap.Status]
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupCluster,
		Short:   "Say how the cluster is, and what is wrong with it",
		Long: `Says for each machine and each program of the platform whether it is well, and what is wrong
where it is not. Exit code 3 where anything is wrong.`,
		Example: `  craton status
  craton status -o json | jq '.machines[] | select(.ready | not)'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := openCluster(file, name)
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := out.print(cmd.OutOrStdout(), s); err != nil {
				return err
			}
			if !s.Ready {
				return difference(nil)
			}
			return nil
		},
	}
	clusterFlags(cmd, &file, &name)
	out = addOutputFlag(cmd, format[*bootstrap.Status]{"table", writeStatus}, jsonFormat[*bootstrap.Status](), yamlFormat[*bootstrap.Status]())
	return cmd
}

func writeStatus(to io.Writer, s *bootstrap.Status) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MACHINE\tROLE\tADDRESS\tSTATE")
	for _, m := range s.Machines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Name, m.Role, m.Address, state(m.Ready, m.Problem))
	}
	fmt.Fprintln(w, "\nCOMPONENT\tREADY\tSTATE")
	for _, comp := range s.Components {
		fmt.Fprintf(w, "%s\t%d/%d\t%s\n", comp.Name, comp.Ready, comp.Want, state(comp.Problem == "", comp.Problem))
	}
	return w.Flush()
}

func state(ok bool, problem string) string {
	if ok {
		return "ok"
	}
	return problem
}
