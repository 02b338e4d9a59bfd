package manifests

import (
	"fmt"
	"net/netip"
	"path"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/part"
)

const (
	// ComponentLabel holds the component's name on each pod of the control plane.
	ComponentLabel = "component"
	// StandInLabel marks a static pod that does a component's work while its real pod can't.
	StandInLabel = "craton.dev/stand-in"
	// StandInSuffix ends the name of a stand-in; what comes before is its component's.
	StandInSuffix = "-stand-in"
	// AddressEnv has the address at which a component listens, StandInAddressEnv that of its
	// stand-in.
	AddressEnv        = "ADDRESS"
	StandInAddressEnv = "STAND_IN_ADDRESS"
	// CheckpointDir holds, on a master, the manifests of the stand-ins. One runs while a
	// copy of its manifest is in the kubelet's folder of static pods.
	CheckpointDir = "/etc/kubernetes/checkpoints"

	hostnameLabel = "kubernetes.io/hostname"
)

// selfHosted are the components that run on the cluster that they control. Serving ones
// are on each master; of the others, one of all masters leads.
var selfHosted = []struct {
	make    func(*plan.Plan) (program, error)
	serving bool
}{
	{apiServer, true},
	{controllerManager, false},
	{scheduler, false},
}

// Bring is how a master is to start.
type Bring struct {
	// Founding is set for the machine that a cluster starts with: its stand-ins are the
	// temporary control plane, and its etcd member begins alone.
	Founding bool
	// Joining is set for a machine that joins others: its kubelet asks their API servers first, and
	// gets its own from there. Where neither is set, there may be no API server but this machine's.
	Joining bool
	// Authority is the certificate of the cluster's authority, by which the API server knows
	// Dex; it is of use where people sign in.
	Authority []byte
}

// MasterFiles are the static pods of one master, the checkpoints of what is self-hosted,
// and what else they read that is not in package firstboot. It is an error where the
// machine is no master of the plan.
//
// The API server's stand-in runs from the first boot on but where the machine joins others, whose API
// servers are there for its kubelet: to start an API server twice takes seconds of the processor. So does that of a
// self-hosted etcd, without which the
// API server does nothing, but for the machine with the seed; the stand-ins of the components that
// lead run from the first boot only where there is no cluster yet.
func MasterFiles(p *plan.Plan, machine string, images Images, how Bring) ([]firstboot.File, error) {
	var m *plan.Machine
	for i := range p.Machines {
		if p.Machines[i].Name == machine {
			m = &p.Machines[i]
		}
	}
	if m == nil || m.Role != contract.Master {
		return nil, fmt.Errorf("manifests: %q is no master of cluster %s: only masters run static pods", machine, p.Cluster)
	}
	who, err := Authentication(p, how.Authority)
	if err != nil {
		return nil, err
	}
	files := []firstboot.File{{Path: AuthenticationPath, Mode: 0o644, Contents: who}}
	add := func(dir, name string, contents []byte) {
		files = append(files, firstboot.File{Path: path.Join(dir, name+".yaml"), Mode: 0o600, Contents: contents})
	}

	statics := []func(*plan.Plan, *plan.Machine, Images, Bring) (program, error){operator, checkpointer}
	etcdServer := ""
	switch etcdKind(p) {
	case etcdInternal:
		statics = append(statics, etcd)
	case etcdSelfHosted:
		data, err := etcdStandIn(p, m, images)
		if err != nil {
			return nil, err
		}
		add(CheckpointDir, etcdName, data)
		if how.Founding {
			statics = append(statics, seed)
			if etcdServer, err = seedURL(p); err != nil {
				return nil, err
			}
		} else {
			add(firstboot.ManifestDir, etcdName, data)
		}
	}
	for _, c := range selfHosted {
		s, err := c.make(p)
		if err != nil {
			return nil, err
		}
		if s.image, err = imageOf(images, s.name); err != nil {
			return nil, err
		}
		if etcdServer != "" {
			s.command = withEtcd(s.command, etcdServer)
		}
		data, err := s.standInOf().static(s.name+StandInSuffix, map[string]string{StandInLabel: "true"})
		if err != nil {
			return nil, err
		}
		add(CheckpointDir, s.name, data)
		if how.Founding || c.serving && !how.Joining {
			add(firstboot.ManifestDir, s.name, data)
		}
	}
	for _, maker := range statics {
		s, err := maker(p, m, images, how)
		if err != nil {
			return nil, err
		}
		data, err := s.static(s.name, nil)
		if err != nil {
			return nil, err
		}
		add(firstboot.ManifestDir, s.name, data)
	}
	return files, nil
}

// pinned are the images without which a master cannot come back: its machine keeps them
// whatever else it runs out of room for.
func pinned(p *plan.Plan, images Images) map[string]string {
	pinned := map[string]string{}
	for _, name := range []string{etcdName, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "flannel", operatorName} {
		if image := images(name); image != "" && (name != etcdName || etcdKind(p) != etcdExternal) {
			pinned[name] = image
		}
	}
	return pinned
}

// FirstBoot puts into the options of a machine's first boot what this package knows: its first
// start and, of a master, its files and the images that it never removes.
func FirstBoot(opt *firstboot.Options, p *plan.Plan, m *plan.Machine, images Images, how Bring) (err error) {
	var files []firstboot.File
	if m.Role == contract.Master {
		if files, err = MasterFiles(p, m.Name, images, how); err != nil {
			return err
		}
		opt.PinnedImages = pinned(p, images)
	}
	if opt.Start, opt.Manifests, err = firstStart(p, m, images, how, files); err != nil || m.Role != contract.Master || !how.Joining {
		return err
	}
	opt.Joins = true
	if etcdKind(p) != etcdExternal {
		opt.JoinsAfter = vote
	}
	return nil
}

