package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/render/parts"
	"github.com/spf13/cobra"
)

func payloadCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "payload",
		GroupID: groupSelf,
		Short:   "List or build the upstream components that clusters run",
		Long: `The payload is everything that a cluster runs: upstream components at pinned versions, built
from source once into a cache (/var/cache/craton, or the folder that CRATON_CACHE names).`,
		Example: `  craton payload list
  craton payload build`,
	})
	cmd.AddCommand(payloadListCommand(), payloadBuildCommand(), payloadPathCommand())
	return cmd
}

// payloadListing is what payload list -o json prints.
type payloadListing struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Cache      string        `json:"cache"`
	Components []payload.Row `json:"components"`
}

func payloadListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all components",
		Long: `List every component with its version, the source that it is built from, its licence, and its
size where the cache has it.`,
		Example: `  craton payload list
  craton payload list -o json`,
		Args: noArgs,
	}
	out := addOutputFlag(cmd,
		format[payloadListing]{"table", writePayload},
		jsonFormat[payloadListing](), yamlFormat[payloadListing](),
	)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		rows, err := payload.List(cmd.Context(), "")
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), payloadListing{
			APIVersion: "craton.dev/v1alpha1", Kind: "Payload", Cache: payload.DefaultCache(), Components: rows,
		})
	}
	return cmd
}

func writePayload(w io.Writer, l payloadListing) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COMPONENT\tVERSION\tSOURCE\tFOR\tMIB\tLICENCE\tIMAGE")
	for _, r := range l.Components {
		size := "-"
		if r.Bytes > 0 {
			size = fmt.Sprintf("%.0f", float64(r.Bytes)/(1<<20))
		}
		use := r.Kind
		switch {
		case r.OnDemand && len(neededBy(r.Name)) > 0:
			use += " (with " + strings.Join(neededBy(r.Name), ", ") + ")"
		case r.OnDemand:
			use += " (on demand)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Version, r.Module, use, size, r.License, orDash(r.Image))
	}
	return t.Flush()
}

// neededBy are the fields of the cluster file that choose a part which runs a component of
// the payload.
func neededBy(component string) (fields []string) {
	for _, one := range parts.All() {
		for _, c := range contract.Components() {
			if c.Name == one.Name && c.Condition != contract.Always && slices.Contains(one.Payload, component) {
				fields = append(fields, c.Option)
			}
		}
	}
	return fields
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func payloadBuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build [COMPONENT…]",
		Short: "Build what is not in the cache yet",
		Long: `Build the named components, or all that a cluster needs, where the cache does not have them
yet. The first time this takes about 25 minutes on two cores; craton up does it by itself.
What is finished stays when it is stopped.`,
		Example: `  sudo craton payload build
  sudo craton payload build agnhost`,
		ValidArgs: payloadNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				if !slices.Contains(payloadNames(), name) {
					return usage("there is no component %q: craton payload list names them all", name)
				}
			}
			_, err := payload.Build(cmd.Context(), payload.Options{
				Want:     args,
				Progress: func(e payload.Event) { writeEvent(cmd.OutOrStdout(), e) },
			})
			return err
		},
	}
}

func payloadPathCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "path COMPONENT",
		Short: "Say where a component's program is, and build it where it is missing",
		Long: `Prints the path of the program of that name in the cache. It can be run there; a build of
another version gets another path.`,
		Example: `  sudo craton payload path kubectl
  CRATON_ETCD=$(craton payload path etcd) go test ./operate/etcd`,
		Args:      oneArg("a component's name"),
		ValidArgs: payloadNames()[1:],
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(payloadNames()[1:], args[0]) {
				return usage("there is no component %q: craton payload list names them all", args[0])
			}
			built, err := payload.Build(cmd.Context(), payload.Options{Want: args})
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), built.HostBin(args[0]))
			}
			return err
		},
	}
}

func payloadNames() []string {
	names := []string{payload.MachineImage}
	for _, c := range payload.Components() {
		names = append(names, c.Name)
	}
	return names
}

// writeEvent writes a step as a plain line, which is as good in a log as on a terminal.
func writeEvent(w io.Writer, e payload.Event) {
	line := fmt.Sprintf("%-8s %s", e.State, e.Component)
	if e.Seconds > 0 {
		line += fmt.Sprintf(" (%.1f s)", e.Seconds)
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}
