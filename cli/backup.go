package cli

import (
	"fmt"
	"os"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"craton.dev/craton/backup"
	"craton.dev/craton/bootstrap"
)

func backupCommand() *cobra.Command {
	var file, name, out, identityOut string
	var recipients []string
	cmd := &cobra.Command{
		Use:     "backup",
		GroupID: groupCluster,
		Short:   "Write an encrypted file from which the cluster can be recovered",
		Long: `Copies all that the cluster has in etcd, while it runs, and writes it into one new file
together with the cluster's authorities, keys and cluster file: what "craton recover" needs,
also where nothing else is left. The copy is verified before the file gets its name.

The file is encrypted with age (https://age-encryption.org): whoever has one of the keys can
take the whole cluster over. Name the recipients' public keys, or let craton make a key. Keep
the key apart from the backup, and away from the cluster's machines and this host.`,
		Example: `  craton backup --identity-out demo.key                   # makes a key
  craton backup --recipient age1… --out /mnt/backup/demo  # with a key that there is`,
		Args: noArgs,
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().StringVar(&out, "out", "", "the new file (default NAME-DATE-TIME.craton-backup in the current folder)")
	cmd.Flags().StringArrayVar(&recipients, "recipient", nil, "a public key of age's that can read the backup; may be given several times")
	cmd.Flags().StringVar(&identityOut, "identity-out", "", "make a key that can read it, and write it into this new file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if len(recipients) == 0 && identityOut == "" {
			return usage("who may read the backup? It holds all keys of the cluster: name a public key with --recipient, or a file for a new key with --identity-out")
		}
		if len(recipients) > 0 && identityOut != "" {
			return usage("--identity-out makes a key of its own: leave it out, or --recipient")
		}
		to, err := backup.Recipients(recipients)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		if name, err = clusterName(file, name); err != nil {
			return err
		}
		if err := needRoot("backup"); err != nil {
			return err
		}
		p := newProgress(cmd.ErrOrStderr())
		c, err := bootstrap.Open(name, options(p))
		if err != nil {
			return err
		}
		if identityOut != "" {
			id, err := backup.NewIdentity(identityOut, time.Now())
			if err != nil {
				return &exitError{exitUsage, err}
			}
			to = []age.Recipient{id}
		}
		if out == "" {
			out = fmt.Sprintf("%s-%s.craton-backup", name, time.Now().UTC().Format("20060102-150405"))
		}
		taken, err := c.Backup(cmd.Context(), out, to)
		p.end()
		if err != nil {
			if identityOut != "" {
				os.Remove(identityOut) // a key of nothing
			}
			return misused(err)
		}
		key := identityOut
		if key == "" {
			key = "KEYFILE"
		}
		fmt.Fprintf(cmd.OutOrStdout(), `Backup of cluster %s: %s, %d bytes.
It holds %d keys of etcd at revision %d, as %s had them, and was verified (SHA-256 %s).

  craton recover --from %s --identity %s

Keep the key apart from the backup: without it nobody can read the backup, with it anybody can.
`, name, taken.File, taken.Bytes, taken.Keys, taken.Header.Snapshot.Revision, taken.Master, taken.Header.Snapshot.SHA256, taken.File, key)
		return nil
	}
	return cmd
}
