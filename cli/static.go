package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/filter/nft"
	"craton.dev/craton/operate/footprint"
	"craton.dev/craton/plan"
	"craton.dev/craton/verify"
)

// watchGC is how much a watcher's garbage may grow before it is collected, in percent of what is
// in use.
const watchGC = 25

// staticInput is what verify --static is told.
type staticInput struct {
	on, watch      bool
	rules, machine string
}

func (in *staticInput) flags(cmd *cobra.Command, file *string) {
	cmd.Flags().BoolVar(&in.on, "static", false, "decide from the rules, without sending anything")
	cmd.Flags().StringVar(&in.rules, "rules", "", "with --static: a file with rules of nftables, or - for stdin, instead of the fabric's")
	cmd.Flags().StringVar(&in.machine, "machine", "", "with --rules: they are this machine's own")
	cmd.Flags().BoolVar(&in.watch, "watch", false, "with --static: go on, and tell each time the fabric's rules have changed")
	_ = cmd.MarkFlagFilename("rules", "nft", "json")
	_ = cmd.RegisterFlagCompletionFunc("machine", completeMachines(file))
}

func (in *staticInput) check(cmd *cobra.Command) error {
	for _, flag := range []string{"rules", "machine", "watch"} {
		if cmd.Flags().Changed(flag) && !in.on {
			return usage("--%s is about rules: add --static", flag)
		}
	}
	for _, flag := range []string{"from", "to", "rounds"} {
		if cmd.Flags().Changed(flag) && in.on {
			return usage("--%s is about probes, and --static sends none: leave one of the two out", flag)
		}
	}
	if in.watch && in.rules != "" {
		return usage("--watch is about the fabric, and --rules names a file: leave one of the two out")
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
	c, err := in.open(cmd, file, name)
	if err != nil {
		return nil, err
	}
	listing, ports, err := c.Platform.Rules(cmd.Context(), c.Plan)
	if err != nil {
		return nil, err
	}
	return fabricVerified(c.Plan, listing, ports)
}

// open opens the cluster whose fabric is asked about.
func (in *staticInput) open(cmd *cobra.Command, file, name string) (*bootstrap.Cluster, error) {
	c, err := openCluster(file, name)
	if err != nil {
		return nil, err
	}
	if err := needRoot("verify --static"); err != nil {
		return nil, err
	}
	return c, c.Restore(cmd.Context())
}

func fabricVerified(p *plan.Plan, listing []byte, ports map[string]string) (*verify.Verification, error) {
	rules, err := nft.Read("the fabric", listing)
	if err != nil {
		return nil, err
	}
	return verify.Static(p, rules, verify.StaticOptions{Ports: ports})
}

// follow tells how the fabric's rules are, and again whenever they have changed. What the plan
// is, is asked each time: another craton may have changed it.
func (in *staticInput) follow(cmd *cobra.Command, file, name string, print func(*verify.Verification) error) error {
	var c *bootstrap.Cluster
	var ports map[string]string
	// It may run for months beside what it watches. What it holds is small, so that looking for
	// garbage more often costs little.
	debug.SetGCPercent(watchGC)
	go footprint.Keep(cmd.Context(), footprint.Mapping)
	return verify.Watch(cmd.Context(), func(ctx context.Context) (listing []byte, err error) {
		if c, err = in.open(cmd, file, name); err != nil {
			return nil, err
		}
		listing, ports, err = c.Platform.Rules(ctx, c.Plan)
		return listing, err
	}, func(listing []byte) (*verify.Verification, error) {
		return fabricVerified(c.Plan, listing, ports)
	}, func(v *verify.Verification, err error) error {
		if err != nil {
			printError(cmd.ErrOrStderr(), err)
			return nil
		}
		fmt.Fprintln(cmd.ErrOrStderr(), time.Now().Format("15:04:05"))
		return print(v)
	})
}

// readInput reads a file that a person named, or stdin for "-". What never ends is no file of rules.
func readInput(cmd *cobra.Command, name string) ([]byte, error) {
	from := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("cannot read the rules: %w", err)
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, nft.MaxSize+1))
	if err != nil {
		return nil, usage("cannot read the rules: %w", err)
	}
	if len(text) > nft.MaxSize {
		return nil, usage("%s: expected at most %d MiB of rules", name, nft.MaxSize>>20)
	}
	return text, nil
}
