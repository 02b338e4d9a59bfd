package operation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// update rolls a component of the probes' own, which has a pod on every machine, to another
// template, as a new version of one does, and waits till every machine runs that.
func update(ctx context.Context, s *Stage) (string, error) {
	const name = "updated"
	sets := s.direct.AppsV1().DaemonSets(Namespace)
	labels := map[string]string{appLabel: name}
	set := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec(s.Image, "pause")},
		},
	}
	if _, err := sets.Create(ctx, set, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"craton.dev/version":"%08x"}}}}}`, rand.Uint32())
	now, err := sets.Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return "", err
	}
	generation := now.Generation
	err = until(ctx, 200*time.Millisecond, func() error {
		now, err := sets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if st := now.Status; st.ObservedGeneration < generation || int(st.UpdatedNumberScheduled) < len(s.Plan.Machines) || int(st.NumberAvailable) < len(s.Plan.Machines) {
			return fmt.Errorf("%d of %d machines have the new version, and on %d it is ready", st.UpdatedNumberScheduled, len(s.Plan.Machines), st.NumberAvailable)
		}
		return nil
	})
	return fmt.Sprintf("a DaemonSet's new version runs on %d machines", len(s.Plan.Machines)), err
}

// drain takes a machine that runs users' pods out of use, as an administrator does from the user
// network: a pod of the probes' own is evicted, and another one runs in its place, on another
// machine or, where there is none, on the same one once it is in use again.
func drain(ctx context.Context, s *Stage) (done string, err error) {
	const name = "drained"
	client, err := s.userClient()
	if err != nil {
		return "", err
	}
	if err := s.useAll(ctx); err != nil {
		return "", err
	}
	one := spec(s.Image, "pause")
	one.Tolerations = nil
	set := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{appLabel: name}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appLabel: name}}, Spec: one},
		},
	}
	if _, err := client.AppsV1().Deployments(Namespace).Create(ctx, set, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	running := func(but string) (found corev1.Pod, err error) {
		list, err := s.direct.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: appLabel + "=" + name})
		if err != nil {
			return found, err
		}
		for _, p := range list.Items {
			if p.Name != but && p.DeletionTimestamp == nil && ready(&p) {
				return p, nil
			}
		}
		return found, fmt.Errorf("of %d pods to be moved, none is ready", len(list.Items))
	}
	var before, after corev1.Pod
	if err := until(ctx, 200*time.Millisecond, func() (err error) { before, err = running(""); return err }); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.useAll(context.WithoutCancel(ctx))) }()
	if _, err := client.CoreV1().Nodes().Patch(ctx, before.Spec.NodeName, types.StrategicMergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{}); err != nil {
		return "", fmt.Errorf("take %s out of use: %w", before.Spec.NodeName, err)
	}
	if err := client.PolicyV1().Evictions(Namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: before.Name, Namespace: Namespace}}); err != nil {
		return "", fmt.Errorf("evict a pod of %s: %w", before.Spec.NodeName, err)
	}
	err = until(ctx, 200*time.Millisecond, func() error {
		_, err := s.direct.CoreV1().Pods(Namespace).Get(ctx, before.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("the pod that was evicted from %s has not ended", before.Spec.NodeName)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if s.forUsers() == 1 {
		if err := s.useAll(ctx); err != nil {
			return "", err
		}
	}
	if err := until(ctx, 200*time.Millisecond, func() (err error) { after, err = running(before.Name); return err }); err != nil {
		return "", err
	}
	return fmt.Sprintf("a pod went from %s, and its successor runs on %s", before.Spec.NodeName, after.Spec.NodeName), nil
}

// forUsers is how many machines run users' pods.
func (s *Stage) forUsers() int {
	if s.Plan.File.SchedulableMasters {
		return len(s.Plan.OfRole(contract.Master, contract.Worker))
	}
	return len(s.Plan.OfRole(contract.Worker))
}

// useAll has pods placed on every machine again, also where a drain was stopped.
func (s *Stage) useAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return each(s.Plan.Machines, func(m plan.Machine) error {
		node, err := s.direct.CoreV1().Nodes().Get(ctx, m.Name, metav1.GetOptions{})
		if err != nil || !node.Spec.Unschedulable {
			return err
		}
		_, err = s.direct.CoreV1().Nodes().Patch(ctx, m.Name, types.StrategicMergePatchType, []byte(`{"spec":{"unschedulable":null}}`), metav1.PatchOptions{})
		return err
	})
}

// renewCertificate takes its serving certificate from the kubelet of each machine but masters, which
// asks for another one by its client certificate; the operator has to approve. Masters' kubelets
// use the API server of their own machine, on the way to which there is no rule.
func renewCertificate(ctx context.Context, s *Stage) (string, error) {
	machines := s.Plan.OfRole(contract.Infra, contract.Worker)
	err := each(machines, func(m plan.Machine) error {
		before := s.serving(ctx, m)
		began := time.Now()
		if _, err := s.run(ctx, m.Name, fmt.Sprintf("rm -f %s/kubelet-server-*; systemctl restart --no-block kubelet", firstboot.KubeletPKIDir)); err != nil {
			return err
		}
		return until(ctx, 300*time.Millisecond, func() error {
			if now := s.serving(ctx, m); now == nil || bytes.Equal(now, before) {
				return fmt.Errorf("the kubelet of %s has no new certificate", m.Name)
			}
			return s.reports(ctx, m, began)
		})
	})
	return fmt.Sprintf("%d kubelets got new certificates", len(machines)), err
}

// backUp copies the store's data as `craton backup` does, and checks the copy.
func backUp(ctx context.Context, s *Stage) (string, error) {
	dir, err := os.MkdirTemp("", Namespace)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var master string
	var keys int
	err = within(ctx, func() (err error) {
		master, keys, err = s.Copy(ctx, filepath.Join(dir, "etcd.db"))
		return err
	})
	return fmt.Sprintf("a copy of the store on %s, with %d keys, is whole", master, keys), err
}

// healEtcd takes its data from the member of the last master, as the loss of a disk does, and waits
// till that machine is a member again, which the others have let in, promoted and brought up to date.
func healEtcd(ctx context.Context, s *Stage) (string, error) {
	masters := s.Plan.OfRole(contract.Master)
	m := masters[len(masters)-1]
	before, err := s.member(ctx, m)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if _, err := s.run(ctx, m.Name, `rm -rf /var/lib/etcd/data
