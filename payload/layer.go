package payload

import (
	"context"
	"os"
	"path/filepath"

	"craton.dev/craton/command"
)

// kubernetesSource is the folder of source/ with the graph of Kubernetes' module.
const kubernetesSource = "kubernetes"

// baseKey does not cover the versions of Debian's packages, as rootFSKey does not.
func baseKey(folder string) (string, error) {
	files, err := sourceFiles(folder)
	if err != nil {
		return "", err
	}
	return key("base", debian, files, kubernetes)
}

// base makes the layer of a folder of source/, where the cache has it not, and notes where
// it is.
func (b *build) base(ctx context.Context, folder string) error {
	k, err := baseKey(folder)
	if err != nil {
		return err
	}
	dir, err := b.entry(ctx, "base", folder, k, func(dir, work string) error { return makeBase(ctx, folder, dir, work) })
	b.mu.Lock()
	b.dirs[folder] = dir
	b.mu.Unlock()
	return err
}

// makeBase unpacks the folder's packages into dir and runs its setup.sh on that. The packages
// are not installed: none of their scripts run, and there is no package manager.
func makeBase(ctx context.Context, folder, dir, work string) error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	files, err := sourceFiles(folder)
	if err != nil {
		return err
	}
	if packages := files["packages"]; packages != "" {
		if err := debstrap(ctx, dir, work, "--variant=extract", packages); err != nil {
			return err
		}
	}
	src, setup := filepath.Join(work, "src"), filepath.Join(work, "setup.sh")
	if err := unpackSource(kubernetesSource, src); err != nil {
		return err
	}
	upstream, err := moduleDir(ctx, "k8s.io/kubernetes", src)
	if err != nil {
		return err
	}
	if err := os.WriteFile(setup, []byte(files["setup.sh"]), 0o755); err != nil {
		return err
	}
	if _, err := (command.Cmd{Name: setup, Args: []string{dir, upstream}, Attr: dieWithUs()}).Run(ctx); err != nil {
		return err
	}
	return clampTimes(dir)
}
