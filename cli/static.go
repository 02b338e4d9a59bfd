package cli

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"craton.dev/craton/filter/nft"
	"craton.dev/craton/verify"
)

// staticInput is what verify --static is told.
type staticInput struct {
	on             bool
	rules, machine string
}

func (in *staticInput) flags(cmd *cobra.Command, file *string) {
	cmd.Flags().BoolVar(&in.on, "static", false, "decide from the rules, without sending anything")
	cmd.Flags().StringVar(&in.rules, "rules", "", "with --static: a file with rules of nftables, or - for stdin, instead of the fabric's")
	cmd.Flags().StringVar(&in.machine, "machine", "", "with --rules: they are this machine's own")
	_ = cmd.MarkFlagFilename("rules", "nft", "json")
	_ = cmd.RegisterFlagCompletionFunc("machine", completeMachines(file))
}

func (in *staticInput) check(cmd *cobra.Command) error {
	for _, flag := range []string{"rules", "machine"} {
		if cmd.Flags().Changed(flag) && !in.on {
			return usage("--%s is about rules: add --static", flag)
		}
	}
	for _, flag := range []string{"from", "to", "rounds"} {
		if cmd.Flags().Changed(flag) && in.on {
			return usage("--%s is about probes, and --static sends none: leave one of the two out", flag)
		}
	}
	if in.machine != "" && in.rules == "" {
		return usage("--machine is about a file of rules: name it with --rules")
	}
	if in.rules != "" && cmd.Flags().Changed("cluster") {
		return usage("--rules are compared with the plan of a cluster file: name that with --file instead of --cluster")
	}
	return nil
}

// verify compares the rules with the plan: a file's with the cluster file's, the fabric's
// with that of the running cluster.
func (in *staticInput) verify(cmd *cobra.Command, file, name string) (*verify.Verification, error) {
	if in.rules != "" {
		p, err := loadPlan(file)
		if err != nil {
			return nil, err
		}
		if err := (renderInput{plan: p, machine: in.machine}).check(file); err != nil {
			return nil, err
		}
		text, err := readInput(cmd, in.rules)
		if err != nil {
			return nil, err
		}
		rules, err := nft.Read(in.rules, text)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		v, err := verify.Static(p, rules, verify.StaticOptions{Machine: in.machine})
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		return v, nil
	}
	c, err := openCluster(file, name)
	if err != nil {
		return nil, err
	}
	if err := needRoot("verify --static"); err != nil {
		return nil, err
	}
	if err := c.Restore(cmd.Context()); err != nil {
		return nil, err
	}
	listing, ports, err := c.Platform.Rules(cmd.Context(), c.Plan)
	if err != nil {
		return nil, err
	}
	rules, err := nft.Read("the fabric", listing)
	if err != nil {
		return nil, err
	}
	return verify.Static(c.Plan, rules, verify.StaticOptions{Ports: ports})
}

// readInput reads a file that a person named, or stdin for "-".
func readInput(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), nft.MaxSize+1))
		if err != nil {
			return nil, err
		}
		return text, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usage("cannot read the rules: %w", err)
	}
	return text, nil
}
