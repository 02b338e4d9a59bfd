package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/minimum"
	"craton.dev/craton/payload"
	"craton.dev/craton/prove"
)

// Limits of a trial: what takes longer does not work. A cluster needs half a minute where nothing is scarce.
const (
	upLimit    = 150 * time.Second
	trialLimit = 8 * time.Minute
)

func minimumCommand() *cobra.Command {
	var file string
	var roles, resources []string
	cmd := &cobra.Command{
		Use:     "minimum",
		GroupID: groupCluster,
		Short:   "Measure how small machines can be",
		Long: `Measures the least memory, processor time and disk of each role's machines with which every
operation of the cluster file's cluster still works within its time. For each of them it halves
the way between what is enough and what is not, a cluster a trial: it is made with machines that
are held to so much, every operation is tried on it, and it is removed again. It is not enough
where the cluster does not come up, an operation fails or the kernel ends a program for want of
memory. Only one resource of one role is scarce at a time.

The clusters are called NAME-minimum; that of the file is not touched. A measurement takes an
hour. One that was stopped goes on where it was; were it killed, its cluster goes as well.`,
		Example: `  craton minimum --role worker --resource memory
  craton minimum -o markdown > minimum.md
  craton minimum -o json | jq .least`,
		Args: noArgs,
	}
	addFileFlag(cmd, &file)
	cmd.Flags().StringSliceVar(&roles, "role", nil, "only machines of these roles: worker, master, infra")
	cmd.Flags().StringSliceVar(&resources, "resource", nil, "only these: memory, processor, disk")
	results := addResultFlags(cmd, "trial", "15m", "minimum.json beside the cluster file")
	out := addOutputFlag(cmd, format[*minimum.Results]{"table", minimum.WriteTable}, jsonFormat[*minimum.Results](),
		format[*minimum.Results]{"markdown", func(w io.Writer, r *minimum.Results) error { return minimum.WriteMarkdown(w, r) }})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		if results.page != "" {
			r, err := minimum.Read(results.page)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return out.print(cmd.OutOrStdout(), r)
		}
		f, err := loadCluster(file)
		if err != nil {
			return err
		}
		if results.file == "" {
			results.file = filepath.Join(filepath.Dir(file), "minimum.json")
		}
		opt := minimum.Options{File: f, Results: results.file, For: results.limit}
		if opt.Roles, opt.Resources, err = measured(f, roles, resources); err != nil {
			return err
		}
		f.Name += "-minimum"
		if _, err := cluster.Parse(file, f.Canonical()); err != nil { // with the longer name
			return &exitError{exitUsage, fmt.Errorf("the clusters of the measurement are called %s: %w", f.Name, err)}
		}
		if err := needRoot("minimum"); err != nil {
			return err
		}
		p := newProgress(cmd.ErrOrStderr())
		defer p.end()
		release, err := guard(minimumGuard, f.Name)
		if err != nil {
			return err
		}
		defer release()
		opt.Progress, opt.Try = p.say, trial(bootstrap.Options{Cache: payload.DefaultCache()})
		r, err := minimum.Run(cmd.Context(), opt)
		p.end()
		if r == nil {
			return err
		}
		return errors.Join(err, out.print(cmd.OutOrStdout(), r))
	}
	return cmd
}

// measured are the roles and resources that were asked for.
func measured(f *cluster.Cluster, roles, resources []string) (of []contract.Role, what []minimum.Resource, err error) {
	count := map[contract.Role]int{contract.Master: f.Masters, contract.Infra: f.Infra, contract.Worker: f.Workers}
	for _, r := range roles {
		if count[contract.Role(r)] == 0 {
			return nil, nil, usage("--role %s: the cluster has no machine of it", r)
		}
		of = append(of, contract.Role(r))
	}
	for _, r := range resources {
		if !slices.Contains(minimum.Resources(), minimum.Resource(r)) {
			return nil, nil, usage("--resource %s: expected one of %v", r, minimum.Resources())
		}
		what = append(what, minimum.Resource(r))
	}
	return of, what, nil
}

// trial makes a cluster, tries every operation on it, and removes it.
func trial(opt bootstrap.Options) minimum.Try {
	return func(ctx context.Context, f *cluster.Cluster) (up, operations time.Duration, failure string, err error) {
		down := func() error {
			if err := bootstrap.Down(context.WithoutCancel(ctx), f.Name, opt); err != nil && !errors.Is(err, bootstrap.ErrNone) {
				return err
			}
			return nil
		}
		if err := down(); err != nil { // one that was killed together with its guard
			return 0, 0, "", err
		}
		defer func() { err = errors.Join(err, down()) }()
		within, cancel := context.WithTimeout(ctx, trialLimit)
		defer cancel()
		failure, err = attempt(within, f, opt, &up, &operations)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return up, operations, failure, err
	}
}

// attempt is a trial's middle: what did not work is a failure, what has nothing to do with it an error.
func attempt(ctx context.Context, f *cluster.Cluster, opt bootstrap.Options, up, operations *time.Duration) (failure string, err error) {
	began := time.Now()
	ended, stop, err := bootstrap.WatchMemory(f.Name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stop()) }()
	within, cancel := context.WithTimeout(ctx, upLimit)
	c, upErr := bootstrap.Up(within, f, opt)
	cancel()
	*up = time.Since(began)
	switch killed, err := ended(); {
	case err != nil:
		return "", err
	case len(killed) > 0:
		return "the kernel ended " + strings.Join(killed, ", ") + " for want of memory while it came up", nil
	case upErr != nil:
		return "it does not come up: " + short(upErr), nil
	}
	began = time.Now()
	_, proveErr := experiment(ctx, c, prove.Options{Clauses: []string{}})
	*operations = time.Since(began)
	switch killed, err := ended(); {
	case err != nil:
		return "", err
	case len(killed) > 0:
		return "the kernel ended " + strings.Join(killed, ", ") + " for want of memory", nil
	case proveErr != nil:
		return short(proveErr), nil
	}
	return "", nil
}

// short is an error in a line.
func short(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Sprintf("%.300s", line)
}

// minimumGuard is the hidden command of the process that removes a measurement's cluster if that is killed.
const minimumGuard = "minimum-guard"

// guardMinimum waits for the end of its input, and removes the cluster that it names.
func guardMinimum(ctx context.Context, in io.Reader) error {
	name, err := guarded(in)
	if err != nil {
		return err
	}
	if err := bootstrap.Down(ctx, name, bootstrap.Options{}); err != nil && !errors.Is(err, bootstrap.ErrNone) {
		fmt.Fprintln(os.Stderr, err)
		return err
	}
	return nil
}
