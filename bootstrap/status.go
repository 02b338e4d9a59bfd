package bootstrap

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/health"
	"craton.dev/craton/machines"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// Status is how a cluster is, for `craton status -o json`.
type Status struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Cluster    string          `json:"cluster"`
	Ready      bool            `json:"ready"`
	Machines   []MachineStatus `json:"machines"`
	Components []Component     `json:"components"`
}

// MachineStatus is how one machine is. Problem is a sentence, "" where nothing is wrong.
type MachineStatus struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Address string `json:"address"`
	Running bool   `json:"running"`
	Ready   bool   `json:"ready"`
	Problem string `json:"problem,omitempty"`
}

// Component is how one program of the platform is, over all machines.
type Component = health.Component

// Status looks at the machines and asks the API. It never fails for what is wrong with
// the cluster: that is in its answer.
func (c *Cluster) Status(ctx context.Context) (*Status, error) {
	s := &Status{APIVersion: c.Plan.APIVersion, Kind: "Status", Cluster: c.Name, Ready: true}
	states, err := c.Platform.States(ctx)
	if err != nil {
		return nil, err
	}
	running := map[string]machines.State{}
	for _, st := range states {
		running[st.Name] = st
	}
	client, err := c.clientset()
	if err != nil {
		return nil, err
	}
	nodes := map[string]*corev1.Node{}
	list, apiErr := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if apiErr == nil {
		for i := range list.Items {
			nodes[list.Items[i].Name] = &list.Items[i]
		}
	}
	for _, m := range c.Plan.Machines {
		ms := MachineStatus{Name: m.Name, Role: string(m.Role), Address: m.Address.String()}
		machine, exists := running[m.Name]
		node := nodes[m.Name]
		switch {
		case !exists:
			ms.Problem = "the machine was not made yet; `craton up` makes it"
		case machine.Detail != "":
			ms.Problem = machine.Detail
		case apiErr != nil:
			ms.Running, ms.Problem = true, "the API does not answer, so its node's state is not known"
		case node == nil:
			ms.Running, ms.Problem = true, "its kubelet has not joined the cluster"
		default:
			ms.Running, ms.Problem = true, health.Node(node, machine.Since)
		}
		s.Machines = append(s.Machines, ms)
	}
	if apiErr != nil {
		s.Components = append(s.Components, Component{Name: "kube-apiserver", Want: c.Plan.File.Masters, Problem: "the API does not answer: " + apiErr.Error()})
		s.settle()
		return s, nil
	}
	planned := map[string]bool{}
	for _, m := range c.Plan.Machines {
		planned[m.Name] = true
	}
	objects, err := platformObjects(ctx, client)
	if err == nil {
		s.Components = health.Components(objects, planned)
	}
	for i, m := range s.Machines {
		s.Machines[i].Problem = cmp.Or(m.Problem, health.Pods(objects.Pods, m.Name, running[m.Name].Since))
	}
	if c.Plan.File.Etcd == etcdSelfHosted {
		s.Components = countEtcd(s.Components, c.Plan.File.Masters)
	}
	if err == nil && c.Plan.File.Etcd != etcdExternal {
		c.showMembers(ctx, client, s)
	}
	if err == nil {
		err = c.showChecks(ctx, s)
	}
	s.settle()
	return s, err
}

// settle says which machines are ready, and whether the cluster is, by the problems found.
func (s *Status) settle() {
	for i, m := range s.Machines {
		s.Machines[i].Ready = m.Problem == ""
		s.Ready = s.Ready && m.Problem == ""
	}
	for _, comp := range s.Components {
		s.Ready = s.Ready && comp.Problem == ""
	}
}

// showMembers adds what the operator sees of etcd's members, which their pods do not show.
func (c *Cluster) showMembers(ctx context.Context, client kubernetes.Interface, s *Status) {
	i := slices.IndexFunc(s.Components, func(comp Component) bool { return comp.Name == "etcd" })
	status, err := etcdStatus(ctx, client)
	if i < 0 || err != nil || s.Components[i].Problem != "" {
		return // it has not said anything yet, or its pods say more
	}
	s.Components[i].Problem = health.Etcd(status)
}

// etcdStatus is what the operator has last written about etcd.
func etcdStatus(ctx context.Context, client kubernetes.Interface) (*inventory.EtcdStatus, error) {
	held, err := client.CoreV1().ConfigMaps(manifests.System).Get(ctx, manifests.EtcdConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return inventory.ParseEtcd([]byte(held.Data[manifests.EtcdStatusKey]))
}

// platformObjects asks for the platform's own objects, by which its programs are judged.
func platformObjects(ctx context.Context, client kubernetes.Interface) (health.Objects, error) {
	pods, err := client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: platform})
	if err != nil {
		return health.Objects{}, err
	}
	sets, err := client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{LabelSelector: platform})
	if err != nil {
		return health.Objects{}, err
	}
	deployments, err := client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{LabelSelector: platform})
	if err != nil {
		return health.Objects{}, err
	}
	return health.Objects{Pods: pods.Items, DaemonSets: sets.Items, Deployments: deployments.Items}, nil
}

// notReady is the first reason why the cluster is not ready, as a sentence; "" where it is.
func (c *Cluster) notReady(ctx context.Context) string {
	s, err := c.Status(ctx)
	if err != nil {
		return err.Error()
	}
	problem, standIn := s.Problem()
	return cmp.Or(problem, standIn)
}

// Problem is the first thing that keeps the cluster from being ready, and the first stand-in that
// runs, whose component does its work all the same; "" where there is none.
func (s *Status) Problem() (problem, standIn string) {
	for _, m := range s.Machines {
		if m.Problem != "" {
			return m.Name + ": " + m.Problem, ""
		}
	}
	for _, comp := range s.Components {
		if strings.Contains(comp.Problem, "stand-in") {
			standIn = cmp.Or(standIn, comp.Name+": "+comp.Problem)
		} else {
			problem = cmp.Or(problem, comp.Problem)
		}
	}
	return problem, standIn
}
