package manifests

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// etcdData is a member's data on its master.
const etcdData = "/var/lib/etcd"

func url(m *plan.Machine, port int) string {
	return "https://" + net.JoinHostPort(m.Address.String(), strconv.Itoa(port))
}

// etcd is the master's member. It listens on the machine's own address only, and both
// sides of each connection show a certificate. Its health is plain HTTP on loopback, since
// a kubelet's probe has no certificate to show.
func etcd(p *plan.Plan, m *plan.Machine) (staticPod, error) {
	client, err := port(clauseEtcdClient)
	if err != nil {
		return staticPod{}, err
	}
	peer, err := port(clauseEtcdPeer)
	if err != nil {
		return staticPod{}, err
	}
	var members []string
	for _, other := range masters(p) {
		members = append(members, other.Name+"="+url(&other, peer))
	}
	server, peers := "etcd-server", "etcd-peer"
	return staticPod{
		name: "etcd",
		command: []string{
			"/usr/local/bin/etcd",
			"--name=" + m.Name,
			"--data-dir=" + etcdData,
			"--listen-client-urls=" + url(m, client),
			"--advertise-client-urls=" + url(m, client),
			"--listen-peer-urls=" + url(m, peer),
			"--initial-advertise-peer-urls=" + url(m, peer),
			"--initial-cluster=" + strings.Join(members, ","),
			"--initial-cluster-token=" + p.Cluster,
			"--initial-cluster-state=new",
			"--listen-metrics-urls=http://" + net.JoinHostPort(loopback, strconv.Itoa(etcdHealthPort)),
			"--cert-file=" + firstboot.CertPath(server),
			"--key-file=" + firstboot.KeyPath(server),
			"--trusted-ca-file=" + firstboot.EtcdCA,
			"--client-cert-auth=true",
			"--peer-cert-file=" + firstboot.CertPath(peers),
			"--peer-key-file=" + firstboot.KeyPath(peers),
			"--peer-trusted-ca-file=" + firstboot.EtcdCA,
			"--peer-client-cert-auth=true",
			"--tls-min-version=TLS1.3",
			// The JSON gateway is a second way in that nothing uses.
			"--enable-grpc-gateway=false",
		},
		files: []string{
			firstboot.EtcdCA,
			firstboot.CertPath(server), firstboot.KeyPath(server),
			firstboot.CertPath(peers), firstboot.KeyPath(peers),
		},
		data: etcdData,
		cpu:  "100m", memory: "100Mi",
		startup:   get(corev1.URISchemeHTTP, loopback, etcdHealthPort, "/livez"),
		readiness: new(get(corev1.URISchemeHTTP, loopback, etcdHealthPort, "/readyz")),
	}, nil
}

// etcdEndpoints are the etcd servers of one master's API server. With etcd on the masters
// that is its own member alone: it fails with its machine, not before, and no etcd client
// traffic crosses the network.
func etcdEndpoints(p *plan.Plan, m *plan.Machine) (string, error) {
	if etcdKind(p) != "external" {
		client, err := port(clauseEtcdClient)
		return url(m, client), err
	}
	if p.File.ExternalEtcd == nil || len(p.File.ExternalEtcd.Endpoints) == 0 {
		return "", fmt.Errorf("manifests: externalEtcd.endpoints: etcd is external, but there is no endpoint: give https://ADDRESS:PORT")
	}
	return strings.Join(p.File.ExternalEtcd.Endpoints, ","), nil
}
