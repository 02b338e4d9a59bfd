package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"craton.dev/craton/cluster"
	"craton.dev/craton/payload"
	"github.com/spf13/cobra"
)

// version is set by the linker: -X craton.dev/craton/cli.version=v1.2.3.
var version = payload.Version

// versionInfo is what -o json prints.
type versionInfo struct {
	Version    string   `json:"version"`
	Commit     string   `json:"commit,omitempty"`
	Go         string   `json:"go"`
	Platform   string   `json:"platform"`
	Kubernetes []string `json:"kubernetes"`
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		GroupID: groupSelf,
		Short:   "Print the versions of craton and of what it installs",
		Long:    `Print the versions of craton, of the Go that built it, and of the Kubernetes that it installs.`,
		Example: `  craton version
  craton version -o json`,
		Args: noArgs,
	}
	out := addOutputFlag(cmd,
		format[versionInfo]{"text", writeVersion},
		jsonFormat[versionInfo](), yamlFormat[versionInfo](),
	)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return out.print(cmd.OutOrStdout(), thisVersion())
	}
	return cmd
}

func thisVersion() versionInfo {
	v := versionInfo{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Kubernetes: cluster.KubernetesVersions,
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func writeVersion(w io.Writer, v versionInfo) error {
	fmt.Fprintf(w, "craton      %s\n", v.Version)
	if v.Commit != "" {
		fmt.Fprintf(w, "commit      %s\n", v.Commit)
	}
	fmt.Fprintf(w, "go          %s %s\n", v.Go, v.Platform)
	_, err := fmt.Fprintf(w, "kubernetes  %s\n", listed(v.Kubernetes))
	return err
}