for p in /proc/[0-9]*; do if [ "$(cat $p/comm 2>/dev/null)" = etcd ]; then kill -9 ${p#/proc/}; fi; done`); err != nil {
		return "", err
	}
	err = until(ctx, 500*time.Millisecond, func() error {
		now, err := s.member(ctx, m)
		if err != nil {
			return err
		}
		if now.ID == before.ID || now.Learner || !now.Healthy {
			return fmt.Errorf("%s is not a new member that works: %s, learner: %t, healthy: %t %s", m.Name, now.ID, now.Learner, now.Healthy, now.Problem)
		}
		return nil
	})
	return fmt.Sprintf("%s was a member again after %.0f s", m.Name, time.Since(began).Seconds()), err
}

// member is what the operator has last written about a master's member of etcd.
func (s *Stage) member(ctx context.Context, m plan.Machine) (found inventory.EtcdMember, err error) {
	written, err := s.direct.CoreV1().ConfigMaps(manifests.System).Get(ctx, manifests.EtcdConfigMap, metav1.GetOptions{})
	if err != nil {
		return found, err
	}
	status, err := inventory.ParseEtcd([]byte(written.Data[manifests.EtcdStatusKey]))
	if err != nil {
		return found, err
	}
	i := slices.IndexFunc(status.Members, func(one inventory.EtcdMember) bool { return one.Name == m.Name })
	if i < 0 {
		return found, fmt.Errorf("%s is no member", m.Name)
	}
	return status.Members[i], nil
}
