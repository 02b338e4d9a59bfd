package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/console/kube"
	"craton.dev/craton/health"
	"craton.dev/craton/render/manifests"
)

// need is something that a person should look at.
type need struct {
	Kind, Sentence, Path string
}

// card is one figure of the overview.
type card struct {
	Title, Path, Figure, Detail string
	State                       *mark
	// Refused is a sentence where somebody may not see it.
	Refused string
}

// soon is how long before its end a certificate is something to look at.
const soon = 30 * 24 * time.Hour

// overview says whether the cluster is well, and what needs somebody.
func (c *Console) overview(a *asked) error {
	// Each looks by itself: together they take as long as the slowest.
	looks := []func(*summary) (card, error){
		(*summary).machines, (*summary).components, (*summary).pods, (*summary).contract, (*summary).operations, (*summary).certificates,
	}
	found := make([]summary, len(looks))
	work, ctx := errgroup.WithContext(a.Context())
	for i, look := range looks {
		work.Go(func() (err error) {
			o := &found[i]
			o.person, o.records, o.ctx = a.person, a.records, ctx
			o.card, err = look(o)
			if apierrors.IsForbidden(err) {
				o.card.Refused, err = denied(err, a.session.Name), nil // its page says who can allow it
			}
			return err
		})
	}
	var warnings []eventRow
	work.Go(func() (err error) {
		warnings, err = events(ctx, a.person, "", "type=Warning")
		if apierrors.IsForbidden(err) {
			return nil
		}
		return err
	})
	if err := work.Wait(); err != nil {
		return err
	}
	var cards []card
	var needs []need
	blind := 0
	for _, o := range found {
		cards, needs = append(cards, o.card), append(needs, o.needs...)
		if o.card.Refused != "" {
			blind++
		}
	}
	return c.show(a, "overview", frame{
		Title: "Overview", Live: liveOf("nodes", "configmaps", "deployments/"+metav1.NamespaceSystem, "daemonsets/"+metav1.NamespaceSystem, "pods"),
		Data: map[string]any{
			"Cards": cards, "Needs": needs, "Well": len(needs) == 0 && blind == 0, "Blind": blind == len(cards),
			"Warnings": warnings[:min(len(warnings), 8)],
		},
	})
}

// summary is one card in the making, with what it finds that needs somebody.
type summary struct {
	person  *kube.Person
	records *records
	ctx     context.Context
	card    card
	needs   []need
}

func (o *summary) need(kind, path, format string, args ...any) {
	o.needs = append(o.needs, need{kind, fmt.Sprintf(format, args...), path})
}

func (o *summary) machines() (card, error) {
	out := card{Title: "Machines", Path: "/machines"}
	rows, err := machineRows(o.ctx, o.person, o.records)
	if err != nil {
		return out, err
	}
	ready, roles := 0, map[string]int{}
	for _, m := range rows {
		roles[m.Role]++
		if m.State.Kind == "ok" || m.State.Text == "Ready, takes no new pods" {
			ready++
		}
		if m.State.Kind != "ok" {
			o.need(m.State.Kind, "/machines/"+m.Name, "Machine %s: %s", m.Name, lower(m.State.Text))
		}
	}
	out.Figure = fmt.Sprintf("%d of %d ready", ready, len(rows))
	for _, role := range []string{"master", "infra", "worker"} {
		if roles[role] > 0 {
			many := map[string]string{"infra": "infra"}[role]
			out.Detail += sep(out.Detail) + count(roles[role], role, cmp.Or(many, role+"s"))
		}
	}
	return out, nil
}

func (o *summary) components() (card, error) {
	out := card{Title: "Platform", Path: "/workloads?" + values("kind", "pods", "ns", metav1.NamespaceSystem)}
	ours := kube.Select{Labels: manifests.PlatformLabel + "=true"}
	var pods corev1.PodList
	var sets appsv1.DaemonSetList
	var deployments appsv1.DeploymentList
	for k, into := range map[*kube.Kind]any{&kube.Pods: &pods, &kube.DaemonSets: &sets, &kube.Deployments: &deployments} {
		if err := o.person.List(o.ctx, *k, metav1.NamespaceSystem, ours, into); err != nil {
			return out, err
		}
	}
	plan, err := planOf(o.ctx, o.records)
	if err != nil {
		return out, err
	}
	planned := map[string]bool{}
	if plan != nil {
		for _, m := range plan.Machines {
			planned[m.Name] = true
		}
	}
	all := health.Components(health.Objects{Pods: pods.Items, DaemonSets: sets.Items, Deployments: deployments.Items}, planned)
	well := 0
	for _, comp := range all {
		if comp.Problem == "" {
			well++
			continue
		}
		o.need("bad", out.Path, "%s: %s", comp.Name, comp.Problem)
	}
	out.Figure, out.Detail = fmt.Sprintf("%d of %d well", well, len(all)), "the programs that make the cluster"
	etcd, err := etcdOf(o.ctx, o.records)
	if err != nil && !apierrors.IsForbidden(err) {
		return out, err
	}
	if etcd != nil {
		out.Detail = "etcd has " + count(len(etcd.Members), "member", "members")
		if problem := health.Etcd(etcd); problem != "" {
			o.need("bad", out.Path, "etcd: %s", problem)
		}
	}
	return out, nil
}

