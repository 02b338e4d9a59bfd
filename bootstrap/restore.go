package bootstrap

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
	"craton.dev/craton/snapshot"
)

// restoreScript is what is done on a master, one verb at a time.
//
//go:embed restore.sh
var restoreScript []byte

// work is this recovery's folder on a master.
func (r *recovery) work() string { return path.Join(etcdDir, "recovery-"+r.stamp) }

// on runs a verb of the script on a master and returns what it prints.
func (r *recovery) on(ctx context.Context, m plan.Machine, verb string, args ...string) (string, error) {
	var out bytes.Buffer
	argv := append([]string{"env", "DIR=" + etcdDir, "WORK=" + r.work(), "STAMP=" + r.stamp, "ETCD=" + payload.Image("etcd"), "OPERATOR=" + payload.Image(payload.Operator), "sh", "-s", "--", verb}, args...)
	if err := said(r.c.Platform.Exec(ctx, m.Name, argv, bytes.NewReader(restoreScript), &out, nil)); err != nil {
		return "", fmt.Errorf("%s: %w", m.Name, err)
	}
	return out.String(), nil
}

// startTarget chooses the master that gets the data, and starts it where it does not run.
func (r *recovery) startTarget(ctx context.Context) error {
	running, err := r.c.runningMasters(ctx)
	if err != nil {
		return err
	}
	switch {
	case r.target.Name != "":
	case len(running) > 0:
		r.target = running[0]
	default:
		r.target = r.c.masters()[0]
	}
	r.done.Master = r.target.Name
	if !slices.ContainsFunc(running, func(m plan.Machine) bool { return m.Name == r.target.Name }) {
		return r.start(ctx, r.target)
	}
	return nil
}

// start starts a master and waits until it can be worked with.
func (r *recovery) start(ctx context.Context, m plan.Machine) error {
	r.c.opt.say("starting %s (%s)", m.Name, m.Address)
	config, err := r.c.firstBoot(ctx, m, manifests.Bring{}) // no API but its own is left
	if err != nil {
		return err
	}
	if err := r.c.Platform.Start(ctx, m, config); err != nil {
		return err
	}
	_, err = r.on(ctx, m, "awake")
	return err
}

// bring makes a member's data of the source, on the target, beside what is there.
func (r *recovery) bring(ctx context.Context) error {
	if r.o.FromMachine != "" {
		if err := r.extract(ctx); err != nil {
			return err
		}
	} else {
		r.c.opt.say("copying the snapshot to %s", r.target.Name)
		f, err := os.Open(r.source.db)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := r.c.Platform.Exec(ctx, r.target.Name, []string{"sh", "-c", `umask 077; mkdir -p "$1" && cat > "$1/snapshot.db"`, "sh", r.work()}, f, nil, nil); err != nil {
			return fmt.Errorf("%s: %w", r.target.Name, said(err))
		}
	}
	contents := r.source.contents
	r.done.Revision, r.done.Keys = contents.Revision, contents.Keys
	if b := r.source.backup; b != nil {
		r.done.Taken = b.Header.Created
	}
	peer, err := etcdURL(r.target, clauseEtcdPeer)
	if err != nil {
		return err
	}
	r.c.opt.say("making data of revision %d for etcd on %s", contents.Revision, r.target.Name)
	// A token of its own gives the cluster of members a new id: what comes back of the old one
	// cannot take part in the new one.
	_, err = r.on(ctx, r.target, "build", r.target.Name, peer, r.c.Name+"-"+rand.Text(), strconv.FormatInt(revisionsAbove(contents.Revision, time.Now()), 10))
	return err
}

// revisionsAbove is by how much the revisions of restored data go on above the snapshot's, to be
// above all that anybody has seen: what watches from a revision that is yet to come would be told
// of nothing till then. The microseconds since 1970 are above those of every cluster, which never
// writes so often, and of each recovery before this one, whatever it was made of.
func revisionsAbove(snapshot int64, now time.Time) int64 {
	if by := now.UnixMicro() - snapshot; by > 0 {
		return by
	}
	return 1_000_000_000 // a clock is wrong, or was at an earlier recovery
}

