package bootstrap

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// restarted puts stdin in the place of a file that is there and that differs, and starts the
// kubelet again, which lets pods run on. A file that is not there comes with the machine's
// first boot.
const restarted = `set -e
test -e "$1" || exit 0
umask 022
cat >"$1.new"
if cmp -s "$1.new" "$1"; then rm "$1.new"; exit 0; fi
mv "$1.new" "$1"
systemctl restart kubelet`

// tellKubelets brings the configuration of the kubelets of running masters up to date: theirs
// alone depends on what a file may change while the cluster runs.
func (c *Cluster) tellKubelets(ctx context.Context) error {
	running, err := c.runningMasters(ctx)
	if err != nil {
		return err
	}
	for _, m := range running {
		file, err := firstboot.Kubelet(c.Plan, &m)
		if err != nil {
			return err
		}
		if err := c.tell(ctx, m, restarted, file.Path, file.Contents, "tell the kubelet of "+m.Name+" which ports to serve"); err != nil {
			return err
		}
	}
	return nil
}

// tell runs a script that brings a file of a machine up to date, till it has: the machine may be starting.
func (c *Cluster) tell(ctx context.Context, m plan.Machine, script, path string, contents []byte, what string) error {
	argv := []string{"sh", "-c", script, "sh", path}
	return c.await(ctx, time.Minute, time.Second, func(ctx context.Context) (string, error) {
		if err := c.Platform.Exec(ctx, m.Name, argv, bytes.NewReader(contents), nil, nil); err != nil {
			return fmt.Sprintf("%s: %v", what, said(err)), nil
		}
		return "", nil
	})
}
