package manifests

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/part"
)

const (
	etcdName = "etcd"
	// etcdDir holds a member's data, and what there is to know about them.
	etcdDir = "/var/lib/etcd"
)

func url(m *plan.Machine, port int) string {
	return "https://" + net.JoinHostPort(m.Address.String(), strconv.Itoa(port))
}

// etcd is the master's member as a static pod. It listens on the machine's own address only, and both
// sides of each connection show a certificate. Its health is plain HTTP on loopback, since
// a kubelet's probe has no certificate to show.
//
// Before it starts, the operator's program lets the machine in among the other members, or
// begins the cluster, and writes its configuration.
func etcd(p *plan.Plan, m *plan.Machine, images Images, how Bring) (program, error) {
	client, peer, err := etcdPorts()
	if err != nil {
		return program{}, err
	}
	return member{
		cluster: p.Cluster, component: etcdName, name: m.Name, data: "data",
		clientURL: url(m, client), peerURL: url(m, peer), health: etcdHealthPort,
		flags: []string{others(otherMembers(p, m, client)), "--first=" + strconv.FormatBool(how.Founding)},
	}.program(images)
}

// etcdPorts are where a member listens for clients and for the other members.
func etcdPorts() (client, peer int, err error) {
	if client, err = part.Port(clauseEtcdClient); err == nil {
		peer, err = part.Port(clauseEtcdPeer)
	}
	return client, peer, err
}

// otherMembers are the client URLs of the other masters' members.
func otherMembers(p *plan.Plan, m *plan.Machine, client int) []string {
	var urls []string
	for _, other := range p.OfRole(contract.Master) {
		if other.Name != m.Name {
			urls = append(urls, url(&other, client))
		}
	}
	return urls
}

// others is the flag by which a member knows where to ask to be let in.
func others(urls []string) string { return "--others=" + strings.Join(urls, ",") }

// member is a member of etcd, as far as members differ.
type member struct {
	cluster, component, name, data string
	clientURL, peerURL             string
	health                         int
	flags                          []string
}

func (m member) program(images Images) (program, error) {
	image, err := imageOf(images, etcdName)
	if err != nil {
		return program{}, err
	}
	joiner, err := imageOf(images, operatorName)
	if err != nil {
		return program{}, err
	}
	const server, peers = "etcd-server", "etcd-peer"
	config := etcdDir + "/" + m.component + ".yaml"
	return program{
		name: m.component, image: image,
		// In the same container, so that it happens each time that etcd is started: the
		// kubelet runs init containers once a pod.
		tools: joiner,
		command: slices.Concat([]string{
			toolsDir + "/usr/local/bin/" + operatorName, "join-etcd",
			"--cluster=" + m.cluster,
			"--name=" + m.name,
		}, m.flags, []string{
			"--data-dir=" + etcdDir + "/" + m.data,
			"--out=" + config,
			"--client-url=" + m.clientURL,
			"--peer-url=" + m.peerURL,
			"--metrics-url=http://" + net.JoinHostPort(part.Loopback, strconv.Itoa(m.health)),
			"--ca=" + firstboot.EtcdCA,
			"--cert=" + firstboot.CertPath(server), "--key=" + firstboot.KeyPath(server),
			"--peer-cert=" + firstboot.CertPath(peers), "--peer-key=" + firstboot.KeyPath(peers),
			"--", "/usr/local/bin/etcd", "--config-file=" + config,
		}),
		files: []string{
			firstboot.EtcdCA,
			firstboot.CertPath(server), firstboot.KeyPath(server),
			firstboot.CertPath(peers), firstboot.KeyPath(peers),
		},
		dirs: []dir{{etcdDir, false}},
		// More than what else is on the machine: all masters' API servers wait for most members.
		cpu: "300m", memory: "100Mi",
		startup:   part.Get(corev1.URISchemeHTTP, part.Loopback, m.health, "/livez"),
		readiness: new(part.Get(corev1.URISchemeHTTP, part.Loopback, m.health, "/readyz")),
	}, nil
}

// etcdEndpoints are the etcd servers of each master's API server. With etcd on the masters
// that is its own member alone: it fails with its machine, not before, and no etcd client
// traffic crosses the network.
func etcdEndpoints(p *plan.Plan) (string, error) {
	if etcdKind(p) != etcdExternal {
		client, err := part.Port(clauseEtcdClient)
		return "https://" + hostIP + ":" + strconv.Itoa(client), err
	}
	if p.File.ExternalEtcd == nil || len(p.File.ExternalEtcd.Endpoints) == 0 {
		return "", fmt.Errorf("manifests: externalEtcd.endpoints: etcd is external, but there is no endpoint: give https://ADDRESS:PORT")
	}
	return strings.Join(p.File.ExternalEtcd.Endpoints, ","), nil
}
