package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/contract"
	"craton.dev/craton/health"
	"craton.dev/craton/machines"
	"craton.dev/craton/plan"
)

// Replace makes one of the cluster's machines anew, with an empty disk, and waits until it is ready.
// A machine that works is drained before, for at most the time drain, and keeps its pods
// where a disruption budget does. A master leaves etcd before, where the others have a quorum
// without it; an error says which member keeps it from that. Until the machine's disk is
// removed it goes on as it was where Replace fails. It goes on where it was stopped when it is run again.
func (c *Cluster) Replace(ctx context.Context, name string, drain time.Duration) error {
	i := slices.IndexFunc(c.Plan.Machines, func(m plan.Machine) bool { return m.Name == name })
	if i < 0 {
		var names []string
		for _, m := range c.Plan.Machines {
			names = append(names, m.Name)
		}
		return misuse("cluster %s has no machine %s: it has %s", c.Name, name, strings.Join(names, ", "))
	}
	r := &replacement{c: c, m: c.Plan.Machines[i], drainTime: drain}
	r.member = r.m.Role == contract.Master && c.Plan.File.Etcd != etcdExternal
	switch {
	case r.m.Role != contract.Master || len(c.masters()) > 1:
	case !r.member:
		return misuse("%s is the only master of cluster %s, so that nobody would answer it when it comes back: `craton up` with masters: 3 first, and with masters: 1 when it is replaced", name, c.Name)
	default:
		return misuse("%s is the only master, and its disk has all of cluster %s: `craton backup` first; then, with the machine or its disk gone, `craton recover --from FILE` makes it anew", name, c.Name)
	}
	if err := c.acquire(ctx, lockPatience); err != nil {
		return err
	}
	defer c.release()
	if !c.founded() {
		return misuse("cluster %s has never been ready: `craton up` goes on with it", c.Name)
	}
	return c.perform(ctx, "replace "+name, []step{
		{"look", r.look},
		{"payload", c.buildPayload},
		{"secrets", c.makeSecrets},
		{"surroundings", func(ctx context.Context) error { return c.Platform.Prepare(ctx, c.Plan) }},
		{"room", func(context.Context) error { return c.Platform.Room(r.missing()) }},
		{"drain", r.drain},
		{"etcd", r.leave},
		{"remove", r.remove},
		{"token", c.applyObjects},
		{"start", r.start},
		{"ready", c.awaitReady},
		{"members", r.awaitVote},
	}, func(step string, err error) error {
		r.putBack()
		return r.trouble(ctx, step, err)
	})
}

// replacement is one run of Replace.
type replacement struct {
	c *Cluster
	m plan.Machine
	// member says that the machine has a member of the cluster's own etcd.
	member    bool
	drainTime time.Duration
	client    kubernetes.Interface

	state machines.State
	// node is nil where the machine has none.
	node *corev1.Node
	// off and removed say how far it has come: the machine is off because of us; nothing of it is left.
	off, removed bool
	// cordoned says that nothing new comes to the node because of us.
	cordoned bool
	started  time.Time
}

// look sees how the machine is, and refuses what should not be done before anything is.
func (r *replacement) look(ctx context.Context) (err error) {
	c := r.c
	if r.client, err = c.clientset(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r.node, err = r.client.CoreV1().Nodes().Get(limited, r.m.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		r.node, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("the API does not answer (%w), and without it nobody can say whether the others can do without %s: `craton status` says what is wrong; where masters are lost for good, `craton recover`", err, r.m.Name)
	}
	states, err := c.Platform.States(ctx)
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Name == r.m.Name {
			r.state = s
		}
	}
	if !r.member {
		return nil
	}
	members, through, err := c.members(ctx, r.m.Name)
	if err != nil {
		return err
	}
	c.opt.say("etcd has %d members by %s", len(members), through.Name)
	return mayLeave(members, r.m.Name)
}

// missing is the machine where it takes room that it does not take already.
func (r *replacement) missing() []plan.Machine {
	if r.state.Running {
		return nil
	}
	return []plan.Machine{r.m}
}

// alive tells whether somebody can end the machine's pods in good order.
func (r *replacement) alive() (bool, string) {
	switch {
	case r.node == nil:
		return false, "it has no node"
	case !r.state.Running:
		return false, "it is off"
	}
	if why := health.Node(r.node, r.state.Since); why != "" {
		return false, "its node is not ready: " + why
	}
	return true, ""
}

