package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/payload"
)

func upCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "up",
		GroupID: groupCluster,
		Short:   "Bring the cluster of the file up, or up to date",
		Long: `Brings the cluster of the cluster file up: builds what it is made of (once, into a cache),
makes its machines and their network, and waits until it is ready.

Run again it goes on where it was stopped, changes what the file says differently now
(workers, options), and does nothing where nothing differs. What cannot be changed on a
running cluster is refused before anything is touched.`,
		Example: `  craton up
  craton up -f examples/small.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := loadCluster(file)
			if err != nil {
				return err
			}
			if err := needRoot("up"); err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr())
			c, err := bootstrap.Up(cmd.Context(), f, options(p))
			p.end()
			if err != nil {
				return misused(err)
			}
			took := time.Since(p.began).Seconds()
			fmt.Fprintf(cmd.OutOrStdout(), `Cluster %s is ready: %d machines, %.1f s.

  craton kubectl get nodes --show-labels     use it
  craton kubeconfig > %s.kubeconfig          for other clients on this host
  craton status                              see how it is
  craton down                                remove it
`, c.Name, len(c.Plan.Machines), took, c.Name)
			if err := showConsole(cmd.OutOrStdout(), c); err != nil {
				return err
			}
			return showFirstPassword(cmd.OutOrStdout(), c)
		},
	}
	addFileFlag(cmd, &file)
	return cmd
}

// showConsole says where people find the Console, and how from this host, which does not know
// its name.
func showConsole(to io.Writer, c *bootstrap.Cluster) error {
	url, connect, err := c.Console()
	if url == "" || err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, `
The Console is at %s. With a browser on this host:

  chromium --host-resolver-rules="MAP %s %s" %[1]s
`, url, c.Plan.Network.Console, connect)
	return err
}

// showFirstPassword shows what is never shown again, and only then has it kept.
func showFirstPassword(to io.Writer, c *bootstrap.Cluster) error {
	first, ok := c.FirstPassword()
	if !ok {
		return nil
	}
	if _, err := fmt.Fprintf(to, `
Sign in with craton login. This password is shown once, and kept nowhere:

  name      %s
  password  %s
`, first.Name, first.Password); err != nil {
		return err
	}
	return c.ShownFirstPassword()
}

func downCommand() *cobra.Command {
	var file, name string
	cmd := &cobra.Command{
		Use:     "down",
		GroupID: groupCluster,
		Short:   "Remove the cluster and all that belongs to it",
		Long: `Removes the cluster: its machines with their data, its network, keys and state. The cache
of built components stays. The cluster is that of cluster.yaml in this folder, or the one that is named by
--file or --cluster: none is guessed.`,
		Example: `  craton down
  craton down --cluster demo`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := chosenCluster(file, name)
			if err != nil {
				return err
			}
			if name == "" {
				return noCluster(file)
			}
			if err := needRoot("down"); err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr())
			defer p.end()
			return bootstrap.Down(cmd.Context(), name, options(p))
		},
	}
	clusterFlags(cmd, &file, &name)
	return cmd
}

func options(p *progress) bootstrap.Options {
	return bootstrap.Options{Cache: payload.DefaultCache(), Progress: p.say, Built: built()}
}
