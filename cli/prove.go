package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/payload"
	"craton.dev/craton/prove"
)

func proveCommand() *cobra.Command {
	var file, name string
	var clauses, merge []string
	var part string
	var brief, keep, again, sufficient bool
	cmd := &cobra.Command{
		Use:     "prove",
		GroupID: groupCluster,
		Short:   "Show by experiment that the rules are enough, and which are needed",
		Long: `Tries on a running cluster every operation that it is there for, with exactly the plan's
rules; then takes one clause after another out of the fabric, looks which operations break,
and puts it back. What breaks is compared with what the contract says: each difference is a
finding.

It never opens anything. While it runs, the cluster loses for some seconds at a time what
the clause is for, a worker joins again several times and is powered off some: it is not for
a cluster that somebody uses. --brief leaves out what takes a machine's services away. A
proof that was stopped goes on where it was when it is run again; were it killed, the rules
are put back at once, or by the next craton prove, verify or up.

Where the cluster of the file does not run, it is brought up, and taken down afterwards
unless --keep is given.

Exit code 3 where an operation does not work with all rules, or anything broke otherwise
than predicted.`,
		Example: `  craton prove
  craton prove --sufficient --brief               # does everything work, with the rules as they are?
  craton prove --clause worker.ingress.kubelet
  craton prove -o html > proof.html
  craton prove --part 1/2 --results one.json      # and 2/2 on another host
  craton prove --merge one.json,two.json -o json > whole.json
  craton prove -o json | jq '.necessary[] | select(.verdict == "redundant")'`,
		Args: noArgs,
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().StringSliceVar(&clauses, "clause", nil, "take only these out")
	cmd.Flags().BoolVar(&brief, "brief", false, "try only what takes no machine's services away")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave a cluster that was brought up for it")
	cmd.Flags().BoolVar(&again, "again", false, "begin anew instead of where an earlier run was stopped")
	cmd.Flags().StringVar(&part, "part", "", "take out one part of the clauses only, such as 1/4: other hosts may take the others out of clusters of the same file")
	cmd.Flags().StringSliceVar(&merge, "merge", nil, "print the results in these files, one for each part, as one proof, and try nothing")
	cmd.Flags().BoolVar(&sufficient, "sufficient", false, "only try every operation with all rules: take nothing out, and keep no results")
	cmd.MarkFlagsMutuallyExclusive("sufficient", "part", "clause")
	results := addResultFlags(cmd, "clause", "8m", "in the cluster's folder")
	cmd.MarkFlagsMutuallyExclusive("sufficient", "results")
	out := addOutputFlag(cmd, format[*prove.Proof]{"table", prove.WriteTable}, jsonFormat[*prove.Proof](),
		format[*prove.Proof]{"html", prove.WriteHTML},
		format[*prove.Proof]{"markdown", func(w io.Writer, p *prove.Proof) error { return prove.WriteMarkdown(w, p) }})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		for _, id := range clauses {
			if c, ok := contract.ByID(id); !ok || len(c.Ports) == 0 {
				return usage("--clause %s: the contract has no such clause that opens ports: craton contract lists them", id)
			}
		}
		if len(merge) > 0 {
			proof, err := merged(merge)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return out.print(cmd.OutOrStdout(), proof)
		}
		var own prove.Part
		if part != "" {
			var err error
			if own, err = prove.ParsePart(part); err != nil {
				return usage("--part %w", err)
			}
		}
		if results.page != "" {
			proof, err := prove.Read(results.page)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return out.print(cmd.OutOrStdout(), proof)
		}
		if err := needRoot("prove"); err != nil {
			return err
		}
		p := newProgress(cmd.ErrOrStderr())
		defer p.end()
		c, down, err := clusterToProve(cmd.Context(), file, name, keep, p)
		if err != nil {
			return err
		}
		switch {
		case sufficient:
			clauses, again = []string{}, false
		case results.file == "":
			results.file = c.ProofFile()
		}
		if again {
			if err := os.Remove(results.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		proof, err := experiment(cmd.Context(), c, prove.Options{Clauses: clauses, Part: own, Brief: brief, For: results.limit, File: results.file, Progress: p.say})
		err = errors.Join(err, down())
		p.end()
		var insufficient *prove.NotSufficient
		if proof == nil || err != nil && !errors.As(err, &insufficient) {
			return err
		}
		if printErr := out.print(cmd.OutOrStdout(), proof); printErr != nil {
			return printErr
		}
		if len(proof.Findings()) > 0 {
			return difference(err)
		}
		return err
	}
	return cmd
}

// merged is the proof whose parts are in some files.
func merged(files []string) (*prove.Proof, error) {
	var parts []*prove.Proof
	for _, file := range files {
		p, err := prove.Read(file)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return prove.Merge(parts...)
}

// clusterToProve opens the cluster, which is brought up where its file's does not run.
func clusterToProve(ctx context.Context, file, name string, keep bool, p *progress) (c *bootstrap.Cluster, down func() error, err error) {
	nothing := func() error { return nil }
	opt := bootstrap.Options{Cache: payload.DefaultCache(), Progress: p.say}
	id, err := clusterName(file, name)
	if err != nil {
		return nil, nil, err
	}
	c, err = bootstrap.Open(id, opt)
	if !errors.Is(err, bootstrap.ErrNone) || name != "" {
		return c, nothing, err
	}
	f, err := loadCluster(file)
	if err != nil {
		return nil, nil, err
	}
	if c, err = bootstrap.Up(ctx, f, opt); err != nil {
		return nil, nil, fmt.Errorf("%w\nthe cluster stays as it is, to be looked at: craton down --cluster %s removes it", err, id)
	}
	if keep {
		return c, nothing, nil
	}
	return c, func() error { return bootstrap.Down(context.WithoutCancel(ctx), id, opt) }, nil
}

// experiment proves on a cluster, with somebody beside it who puts the rules back if this
// process is killed.
func experiment(ctx context.Context, c *bootstrap.Cluster, opt prove.Options) (*prove.Proof, error) {
	stage, closeStage, err := c.Stage(ctx)
	if err != nil {
		return nil, err
	}
	release, err := guard(guardCommand, c.Name)
	if err != nil {
		return nil, errors.Join(err, closeStage())
	}
	defer release()
	if opt.Operations, err = operation.Of(c.Plan); err != nil {
		return nil, errors.Join(err, closeStage())
	}
	opt.Plan, opt.Fabric, opt.Stage, opt.Out, opt.Back = c.Plan, c.Platform, stage, c.TakenOut, c.PutBack
	opt.Settle, opt.Fresh = stage.Settle, stage.Fresh
	proof, err := prove.Run(ctx, opt)
	return proof, errors.Join(err, closeStage())
}

// guardCommand is the hidden command of the process that guards an experiment.
const guardCommand = "prove-guard"

// guard starts the process of a hidden command that looks after a cluster. It reads from a pipe whose
// other end this process has: when that is gone, so is this process, however it ended.
func guard(hidden, cluster string) (release func(), err error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	go func() {
		defer in.Close()
		_, _ = command.Cmd{Name: self, Args: []string{hidden}, Stdin: in, Timeout: 24 * time.Hour,
			Attr: &syscall.SysProcAttr{Setsid: true}}.Run(context.Background()) // what it says, the next command finds again
	}()
	if err := json.NewEncoder(out).Encode(cluster); err != nil {
		return nil, err
	}
	return func() { out.Close() }, nil
}

// guarded waits for the end of a guard's input, and returns the name of the cluster in it.
func guarded(in io.Reader) (cluster string, err error) {
	b, err := io.ReadAll(in)
	if err != nil {
		return "", err
	}
	return cluster, json.NewDecoder(strings.NewReader(string(b))).Decode(&cluster)
}

// guardProof puts the rules back once the proof has ended.
func guardProof(ctx context.Context, in io.Reader) error {
	name, err := guarded(in)
	if err != nil {
		return err
	}
	c, err := bootstrap.Open(name, bootstrap.Options{})
	if err != nil {
		return err
	}
	return c.Restore(ctx)
}