func (r *replacement) drain(ctx context.Context) error {
	if alive, why := r.alive(); !alive {
		r.c.opt.say("%s is not drained: %s", r.m.Name, why)
		return nil
	}
	r.c.opt.say("draining %s", r.m.Name)
	r.cordoned = !r.node.Spec.Unschedulable
	return r.c.drainWithin(ctx, r.client, r.m.Name, r.drainTime)
}

// leave takes the machine's member out of etcd. The machine is off by then: while its etcd
// runs, it asks to be let in again.
func (r *replacement) leave(ctx context.Context) error {
	if !r.member {
		return nil
	}
	if r.state.Running {
		r.c.opt.say("switching %s off", r.m.Name)
		r.off = true
		if err := r.c.Platform.PowerOff(ctx, r.m.Name); err != nil {
			return err
		}
	}
	said := ""
	// etcd itself takes some seconds to see that a member has gone.
	return wait(ctx, leaveTime, time.Second, func(ctx context.Context) (string, error) {
		members, through, err := r.c.members(ctx, r.m.Name)
		if err != nil {
			return err.Error(), nil
		}
		i := slices.IndexFunc(members, func(m etcdMember) bool { return m.Name == r.m.Name })
		if i < 0 {
			return "", nil
		}
		if err := mayLeave(members, r.m.Name); err != nil {
			return err.Error(), nil
		}
		r.c.opt.say("removing the member of %s from etcd", r.m.Name)
		_, err = r.c.etcdctl(ctx, through, "member", "remove", members[i].ID)
		if err == nil {
			return "", nil
		}
		reason := fmt.Sprintf("etcd does not part with its member of %s: %v", r.m.Name, err)
		if reason != said {
			said = reason
			r.c.opt.say("waiting: %s", reason)
		}
		return reason, nil
	})
}

// remove takes away the machine and its node: its pods are then made anew elsewhere.
func (r *replacement) remove(ctx context.Context) error {
	r.c.opt.say("removing %s and its disk", r.m.Name)
	if r.state.Name != "" {
		r.removed = true
		if err := r.c.Platform.Remove(ctx, r.m.Name); err != nil {
			return err
		}
		// Its port on the fabric has gone with it.
		if err := r.c.Platform.Prepare(ctx, r.c.Plan); err != nil {
			return err
		}
	}
	r.removed = true
	err := r.client.CoreV1().Nodes().Delete(ctx, r.m.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete node %s: %w", r.m.Name, err)
	}
	return nil
}

func (r *replacement) start(ctx context.Context) error {
	r.started = time.Now()
	r.c.opt.say("starting %s (%s)", r.m.Name, r.m.Address)
	config, err := r.c.firstBoot(ctx, r.m, r.c.bring(r.m, func() bool { return r.c.answers(ctx) }))
	if err != nil {
		return err
	}
	return r.c.Platform.Start(ctx, r.m, config)
}

func (r *replacement) awaitVote(ctx context.Context) error {
	if !r.member {
		return nil
	}
	return r.c.awaitMembers(ctx, r.started)
}

// putBack lets a machine that was not replaced after all go on.
func (r *replacement) putBack() {
	if r.removed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if r.off {
		// It has its disk, so that no first boot comes.
		if err := r.c.Platform.Start(ctx, r.m, nil); err != nil {
			r.c.opt.say("%s could not be switched on again: %v", r.m.Name, err)
		}
	}
	if r.cordoned {
		_, err := r.client.CoreV1().Nodes().Patch(ctx, r.m.Name, types.MergePatchType,
			[]byte(`{"spec":{"unschedulable":false}}`), metav1.PatchOptions{})
		if err != nil {
			r.c.opt.say("%s still takes no new pods: `craton kubectl uncordon %s` (%v)", r.m.Name, r.m.Name, err)
		}
	}
}

// trouble is what Replace says of an error in a step.
func (r *replacement) trouble(ctx context.Context, step string, err error) error {
	if _, ok := errors.AsType[Misuse](err); ok {
		return err
	}
	text := inWords(ctx, err)
	left := "the machine is still there, with its disk"
	if r.removed {
		left = "the old machine is gone; run the same command or `craton up` again"
	}
	return &sentence{fmt.Sprintf("replace %s, step %s: %s; %s", r.m.Name, step, text, left), err}
}