func (o *summary) pods() (card, error) {
	out := card{Title: "Pods", Path: "/workloads?kind=pods"}
	all, err := o.person.Table(o.ctx, kube.Pods, kube.Ask{Take: 1})
	if err != nil {
		return out, err
	}
	not, err := o.person.Table(o.ctx, kube.Pods, kube.Ask{Select: kube.NotRunning, Take: perPage})
	if err != nil {
		return out, err
	}
	out.Figure, out.Detail = thousands(max(all.Total, 0)), "none is pending or has failed"
	if not.Total > 0 {
		out.Detail = count(not.Total, "is pending or has failed", "are pending or have failed")
		path := out.Path
		if len(not.Rows) == 1 {
			path = objectPath(kube.Pods, not.Rows[0].Namespace, not.Rows[0].Name)
		}
		o.need("warn", path, "%s pending or failed: %s", count(not.Total, "pod is", "pods are"), names(not.Rows))
	}
	return out, nil
}

func names(rows []kube.Row) string {
	text := ""
	for _, r := range rows[:min(len(rows), 3)] {
		text += sep(text) + r.Namespace + "/" + r.Name
	}
	if len(rows) > 3 {
		text += ", …"
	}
	return text
}

func (o *summary) contract() (card, error) {
	out := card{Title: "Contract", Path: "/contract"}
	open, err := contractOf(o.ctx, o.records)
	if err != nil || open == nil {
		out.Detail = "not in the cluster yet"
		return out, err
	}
	n := 0
	for _, e := range open.Clauses {
		if e.Open && opens(e) {
			n++
		}
	}
	out.Figure, out.Detail = count(n, "clause open", "clauses open"), "profile "+open.Profile+"; all else is shut"
	counters, err := countersOf(o.ctx, o.records)
	if err == nil && counters != nil {
		var drops uint64
		for _, d := range counters.Drops {
			drops += d.Packets
		}
		out.Detail = "profile " + open.Profile + "; " + count(int(drops), "packet", "packets") + " dropped so far"
	}
	return out, nil
}

func (o *summary) operations() (card, error) {
	out := card{Title: "Operations", Path: "/operations"}
	all, err := operationsOf(o.ctx, o.records)
	if err != nil {
		return out, err
	}
	if all == nil || len(all.Operations) == 0 {
		out.Figure, out.Detail = "none", "none is recorded yet"
		return out, nil
	}
	last := all.Operations[0]
	out.Figure = "craton " + last.What
	switch {
	case last.Ended.IsZero():
		out.Detail = fmt.Sprintf("step %d of %d: %s", min(last.Step+1, len(last.Steps)), len(last.Steps), last.Now)
	case last.Failed != "":
		out.Detail = "failed " + ago(last.Ended)
		o.need("bad", out.Path, "craton %s failed: %s", last.What, last.Failed)
	default:
		out.Detail = "done " + ago(last.Ended)
	}
	return out, nil
}

func (o *summary) certificates() (card, error) {
	out := card{Title: "Certificates", Path: "/certificates"}
	all, err := certificatesOf(o.ctx, o.records)
	if err != nil {
		return out, err
	}
	if all == nil || len(all.Certificates) == 0 {
		out.Figure, out.Detail = "none", "none is recorded yet"
		return out, nil
	}
	for _, cert := range all.Certificates {
		switch left := time.Until(cert.Ends); {
		case left < 0:
			o.need("bad", out.Path, "Certificate %s has ended %s", cert.Name, ago(cert.Ends))
		case left < soon:
			o.need("warn", out.Path, "Certificate %s ends %s", cert.Name, until(cert.Ends))
		}
	}
	first := slices.MinFunc(all.Certificates, func(a, b certificate) int { return cmp.Compare(a.Ends.Unix(), b.Ends.Unix()) })
	out.Figure, out.Detail = count(len(all.Certificates), "certificate", "certificates"), "the first ends "+until(first.Ends)
	return out, nil
}

func sep(text string) string {
	if text == "" {
		return ""
	}
	return ", "
}

func lower(text string) string {
	if text == "" {
		return ""
	}
	return string(text[0]|0x20) + text[1:] // they begin with a letter
}