// extract takes a snapshot of the target's disk. Its etcd, which can do nothing without the
// others, is ended before.
func (r *recovery) extract(ctx context.Context) error {
	if err := r.halt(ctx, r.target); err != nil {
		return err
	}
	r.c.opt.say("taking a snapshot of the disk of %s", r.target.Name)
	peer, err := clausePort(clauseEtcdPeer)
	if err != nil {
		return err
	}
	client, err := clausePort(clauseEtcdClient)
	if err != nil {
		return err
	}
	if _, err := r.on(ctx, r.target, "extract", strconv.Itoa(peer), strconv.Itoa(client)); err != nil {
		return err
	}
	db := path.Join(r.spool, "extracted.db")
	f, err := os.OpenFile(db, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.c.Platform.Exec(ctx, r.target.Name, []string{"cat", path.Join(r.work(), "snapshot.db")}, nil, f, nil); err != nil {
		return fmt.Errorf("%s: %w", r.target.Name, said(err))
	}
	r.source.db = db
	if r.source.contents, err = snapshot.Verify(db); err != nil {
		return err
	}
	return owned(db, "the disk of "+r.target.Name, r.c.Name, r.c.pkiDir(), true)
}

// halt ends a master's control plane.
func (r *recovery) halt(ctx context.Context, m plan.Machine) error {
	r.c.opt.say("ending the control plane on %s", m.Name)
	r.halted[m.Name] = true
	_, err := r.on(ctx, m, "halt")
	return err
}

// setAside ends etcd everywhere before the new one starts: not for a moment are there two.
func (r *recovery) setAside(ctx context.Context) error {
	running, err := r.c.runningMasters(ctx)
	if err != nil {
		return err
	}
	group, limited := errgroup.WithContext(ctx)
	for _, m := range running {
		if !r.halted[m.Name] {
			r.halted[m.Name] = true
			group.Go(func() error {
				r.c.opt.say("ending the control plane on %s", m.Name)
				_, err := r.on(limited, m, "halt")
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, m := range running {
		verb, args := "aside", []string(nil)
		if m.Name == r.target.Name {
			verb, args = "use", []string{firstboot.ManifestDir, manifests.CheckpointDir}
		}
		if err := r.aside(ctx, m, verb, args...); err != nil {
			return err
		}
	}
	delete(r.halted, r.target.Name)
	r.began = time.Now()
	r.c.opt.say("starting the control plane on %s", r.target.Name)
	_, err = r.on(ctx, r.target, "resume")
	return err
}

// aside runs a verb that moves data, and notes where to.
func (r *recovery) aside(ctx context.Context, m plan.Machine, verb string, args ...string) error {
	out, err := r.on(ctx, m, verb, args...)
	for line := range strings.Lines(out) {
		if to, ok := strings.CutPrefix(strings.TrimSpace(line), "aside "); ok {
			r.done.Moved = append(r.done.Moved, Moved{m.Name, to})
			r.c.opt.say("the data that %s had are now in %s", m.Name, to)
		}
	}
	return err
}

// startMasters lets the other masters join, one after another. One that was off is not let
// go on with its data: it would wait for those of its members that are no more.
func (r *recovery) startMasters(ctx context.Context) error {
	states, err := r.c.Platform.States(ctx)
	if err != nil {
		return err
	}
	exists := map[string]bool{}
	for _, s := range states {
		exists[s.Name] = true
	}
	for _, m := range r.c.masters() {
		switch {
		case m.Name == r.target.Name:
			continue
		case r.halted[m.Name]:
			restarted, err := r.readdressed(ctx, m)
			if err != nil {
				return err
			}
			if restarted { // it joins when it boots
				delete(r.halted, m.Name)
				continue
			}
		case !exists[m.Name]:
			if err := r.start(ctx, m); err != nil {
				return err
			}
			continue
		default:
			if err := r.start(ctx, m); err != nil {
				return err
			}
			if err := r.halt(ctx, m); err != nil {
				return err
			}
			if err := r.aside(ctx, m, "aside"); err != nil {
				return err
			}
		}
		r.c.opt.say("%s joins", m.Name)
		if _, err := r.on(ctx, m, "resume"); err != nil {
			return err
		}
		delete(r.halted, m.Name)
	}
	return nil
}

// readdress restarts the machines that were made anew since the restored data: they got another range of
// addresses for their pods, or at least another address in the network between machines, and others look for
// their pods where the data say. Both become right when a machine boots.
func (r *recovery) readdress(ctx context.Context) error {
	off, err := r.c.off(ctx)
	if err != nil {
		return err
	}
	for _, m := range r.c.Plan.Machines {
		if r.halted[m.Name] || slices.ContainsFunc(off, func(o plan.Machine) bool { return o.Name == m.Name }) {
			continue
		}
		restarted, err := r.readdressed(ctx, m)
		if err != nil {
			return err
		}
		if restarted {
			if err := r.c.awaitAPI(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// podNetwork is the file by which a machine gives its pods addresses; flannel writes it. linkAddress prints the
// address of its end of the network between machines, which it notes at the node under backendData.
const (
	podNetwork  = "/etc/cni/net.d/10-flannel.conflist"
	linkAddress = `ip -o link show flannel.1 2>/dev/null | sed -n 's,.*link/ether \([0-9a-f:]*\) .*,\1,p'`
	backendData = "flannel.alpha.coreos.com/backend-data"
)

// otherNetwork tells whether a machine that runs has other addresses for its pods, or for their network,
// than the API has at its node.
func (r *recovery) otherNetwork(ctx context.Context, m plan.Machine) (bool, error) {
	client, err := r.c.clientset()
	if err != nil {
		return false, err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, m.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil // it joins anew
	}
	if err != nil {
		return false, err
	}
	for _, one := range []struct{ prints, noted string }{
		{"cat " + podNetwork + " 2>/dev/null || :", node.Spec.PodCIDR}, {linkAddress, node.Annotations[backendData]},
	} {
		var has bytes.Buffer
		if err := r.c.Platform.Exec(ctx, m.Name, []string{"sh", "-c", one.prints}, nil, &has, nil); err != nil {
			return false, fmt.Errorf("%s: %w", m.Name, said(err))
		}
		// The file has the range among other things, and the note the link's address.
		text := strings.TrimSpace(has.String())
		if text != "" && one.noted != "" && !strings.Contains(text, `"`+one.noted+`"`) && !strings.Contains(one.noted, text) {
			return true, nil
		}
	}
	return false, nil
}

// readdressed takes a machine's power and gives it back where it has another network, and tells whether it has.
func (r *recovery) readdressed(ctx context.Context, m plan.Machine) (bool, error) {
	if other, err := r.otherNetwork(ctx, m); err != nil || !other {
		return false, err
	}
	r.c.opt.say("stopping %s: its place in the pods' network is another one than the restored data have", m.Name)
	// A pod that starts before its network knows the new range would get an address of the old one.
	if err := r.c.Platform.Exec(ctx, m.Name, []string{"sh", "-c", "rm -f " + podNetwork}, nil, nil, nil); err != nil {
		return false, fmt.Errorf("%s: %w", m.Name, said(err))
	}
	if err := r.c.Platform.PowerOff(ctx, m.Name); err != nil {
		return false, err
	}
	return true, r.start(ctx, m)
}

// resume starts what was ended for nothing: where a recovery failed before any data moved,
// all is as it was. Masters whose data are aside wait for somebody to join.
func (r *recovery) resume() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range r.c.masters() {
		moved := slices.ContainsFunc(r.done.Moved, func(d Moved) bool { return d.Machine == m.Name })
		if r.halted[m.Name] && !moved {
			all.Go(func() { r.on(ctx, m, "resume") })
		}
	}
	all.Wait()
	if len(r.done.Moved) == 0 && r.target.Name != "" {
		r.on(ctx, r.target, "drop")
	}
}

// memberTime is how long all masters may take to become voters: one after another.
const memberTime = 5 * time.Minute

// awaitMembers waits until every master has a vote in etcd, so that the cluster survives the
// next loss. Reports from before since are of other members.
func (c *Cluster) awaitMembers(ctx context.Context, since time.Time) error {
	client, err := c.clientset()
	if err != nil {
		return err
	}
	return c.await(ctx, memberTime, 500*time.Millisecond, c.telling(func(ctx context.Context) (string, error) {
		status, err := etcdStatus(ctx, client)
		if err != nil {
			return "the state of etcd's members cannot be read: " + err.Error(), nil
		}
		return noVote(status, c.masters(), since), nil
	}))
}

// noVote names a master without a healthy member that has a vote, or is "".
func noVote(status *inventory.EtcdStatus, masters []plan.Machine, since time.Time) string {
	if status.Time.Before(since) {
		return "the operator has not reported on etcd's members yet"
	}
	for _, m := range masters {
		if !slices.ContainsFunc(status.Members, func(e inventory.EtcdMember) bool { return e.Name == m.Name && e.Healthy && !e.Learner }) {
			return fmt.Sprintf("%s has no vote in etcd yet: %s", m.Name, cmp.Or(status.Refusal, status.Problem, status.Action))
		}
	}
	return ""
}
