package manifests

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests/inventory"
	"craton.dev/craton/render/part"
)

const (
	// SeedName is the component of the temporary member with which a self-hosted etcd begins,
	// and of its file among the static pods of the first master.
	SeedName = "etcd-seed"
	// EtcdTemplateAnnotation tells, on a member's pod, from which template and version it was made.
	EtcdTemplateAnnotation = "craton.dev/etcd-template"

	operatorEtcdRole = "craton:operator:etcd"
)

//go:embed etcdcluster.yaml
var etcdClusterDefinition []byte

// etcdPod is a member of a self-hosted etcd: the same pod on each master. What tells it where the
// others are is added when it is made, see WithOthers.
func etcdPod(p *plan.Plan, images Images) (program, error) {
	client, peer, err := etcdPorts()
	if err != nil {
		return program{}, err
	}
	at := func(port int) string { return "https://" + hostIP + ":" + strconv.Itoa(port) }
	return member{
		cluster: p.Cluster, component: etcdName, name: nodeName, data: "data",
		clientURL: at(client), peerURL: at(peer), health: etcdHealthPort,
	}.program(images)
}

// WithOthers tells a member's pod where to ask to be let in: the client URLs of other members.
func WithOthers(pod *corev1.PodSpec, urls []string) error {
	for i := range pod.Containers {
		c := &pod.Containers[i]
		if at := slices.Index(c.Command, "join-etcd"); at >= 0 {
			c.Command = slices.Insert(slices.Clone(c.Command), at+1, others(urls))
			return nil
		}
	}
	return fmt.Errorf("manifests: the pod of a member of etcd does not join: no container runs join-etcd")
}

// seed is the temporary member, on the first master: the cluster begins with it, and masters'
// members join it. When they can do without it, it ends itself.
func seed(p *plan.Plan, m *plan.Machine, images Images, _ Bring) (program, error) {
	member, err := seedMember(p, m)
	if err != nil {
		return program{}, err
	}
	s, err := member.program(images)
	s.dirs = append(s.dirs, dir{firstboot.ManifestDir, false})
	return s, err
}

func seedMember(p *plan.Plan, m *plan.Machine) (member, error) {
	r, err := part.Ports(clauseEtcdSeed)
	if err != nil {
		return member{}, err
	}
	client, _, err := etcdPorts()
	if err != nil {
		return member{}, err
	}
	return member{
		cluster: p.Cluster, component: SeedName, name: m.Name + "-seed", data: "seed",
		clientURL: url(m, int(r.First)), peerURL: url(m, int(r.Last)), health: seedHealthPort,
		flags: []string{
			others(append([]string{url(m, client)}, otherMembers(p, m, client)...)),
			"--first=true", "--manifest=" + path.Join(firstboot.ManifestDir, SeedName+".yaml"),
		},
	}, nil
}

// seedURL is where the temporary member listens for clients, or "" where the plan is that of a cluster
// that has none any more.
func seedURL(p *plan.Plan) (string, error) {
	if !p.Seed {
		return "", nil
	}
	m, err := seedMember(p, &p.OfRole(contract.Master)[0])
	return m.clientURL, err
}

// withEtcd is an API server's command with another etcd.
func withEtcd(command []string, url string) []string {
	out := slices.Clone(command)
	for i, arg := range out {
		if strings.HasPrefix(arg, etcdServers) {
			out[i] = etcdServers + url
		}
	}
	return out
}

// etcdStandIn is the checkpoint with which a master starts.
func etcdStandIn(p *plan.Plan, m *plan.Machine, images Images) ([]byte, error) {
	s, err := etcdPod(p, images)
	if err != nil {
		return nil, err
	}
	client, _, err := etcdPorts()
	if err != nil {
		return nil, err
	}
	seed, err := seedURL(p)
	if err != nil {
		return nil, err
	}
	urls := otherMembers(p, m, client)
	if seed != "" {
		urls = append(urls, seed)
	}
	at := slices.Index(s.command, "join-etcd")
	s.command = slices.Insert(s.command, at+1, others(urls))
	return s.static(etcdName+StandInSuffix, map[string]string{StandInLabel: "true"})
}

