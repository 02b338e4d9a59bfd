package cli

import (
	"github.com/spf13/cobra"

	"craton.dev/craton/metrics"
)

func metricsCommand() *cobra.Command {
	var file, name string
	cmd := &cobra.Command{
		Use:     "metrics",
		GroupID: groupCluster,
		Short:   "Print the counters of clauses and the cluster's other metrics, as Prometheus reads them",
		Long: `Prints, in Prometheus' text format, what there is to measure of a cluster from outside of its
machines: how many packets each clause of the contract has let through, what was dropped, which
machines run, whether etcd has a leader, when certificates end and when the last backup was taken.

It asks this host and the machines, not the API. Where the node exporter runs, the same is
served by those of masters, for a Prometheus to read.`,
		Example: `  craton metrics
  craton metrics | grep craton_clause_packets_total`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := openCluster(file, name)
			if err != nil {
				return err
			}
			families, err := c.Metrics(cmd.Context())
			if err != nil {
				return err
			}
			return metrics.Write(cmd.OutOrStdout(), families)
		},
	}
	clusterFlags(cmd, &file, &name)
	return cmd
}
