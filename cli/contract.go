package cli

import (
	"io"

	"craton.dev/craton/contract"
	"github.com/spf13/cobra"
)

func contractCommand() *cobra.Command {
	var role, level, origin string
	cmd := &cobra.Command{
		Use:     "contract",
		GroupID: groupDesign,
		Short:   "Show the platform document's clauses",
		Long: `Show the platform document as data: one clause a line, with its line in the document, and
beside the document's clauses the derived ones, which a running cluster needs and the
document forgot. Each derived clause says why (-o json, yaml or markdown).`,
		Example: `  craton contract
  craton contract --role master --level MUST
  craton contract --origin derived -o markdown`,
		Args: noArgs,
	}
	out := addOutputFlag(cmd,
		format[[]contract.Clause]{"table", contract.WriteTable},
		format[[]contract.Clause]{"json", func(w io.Writer, c []contract.Clause) error { return writeJSON(w, contract.List(c)) }},
		format[[]contract.Clause]{"yaml", func(w io.Writer, c []contract.Clause) error { return writeYAML(w, contract.List(c)) }},
		format[[]contract.Clause]{"markdown", writeContractMarkdown},
	)
	cmd.Flags().StringVar(&role, "role", "", "only clauses for this role: "+listed(texts(contract.Roles())))
	cmd.Flags().StringVar(&level, "level", "", "only clauses of this level: "+listed(texts(contract.Levels())))
	cmd.Flags().StringVar(&origin, "origin", "", "only clauses of this origin: "+listed(texts(contract.Origins())))
	completeWith(cmd, "role", texts(contract.Roles())...)
	completeWith(cmd, "level", texts(contract.Levels())...)
	completeWith(cmd, "origin", texts(contract.Origins())...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, err := range []error{
			out.check(),
			filter("--role", role, contract.Roles()),
			filter("--level", level, contract.Levels()),
			filter("--origin", origin, contract.Origins()),
		} {
			if err != nil {
				return err
			}
		}
		clauses := contract.Select(contract.Role(role), contract.Level(level), contract.Origin(origin))
		return out.print(cmd.OutOrStdout(), clauses)
	}
	return cmd
}

// filter checks the value of a filter, which is "" where it is not used.
func filter[T ~string](flag, value string, all []T) error {
	if value == "" {
		return nil
	}
	return oneOf(flag, value, texts(all)...)
}

func texts[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, a := range all {
		out[i] = string(a)
	}
	return out
}
