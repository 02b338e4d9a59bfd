package bootstrap

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
)

// mayShrink refuses a file with fewer masters than before where those that stay could not
// decide anything by themselves: they hold all of the cluster's data then. It is asked
// before the cluster is told anything. The error is a Misuse.
func (c *Cluster) mayShrink(ctx context.Context, before *cluster.Cluster) error {
	if before == nil || before.Masters <= c.Plan.File.Masters || before.Etcd == etcdExternal || !c.founded() {
		return nil
	}
	was, err := plan.Make(before)
	if err != nil {
		return err
	}
	fewer := fmt.Sprintf("masters: %d → %d", before.Masters, c.Plan.File.Masters)
	back := fmt.Sprintf("put masters: %d back, and `craton up` starts what is off", before.Masters)
	// Whoever runs knows the members, also one that is to go.
	old := *c
	old.Plan = was
	members, _, err := old.members(ctx, "")
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return misuse("%s: nobody can say whether those that stay have a quorum (%s): %s", fewer, oneLine(err.Error()), back)
	}
	var stay []string
	for _, m := range c.masters() {
		stay = append(stay, m.Name)
	}
	if why := cannotDoAlone(members, stay); why != "" {
		return misuse("%s: %s: %s", fewer, why, back)
	}
	return nil
}

// cannotDoAlone says why the members of the machines that stay would have no quorum without
// the others, or why these cannot go now; "" where all is well.
func cannotDoAlone(members []etcdMember, stay []string) string {
	count := func(where string, all []etcdMember) string {
		var well int
		var down []string
		for _, m := range all {
			if m.Healthy {
				well++
			} else {
				down = append(down, cmp.Or(m.Name, m.ID))
			}
		}
		if quorum := len(all)/2 + 1; well < quorum {
			if len(all) == 0 {
				return "no voter of etcd is" + where
			}
			return fmt.Sprintf("%d of %d voters of etcd%s are healthy (not %s), and their quorum is %d", well, len(all), where, strings.Join(down, " and "), quorum)
		}
		return ""
	}
	var voters, staying []etcdMember
	for _, m := range members {
		if m.Learner {
			continue
		}
		voters = append(voters, m)
		if slices.Contains(stay, m.Name) {
			staying = append(staying, m)
		}
	}
	return cmp.Or(count("", voters), count(" on the masters that stay", staying))
}
