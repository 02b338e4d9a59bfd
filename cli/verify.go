package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/verify"
)

func verifyCommand() *cobra.Command {
	var file, name string
	var from, to []string
	var rounds int
	var static staticInput
	var traffic bool
	cmd := &cobra.Command{
		Use:     "verify",
		GroupID: groupCluster,
		Short:   "Compare a running cluster's ports, or rules, with the plan",
		Long: `Sends probes to all 65535 ports, tcp and udp, of each machine from each kind of peer (the
user network, the outside, the resolver, the load balancer, each other machine) and the other
way round, and compares what gets through with what the plan allows. A port counts as open
where a probe arrived and was answered, as closed where the fabric counted the drop of every
probe, and as unknown otherwise. The boundaries of each rule and some other ports are tried
with ordinary connections too.

Nothing on the machines is changed. It takes a second or two for each pair and protocol.

With --static nothing is sent: the rules are read and decided, exactly, for every packet of every
protocol and port between all addresses. Without --rules these are the fabric's, as its kernel has
them now; --rules names a file of nftables (text, or JSON of nft -j list ruleset), "-" is stdin,
which is compared with the plan of the cluster file: the rules of a router between all machines
or, with --machine, those of one machine. --watch goes on: it reads the fabric's rules every second, and says how they
are each time they have changed.

With --traffic nothing is sent or compared: it says which clauses let how many connections through since the fabric
was made, which connections there are now and since when, which clauses were never used, and of the packets in the
fabric's log of drops, whose rate is limited, what they would have been.

Exit code 3 where anything is not as planned, or unknown.`,
		Example: `  craton verify
  craton verify --static
  craton verify --static --watch
  craton verify --traffic
  craton render nftables | craton verify --static --rules -
  craton verify --static --rules worker-1.json --machine demo-worker-1
  craton verify --from user --to demo-master-1
  craton verify -o json | jq '.checks[] | select(.observed != .expected)'`,
		Args: noArgs,
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().StringSliceVar(&from, "from", nil, "probe from these only: user, outside, resolver, balancer, or machines' names")
	cmd.Flags().StringSliceVar(&to, "to", nil, "probe these only")
	cmd.Flags().IntVar(&rounds, "rounds", 3, "how often to probe a port that does not answer, 1 to 8")
	static.flags(cmd, &file)
	cmd.Flags().BoolVar(&traffic, "traffic", false, "say which clauses were used by whom, and what was dropped; send nothing")
	out := addOutputFlag(cmd, format[*verify.Verification]{"table", verify.WriteTable},
		jsonFormat[*verify.Verification](), yamlFormat[*verify.Verification]())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		if rounds < 1 || rounds > 8 {
			return usage("--rounds %d: expected 1 to 8", rounds)
		}
		if err := static.check(cmd); err != nil {
			return err
		}
		for _, flag := range []string{"static", "from", "to", "rounds"} {
			if traffic && cmd.Flags().Changed(flag) {
				return usage("--traffic sends nothing and compares nothing: leave --%s out", flag)
			}
		}
		if static.watch {
			return static.follow(cmd, file, name, func(v *verify.Verification) error { return out.print(cmd.OutOrStdout(), v) })
		}
		if static.on {
			v, err := static.verify(cmd, file, name)
			if err != nil {
				return err
			}
			return verdict(cmd, out, v)
		}
		c, err := openCluster(file, name)
		if err != nil {
			return err
		}
		if err := needRoot("verify"); err != nil {
			return err
		}
		if traffic {
			return printTraffic(cmd, c, out.chosen)
		}
		if err := c.Restore(cmd.Context()); err != nil {
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
		return verdict(cmd, out, v)
	}
	return cmd
}

// printTraffic prints who has used what of a running cluster.
func printTraffic(cmd *cobra.Command, c *bootstrap.Cluster, chosen string) error {
	out := &output[*verify.Traffic]{chosen: chosen, formats: []format[*verify.Traffic]{
		{"table", verify.WriteTraffic}, jsonFormat[*verify.Traffic](), yamlFormat[*verify.Traffic](),
	}}
	var seen verify.Seen
	var err error
	if seen.Since, err = c.Platform.Counting(); err != nil {
		return fmt.Errorf("cluster %s does not run here, so there is no traffic: %w", c.Plan.Cluster, err)
	}
	if seen.Clauses, _, err = c.Platform.Counters(cmd.Context()); err != nil {
		return err
	}
	if seen.Flows, err = c.Platform.Flows(); err != nil {
		return err
	}
	if seen.Drops, _, err = c.Platform.Drops(0); err != nil {
		return err
	}
	t, err := verify.Traffics(c.Plan, seen)
	if err != nil {
		return err
	}
	return out.print(cmd.OutOrStdout(), t)
}

// verdict prints a verification; anything in it that is not as planned is a difference.
func verdict(cmd *cobra.Command, out *output[*verify.Verification], v *verify.Verification) error {
	if err := out.print(cmd.OutOrStdout(), v); err != nil {
		return err
	}
	if v.Summary.Failed+v.Summary.Unknown > 0 {
		return difference(nil)
	}
	return nil
}
