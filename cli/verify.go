package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"craton.dev/craton/machines/local"
	"craton.dev/craton/verify"
)

func verifyCommand() *cobra.Command {
	var file, name string
	var from, to []string
	var rounds int
	cmd := &cobra.Command{
		Use:     "verify",
		GroupID: groupCluster,
		Short:   "Probe every port of the running cluster and compare with the plan",
		Long: `Sends probes to all 65535 ports, tcp and udp, of each machine from each kind of peer (the
user network, the outside, the resolver, the load balancer, each other machine) and the other
way round, and compares what gets through with what the plan allows. A port counts as open
where a probe arrived and was answered, as closed where the fabric counted the drop of every
probe, and as unknown otherwise. The boundaries of each rule and some other ports are tried
with ordinary connections too.

Nothing on the machines is changed. It takes a second or two for each pair and protocol. Exit
code 3 where anything is not as planned, or unknown.`,
		Example: `  craton verify
  craton verify --from user --to demo-master-1
  craton verify -o json | jq '.checks[] | select(.observed != .expected)'`,
		Args: noArgs,
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().StringSliceVar(&from, "from", nil, "probe from these only: user, outside, resolver, balancer, or machines' names")
	cmd.Flags().StringSliceVar(&to, "to", nil, "probe these only")
	cmd.Flags().IntVar(&rounds, "rounds", 3, "how often to probe a port that does not answer, 1 to 8")
	out := addOutputFlag(cmd, format[*verify.Verification]{"table", verify.WriteTable},
		format[*verify.Verification]{"json", verify.WriteJSON}, yamlFormat[*verify.Verification]())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		if rounds < 1 || rounds > 8 {
			return usage("--rounds %d: expected 1 to 8", rounds)
		}
		c, err := openCluster(file, name)
		if err != nil {
			return err
		}
		if err := needRoot("verify"); err != nil {
			return err
		}
		places, err := c.Platform.Places(c.Plan)
		if err != nil {
			return err
		}
		var known []string
		for _, p := range places {
			known = append(known, p.Name)
		}
		for flag, wanted := range map[string][]string{"--from": from, "--to": to} {
			for _, w := range wanted {
				if err := oneOf(flag, w, known...); err != nil {
					return err
				}
			}
		}
		p := newProgress(cmd.ErrOrStderr())
		v, err := verify.Live(cmd.Context(), c.Platform, c.Plan, verify.Options{
			Rounds: rounds, Progress: p.say,
			Between: func(src, dst local.Place) bool {
				return (len(from) == 0 || slices.Contains(from, src.Name)) && (len(to) == 0 || slices.Contains(to, dst.Name))
			},
		})
		p.end()
		if err != nil {
			return err
		}
		if err := out.print(cmd.OutOrStdout(), v); err != nil {
			return err
		}
		if v.Summary.Failed+v.Summary.Unknown > 0 {
			return difference(nil)
		}
		return nil
	}
	return cmd
}
