package manifests

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

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

// etcd is the master's member. It listens on the machine's own address only, and both
// sides of each connection show a certificate. Its health is plain HTTP on loopback, since
// a kubelet's probe has no certificate to show.
//
// Before it starts, the operator's program lets the machine in among the other members, or
// begins the cluster, and writes its configuration.
func etcd(p *plan.Plan, m *plan.Machine, images Images, how Bring) (program, error) {
	image, err := imageOf(images, etcdName)
	if err != nil {
		return program{}, err
	}
	joiner, err := imageOf(images, operatorName)
	if err != nil {
		return program{}, err
	}
	client, err := part.Port(clauseEtcdClient)
	if err != nil {
		return program{}, err
	}
	peer, err := part.Port(clauseEtcdPeer)
	if err != nil {
		return program{}, err
	}
	var others []string
	for _, other := range masters(p) {
		if other.Name != m.Name {
			others = append(others, url(&other, client))
		}
	}
	const server, peers = "etcd-server", "etcd-peer"
	const config = etcdDir + "/etcd.yaml"
	return program{
		name: etcdName, image: image,
		// In the same container, so that it happens each time that etcd is started: the
		// kubelet runs init containers once a pod.
		tools: joiner,
		command: []string{
			toolsDir + "/usr/local/bin/" + operatorName, "join-etcd",
			"--cluster=" + p.Cluster,
			"--name=" + m.Name,
			"--others=" + strings.Join(others, ","),
			"--first=" + strconv.FormatBool(how.Founding),
			"--data-dir=" + etcdDir + "/data",
			"--out=" + config,
			"--client-url=" + url(m, client),
			"--peer-url=" + url(m, peer),
			"--metrics-url=http://" + net.JoinHostPort(part.Loopback, strconv.Itoa(etcdHealthPort)),
			"--ca=" + firstboot.EtcdCA,
			"--cert=" + firstboot.CertPath(server), "--key=" + firstboot.KeyPath(server),
			"--peer-cert=" + firstboot.CertPath(peers), "--peer-key=" + firstboot.KeyPath(peers),
			"--", "/usr/local/bin/etcd", "--config-file=" + config,
		},
		files: []string{
			firstboot.EtcdCA,
			firstboot.CertPath(server), firstboot.KeyPath(server),
			firstboot.CertPath(peers), firstboot.KeyPath(peers),
		},
		dirs: []dir{{etcdDir, false}},
		cpu:  "100m", memory: "100Mi",
		startup:   part.Get(corev1.URISchemeHTTP, part.Loopback, etcdHealthPort, "/livez"),
		readiness: new(part.Get(corev1.URISchemeHTTP, part.Loopback, etcdHealthPort, "/readyz")),
	}, nil
}

// etcdEndpoints are the etcd servers of each master's API server. With etcd on the masters
// that is its own member alone: it fails with its machine, not before, and no etcd client
// traffic crosses the network.
func etcdEndpoints(p *plan.Plan) (string, error) {
	if etcdKind(p) != "external" {
		client, err := part.Port(clauseEtcdClient)
		return "https://" + hostIP + ":" + strconv.Itoa(client), err
	}
	if p.File.ExternalEtcd == nil || len(p.File.ExternalEtcd.Endpoints) == 0 {
		return "", fmt.Errorf("manifests: externalEtcd.endpoints: etcd is external, but there is no endpoint: give https://ADDRESS:PORT")
	}
	return strings.Join(p.File.ExternalEtcd.Endpoints, ","), nil
}
