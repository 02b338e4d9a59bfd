package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"

	"craton.dev/craton/cluster"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests"
	"github.com/spf13/cobra"
)

// emit writes files to stdout, or into a folder where one is given: there for their owner
// only, since some hold keys.
func emit(w io.Writer, dir string, files []rendered) error {
	if dir == "" {
		for _, f := range files {
			if _, err := w.Write(f.text); err != nil {
				return err
			}
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := replace(path, f.text); err != nil {
			return err
		}
		fmt.Fprintln(w, path)
	}
	return nil
}

// replace writes a file anew, so that an older one with wider rights does not lend them.
func replace(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return os.Chmod(path, 0o600)
	}
	return atomicwriter.WriteFile(path, text, 0o600)
}

// firstBoot is what a machine gets at its first boot where nothing is known of a platform.
func firstBoot(in renderInput, m plan.Machine) (*firstboot.Config, error) {
	opt := firstboot.Options{PauseImage: payload.Image("pause")}
	first := m.Name == in.plan.Machines[0].Name
	err := manifests.FirstBoot(&opt, in.plan, &m, payload.Image, manifests.Bring{
		Founding: first, Joining: !first, Authority: in.secrets.Authorities[pki.KubernetesCA].Cert,
	})
	if err != nil {
		return nil, err
	}
	return firstboot.For(in.plan, m.Name, in.secrets, opt)
}

// completeMachines lets the shell complete the names of a file's machines.
func completeMachines(file *string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, err := cluster.Load(*file)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		p, err := plan.Make(c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, m := range p.Machines {
			names = append(names, m.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
