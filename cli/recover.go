package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
)

func recoverCommand() *cobra.Command {
	var file, name string
	var o bootstrap.RecoverOptions
	cmd := &cobra.Command{
		Use:     "recover {--from FILE | --from-machine NAME}",
		GroupID: groupCluster,
		Short:   "Bring a cluster back from a backup, or from one master's disk",
		Long: `Sets the cluster's data to those of a backup, or of the disk of one master that is left, and
brings the cluster up with them.

  --from FILE          a backup of "craton backup", or a snapshot of etcdctl's. Machines that
                       are gone are made anew. With a backup that is all it takes: the
                       cluster may be gone from this host altogether.
  --from-machine NAME  where the quorum is lost for good: what this master's disk has becomes
                       the cluster's data, and the other masters join it with empty disks.

It is not for a cluster that comes back by itself, or with "craton up": after a loss of power
everything is still there. All that was written since the backup is lost, and so a cluster
that works is refused, unless --force names it.

The backup is verified before anything is touched. No data are deleted: what was on the
masters is moved aside there, and the output says where to. Run again, it begins anew.`,
		Example: `  craton recover --from demo.craton-backup --identity demo.key
  craton recover --cluster demo --from-machine demo-master-2`,
		Args: noArgs,
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().StringVar(&o.From, "from", "", "the backup's file")
	cmd.Flags().StringVar(&o.Identity, "identity", "", "the file of the key that reads it")
	cmd.Flags().StringVar(&o.FromMachine, "from-machine", "", "the master whose disk has the data")
	cmd.Flags().StringVar(&o.Force, "force", "", "the cluster's `NAME`, where it is to be set back although it works")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.From == "" && o.FromMachine == "" {
			return usage("recover from what? Name a backup with --from, or a master with --from-machine")
		}
		if o.FromMachine != "" && (o.From != "" || o.Identity != "") {
			return usage("--from-machine is a source of its own: leave out --from and --identity, or it")
		}
		// A backup says itself of which cluster it is, also where there is no cluster file any more.
		if _, err := os.Stat(file); o.From == "" || name != "" || cmd.Flags().Changed("file") || !errors.Is(err, fs.ErrNotExist) {
			if name, err = clusterName(file, name); err != nil {
				return err
			}
		}
		if err := needRoot("recover"); err != nil {
			return err
		}
		o.Cluster = name
		p := newProgress(cmd.ErrOrStderr())
		done, err := bootstrap.Recover(cmd.Context(), o, options(p))
		p.end()
		if done != nil && (err == nil || len(done.Moved) > 0) {
			writeRecovered(cmd.OutOrStdout(), done, err == nil)
		}
		return misused(err)
	}
	return cmd
}

func writeRecovered(w io.Writer, r *bootstrap.Recovered, ready bool) {
	if ready {
		fmt.Fprintf(w, "Cluster %s is ready again, with %d keys of etcd at revision %d", r.Cluster, r.Keys, r.Revision)
		if !r.Taken.IsZero() {
			fmt.Fprintf(w, ", as of %s", r.Taken.Format(time.RFC3339))
		}
		fmt.Fprintf(w, ", restored on %s.\n", r.Master)
	}
	if len(r.Moved) > 0 {
		fmt.Fprintln(w, "Data that were there before are aside on their machines. Delete them once you are sure:")
		for _, m := range r.Moved {
			fmt.Fprintf(w, "  %s  %s\n", m.Machine, m.Path)
		}
	}
}
