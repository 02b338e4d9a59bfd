package manifests

import (
	"errors"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/part/dex"
)

// authentication lets the health endpoints, which the kubelet and the load balancer ask,
// be read without a name, and nothing else.
const authentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
`

// etcdServers is the flag that says where etcd is.
const etcdServers = "--etcd-servers="

// Authentication is the API server's AuthenticationConfiguration. Where people sign in it trusts
// Dex, whose certificate the authority has signed; it asks Dex for its keys, and while Dex does
// not answer, those who have certificates are as welcome as ever.
func Authentication(p *plan.Plan, authority []byte) ([]byte, error) {
	if !p.Network.ServiceSignIn.IsValid() {
		return []byte(authentication), nil
	}
	if len(authority) == 0 {
		return nil, errors.New("manifests: the API server cannot trust Dex without the certificate of the cluster's authority")
	}
	jwt, err := dex.Authenticator(p, authority)
	if err != nil {
		return nil, err
	}
	return append([]byte(authentication+"jwt:\n"), jwt...), nil
}

// AuthenticationPath is where the API server's AuthenticationConfiguration is on a master.
const AuthenticationPath = "/etc/kubernetes/authentication.yaml"

// apiServer listens on all of its machine's addresses, its stand-in on the one by which the
// others know the machine. The kernel prefers who listens on the very address: while there
// is a stand-in it gets the connections, and the real one, which may only be starting or
// hang, is asked through loopback. When the stand-in ends, the real one has them at once.
func apiServer(p *plan.Plan) (program, error) {
	servers, err := etcdEndpoints(p)
	if err != nil {
		return program{}, err
	}
	nodePorts, err := part.Ports(clauseNodePorts)
	if err != nil {
		return program{}, err
	}
	const (
		server     = "kube-apiserver"
		etcdClient = "apiserver-etcd-client"
		kubelet    = "apiserver-kubelet-client"
		frontProxy = "front-proxy-client"
	)
	health := func(path string) corev1.HTTPGetAction {
		return part.Get(corev1.URISchemeHTTPS, part.Loopback, int(p.Network.APIPort), path)
	}
	files := []string{
		firstboot.KubernetesCA, firstboot.EtcdCA, firstboot.FrontProxyCA,
		firstboot.ServiceAccountPublic, firstboot.ServiceAccountKey,
		firstboot.Encryption, AuthenticationPath,
	}
	for _, identity := range []string{server, etcdClient, kubelet, frontProxy} {
		files = append(files, firstboot.CertPath(identity), firstboot.KeyPath(identity))
	}
	var aliases []corev1.HostAlias
	if signIn := p.Network.ServiceSignIn; signIn.IsValid() {
		// The way to Dex's keys is then a service: no load balancer and no ingress, whose
		// certificate may be the user's, and no opening of its own.
		aliases = []corev1.HostAlias{{IP: signIn.String(), Hostnames: []string{p.Network.Console}}}
	}
	return program{
		name:    server,
		aliases: aliases,
		command: []string{
			"/usr/local/bin/kube-apiserver",
			"--bind-address=" + serveOn,
			"--advertise-address=" + hostIP,
			"--secure-port=" + apiPort(p),
			"--permit-port-sharing=true",
			"--tls-cert-file=" + firstboot.CertPath(server),
			"--tls-private-key-file=" + firstboot.KeyPath(server),
			"--tls-min-version=VersionTLS12",
			"--client-ca-file=" + firstboot.KubernetesCA,
			"--authentication-config=" + AuthenticationPath,
			"--enable-bootstrap-token-auth=true",
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			etcdServers + servers,
			"--etcd-cafile=" + firstboot.EtcdCA,
			"--etcd-certfile=" + firstboot.CertPath(etcdClient),
			"--etcd-keyfile=" + firstboot.KeyPath(etcdClient),
			"--encryption-provider-config=" + firstboot.Encryption,
			"--service-account-issuer=https://kubernetes.default.svc." + part.Domain,
			"--service-account-key-file=" + firstboot.ServiceAccountPublic,
			"--service-account-signing-key-file=" + firstboot.ServiceAccountKey,
			"--service-cluster-ip-range=" + p.Network.Services.String(),
			"--service-node-port-range=" + nodePorts.String(),
			"--kubelet-certificate-authority=" + firstboot.KubernetesCA,
			"--kubelet-client-certificate=" + firstboot.CertPath(kubelet),
			"--kubelet-client-key=" + firstboot.KeyPath(kubelet),
			"--kubelet-preferred-address-types=InternalIP",
			"--proxy-client-cert-file=" + firstboot.CertPath(frontProxy),
			"--proxy-client-key-file=" + firstboot.KeyPath(frontProxy),
			"--requestheader-client-ca-file=" + firstboot.FrontProxyCA,
			"--requestheader-allowed-names=" + frontProxy,
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--profiling=false",
			// Told to end, it ends its watches too, and does not wait for their clients. It lets them go
			// to another one: told to come again (shutdown-send-retry-after), they would in five seconds.
			"--shutdown-watch-termination-grace-period=500ms",
		},
		files: files,
		add:   []corev1.Capability{"NET_BIND_SERVICE"},
		cpu:   "200m", memory: "300Mi",
		startup: health("/livez"),
		// Without etcd it can do nothing, but a new one could not either.
		liveness:  new(health("/livez?exclude=etcd")),
		readiness: new(health("/readyz")),
		address:   anywhere, standIn: hostIP,
	}, nil
}