// firstStart is a machine's first start (see firstboot.Step). Of a master's files, which
// MasterFiles has made, it takes those that come with a step, and gives back the rest.
//
// Nothing runs on a master beside an API server that starts but what that needs. The API server
// waits for the master's member of etcd. Before, it could do nothing but fail: on a founding
// master it would ask again after a second, though its member is there sooner; on one that
// joins it would take the processor from the machine that the others wait for, and so do its
// images. There it waits until the member has a vote: one that learns answers no API server.
func firstStart(p *plan.Plan, m *plan.Machine, images Images, how Bring, files []firstboot.File) ([]firstboot.Step, []firstboot.File, error) {
	names := func(list ...string) (out []string) {
		for _, name := range list {
			if image := images(name); image != "" {
				out = append(out, image)
			}
		}
		return out
	}
	last := firstboot.Step{AfterAPI: true, Images: names("kube-proxy", "flannel", "coredns")}
	if m.Role != contract.Master {
		return []firstboot.Step{last}, files, nil
	}
	member := firstboot.Step{Images: names(operatorName)} // etcd's pod has tools of its image
	if etcdKind(p) != etcdExternal {
		member.Images = append(member.Images, names(etcdName)...)
	}
	listening, err := memberAddress(p, m, how)
	if err != nil {
		return nil, nil, err
	}
	server := firstboot.Step{Images: names("kube-apiserver"), Early: how.Founding || !listening.IsValid()}
	if server.Early {
		server.Listening = listening
	} else {
		server.Ready = vote
	}
	next := firstboot.Step{Images: names("kube-controller-manager", "kube-scheduler")} // an API server that starts leaves some of the processor
	// Not when the machine has joined: where its disk is new and it is the only master, that
	// takes these pods.
	others := firstboot.Step{AfterAPI: true}
	var rest []firstboot.File
	for _, f := range files {
		if path.Dir(f.Path) != firstboot.ManifestDir {
			rest = append(rest, f)
			continue
		}
		step := &others
		switch strings.TrimSuffix(path.Base(f.Path), ".yaml") {
		case etcdName, SeedName:
			step = &member
		case "kube-apiserver":
			step = &server
		}
		step.Pods = append(step.Pods, f)
	}
	return []firstboot.Step{member, server, next, others, last}, rest, nil
}

// vote is where a master's member of etcd says that it is ready, which it is not while it learns.
var vote = netip.AddrPortFrom(netip.MustParseAddr(part.Loopback), etcdHealthPort)

// memberAddress is where a master's own member of etcd listens for its API server; a zero one
// where it has none.
func memberAddress(p *plan.Plan, m *plan.Machine, how Bring) (netip.AddrPort, error) {
	server := ""
	switch kind := etcdKind(p); {
	case kind == etcdExternal:
		return netip.AddrPort{}, nil
	case kind == etcdSelfHosted && how.Founding:
		var err error
		if server, err = seedURL(p); server == "" {
			return netip.AddrPort{}, err
		}
	default:
		client, _, err := etcdPorts()
		if err != nil {
			return netip.AddrPort{}, err
		}
		server = url(m, client)
	}
	return netip.ParseAddrPort(strings.TrimPrefix(server, "https://"))
}

func imageOf(images Images, component string) (string, error) {
	image := images(component)
	if image == "" {
		return "", fmt.Errorf("manifests: there is no image for %s", component)
	}
	return image, nil
}

// controlPlane is what is self-hosted: the API server as a DaemonSet, the others as
// Deployments of one pod a master, each on a master of its own.
func controlPlane(p *plan.Plan, images Images) ([]runtime.Object, error) {
	label, err := part.MasterLabel()
	if err != nil {
		return nil, err
	}
	var out []runtime.Object
	for _, c := range selfHosted {
		s, err := c.make(p)
		if err != nil {
			return nil, err
		}
		if s.image, err = imageOf(images, s.name); err != nil {
			return nil, err
		}
		template, err := s.pod()
		if err != nil {
			return nil, err
		}
		template.Spec.NodeSelector = map[string]string{label: ""}
		selector := &metav1.LabelSelector{MatchLabels: map[string]string{ComponentLabel: s.name, StandInLabel: "false"}}
		template.Labels[StandInLabel] = "false" // or a Deployment would count stand-ins as its own
		if c.serving {
			out = append(out, &appsv1.DaemonSet{
				TypeMeta: part.Kind("apps/v1", "DaemonSet"), ObjectMeta: part.Meta(s.name),
				Spec: appsv1.DaemonSetSpec{
					Selector: selector, Template: template,
					UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
						Type: appsv1.RollingUpdateDaemonSetStrategyType,
						RollingUpdate: &appsv1.RollingUpdateDaemonSet{
							MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromInt32(1)),
						},
					},
				},
			})
			continue
		}
		template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				LabelSelector: selector, TopologyKey: hostnameLabel,
			}},
		}}
		out = append(out, &appsv1.Deployment{
			TypeMeta: part.Kind("apps/v1", "Deployment"), ObjectMeta: part.Meta(s.name),
			Spec: appsv1.DeploymentSpec{
				Replicas: new(int32(len(p.OfRole(contract.Master)))),
				Selector: selector, Template: template,
				Strategy: appsv1.DeploymentStrategy{
					Type: appsv1.RollingUpdateDeploymentStrategyType,
					// There is no master for one more.
					RollingUpdate: &appsv1.RollingUpdateDeployment{
						MaxUnavailable: new(intstr.FromInt32(1)), MaxSurge: new(intstr.FromInt32(0)),
					},
				},
			},
		})
	}
	return out, nil
}
