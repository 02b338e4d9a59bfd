package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/cluster"
	"craton.dev/craton/command"
	"craton.dev/craton/payload"
	"craton.dev/craton/signin"
)

// needRoot refuses what only root can do on a host.
func needRoot(verb string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("craton %s makes network namespaces and machines, which needs root: run it with sudo", verb)
	}
	return nil
}

func clusterFlags(cmd *cobra.Command, file, name *string) {
	addFileFlag(cmd, file)
	cmd.Flags().StringVar(name, "cluster", "", "name of the cluster, instead of the one in the file")
	cmd.MarkFlagsMutuallyExclusive("file", "cluster")
}

// clusterName is the cluster meant: by its name, or by its file, or, where there is
// neither, the only one on this host.
func clusterName(file, name string) (string, error) {
	if chosen, err := chosenCluster(file, name); chosen != "" || err != nil {
		return chosen, err
	}
	if found := clustersHere(); len(found) == 1 && file == defaultFile {
		return found[0], nil
	}
	return "", noCluster(file)
}

// chosenCluster is the cluster that a person has named, by its name or its file; "" where nothing
// names one. That is for what cannot be taken back: nobody removes a cluster because it is the
// only one there.
func chosenCluster(file, name string) (string, error) {
	if name != "" {
		if err := cluster.CheckName(name); err != nil {
			return "", usage("--cluster: %w", err)
		}
		return name, nil
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	f, err := loadCluster(file)
	if err != nil {
		return "", err
	}
	return f.Name, nil
}

func noCluster(file string) error {
	return usage("there is no cluster file %s: name one with --file, or the cluster with --cluster", file)
}

// clustersHere are the names of the clusters of this host.
func clustersHere() (names []string) {
	entries, _ := os.ReadDir(bootstrap.StateRoot) // without the folder there are none
	for _, e := range entries {
		if e.IsDir() && cluster.CheckName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names
}

func openCluster(file, name string) (*bootstrap.Cluster, error) {
	name, err := clusterName(file, name)
	if err != nil {
		return nil, err
	}
	return bootstrap.Open(name, bootstrap.Options{Cache: payload.DefaultCache()})
}

func kubeconfigCommand() *cobra.Command {
	var file, name string
	var login bool
	cmd := &cobra.Command{
		Use:     "kubeconfig",
		GroupID: groupCluster,
		Short:   "Print a kubeconfig for this host",
		Long: `Prints the administrator's kubeconfig. It reaches the API by a loopback port of this host
and verifies the API's own name. It holds a key: keep it to yourself.

With --login it is one for everybody who signs in, wherever they are: it has no secret, and
reaches the API by its name.`,
		Example: `  craton kubeconfig > demo.kubeconfig
  craton kubeconfig --login > demo-login.kubeconfig
  KUBECONFIG=~/.kube/config:demo.kubeconfig kubectl --context demo get pods`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := openCluster(file, name)
			if err != nil {
				return err
			}
			b, err := kubeconfigFor(c, login)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().BoolVar(&login, "login", false, "one without a key, for people who sign in with craton login")
	return cmd
}

func kubeconfigFor(c *bootstrap.Cluster, login bool) ([]byte, error) {
	if !login {
		return c.Kubeconfig()
	}
	api, place, err := c.SignIn(false)
	if err != nil {
		return nil, err
	}
	return signin.Kubeconfig(c.Name+"-login", api, place, "craton")
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "kubectl [--cluster NAME | -f FILE] ARGUMENT...",
		GroupID: groupCluster,
		Short:   "Run kubectl on the cluster",
		Long: `Runs the kubectl of the cluster's own version, as its administrator. Everything after the
optional --cluster or --file (-f) is kubectl's.`,
		Example: `  craton kubectl get nodes
  craton kubectl --cluster demo exec -it pod/web -- sh`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			file, name := defaultFile, ""
			for len(args) > 0 {
				flag, value, joined := strings.Cut(args[0], "=")
				// kubectl has no -f before its verb.
				into := map[string]*string{"--cluster": &name, "--file": &file, "-f": &file}[flag]
				if into == nil {
					break
				}
				args = args[1:]
				if !joined {
					if len(args) == 0 {
						return usage("%s needs a value", flag)
					}
					value, args = args[0], args[1:]
				}
				*into = value
			}
			c, err := openCluster(file, name)
			if err != nil {
				return err
			}
			kubeconfig, err := c.KubeconfigFile()
			if err != nil {
				return err
			}
			program, err := c.Kubectl(cmd.Context())
			if err != nil {
				return err
			}
			env := append(os.Environ(), "KUBECONFIG="+kubeconfig)
			// kubectl takes this process's place: its exit code, signals and terminal are its own.
			return fmt.Errorf("run %s: %w", program, syscall.Exec(program, append([]string{"kubectl"}, args...), env))
		},
	}
}

func sshCommand() *cobra.Command {
	var file, name string
	cmd := &cobra.Command{
		Use:     "ssh MACHINE [-- COMMAND...]",
		GroupID: groupCluster,
		Short:   "Get a shell on a machine, or run a command there",
		Long: `Runs a command (a shell by default) as root on a machine, by its console: it works where the
document opens no ssh port, and while the machine's network is broken.`,
		Example: `  craton ssh demo-master-1
  craton ssh demo-worker-1 -- journalctl -u kubelet -n 20`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("craton ssh takes a machine's name first: see %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := openCluster(file, name)
			if err != nil {
				return err
			}
			if err := needRoot("ssh"); err != nil {
				return err
			}
			argv := args[1:]
			if len(argv) == 0 {
				argv = []string{"/bin/bash", "-l"}
			}
			return remote(c.Platform.Exec(cmd.Context(), args[0], argv, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	clusterFlags(cmd, &file, &name)
	return cmd
}

// remote makes the exit code of a program on a machine craton's own.
func remote(err error) error {
	if e, ok := errors.AsType[*command.Error](err); ok && e.ExitCode() > 0 {
		return &exitError{code: e.ExitCode()}
	}
	return err
}

func logsCommand() *cobra.Command {
	var file, name, unit string
	var follow bool
	var lines int
	cmd := &cobra.Command{
		Use:     "logs MACHINE",
		GroupID: groupCluster,
		Short:   "Show a machine's journal",
		Long: `Shows what a machine's services wrote: the last lines, or all that follows. It is read by
the machine's console, so it works while the machine's network or the API does not. The
logs of pods are kubectl's: craton kubectl logs.`,
		Example: `  craton logs demo-master-1 --unit kubelet
  craton logs demo-worker-1 --follow`,
		Args: oneArg("a machine's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := openCluster(file, name)
			if err != nil {
				return err
			}
			if err := needRoot("logs"); err != nil {
				return err
			}
			argv := []string{"journalctl", "--no-pager", fmt.Sprintf("--lines=%d", lines)}
			if unit != "" {
				argv = append(argv, "--unit="+unit)
			}
			if follow {
				argv = append(argv, "--follow")
			}
			return remote(c.Platform.Exec(cmd.Context(), args[0], argv, nil, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	clusterFlags(cmd, &file, &name)
	cmd.Flags().StringVarP(&unit, "unit", "u", "", "only this systemd unit, such as kubelet or containerd")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with what comes")
	cmd.Flags().IntVarP(&lines, "lines", "n", 100, "how many lines from the end")
	return cmd
}