// etcdObjects are the custom resource from which the operator makes the members, its definition, and the
// operator's rights for that.
func etcdObjects(p *plan.Plan, images Images) ([]runtime.Object, error) {
	if etcdKind(p) != etcdSelfHosted {
		return nil, nil
	}
	definition := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(etcdClusterDefinition, &definition.Object); err != nil {
		return nil, fmt.Errorf("manifests: the definition of EtcdCluster: %w", err)
	}
	s, err := etcdPod(p, images)
	if err != nil {
		return nil, err
	}
	image, version, ok := cutTag(s.image)
	if !ok {
		return nil, fmt.Errorf("manifests: etcd's image %s has no tag: expected its version", s.image)
	}
	s.image = image
	spec := inventory.EtcdSpec{Size: int64(len(p.OfRole(contract.Master))), Version: version}
	if spec.Template, err = s.pod(); err != nil {
		return nil, err
	}
	spec.Template.Labels[StandInLabel] = "false"
	// One that is deleted goes on so long, for the checkpointer to see it and to start its stand-in.
	spec.Template.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}}
	if spec.Seed, err = seedURL(p); err != nil {
		return nil, err
	}
	object, err := spec.Object()
	if err != nil {
		return nil, err
	}
	role := metav1.ObjectMeta{Name: operatorEtcdRole, Namespace: part.Namespace}
	return []runtime.Object{
		definition,
		part.ClusterRole(operatorEtcdRole,
			part.Rule("apiextensions.k8s.io", []string{"customresourcedefinitions"}, "create"),
			part.Named(part.Rule("apiextensions.k8s.io", []string{"customresourcedefinitions"}, "get", "patch"), definition.GetName()),
		),
		part.BindCluster(operatorEtcdRole, operatorEtcdRole, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: plan.UserOperator}),
		&rbacv1.Role{TypeMeta: part.Kind(part.RBACVersion, "Role"), ObjectMeta: role, Rules: []rbacv1.PolicyRule{
			part.Rule("", []string{"pods"}, "get", "list", "watch", "create", "delete"),
			part.Rule(inventory.EtcdCluster.Group, []string{"etcdclusters"}, "get", "create", "patch"),
			part.Rule(inventory.EtcdCluster.Group, []string{"etcdclusters/status"}, "patch"),
		}},
		&rbacv1.RoleBinding{TypeMeta: part.Kind(part.RBACVersion, "RoleBinding"), ObjectMeta: role,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: operatorEtcdRole},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: plan.UserOperator}},
		},
		object,
	}, nil
}

// cutTag parts an image's name from its tag. A port of a registry is no tag.
func cutTag(image string) (name, tag string, ok bool) {
	at := strings.LastIndexByte(image, ':')
	if at < 0 || strings.Contains(image[at:], "/") {
		return image, "", false
	}
	return image[:at], image[at+1:], true
}

// etcdDataPath is there once a machine has data of a member.
const etcdDataPath = etcdDir + "/data/member/wal"

// operatorEtcd are the operator's flags about etcd.
func operatorEtcd(p *plan.Plan) (flags, files []string, err error) {
	if etcdKind(p) == etcdExternal {
		return nil, nil, nil
	}
	client, peer, err := etcdPorts()
	const identity = "etcd-server"
	flags = []string{
		"--etcd-client-port=" + strconv.Itoa(client), "--etcd-peer-port=" + strconv.Itoa(peer),
		"--etcd-ca=" + firstboot.EtcdCA, "--etcd-cert=" + firstboot.CertPath(identity), "--etcd-key=" + firstboot.KeyPath(identity),
	}
	if etcdKind(p) == etcdSelfHosted {
		flags = append(flags, "--etcd-pods")
	}
	return flags, []string{firstboot.EtcdCA, firstboot.CertPath(identity), firstboot.KeyPath(identity)}, err
}
