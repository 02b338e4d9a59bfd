package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// The authorities that sign identities. They are apart so that a certificate of one
// circle is worth nothing in another: etcd trusts no client of the API, and the front
// proxy's headers are believed from its own authority only.
const (
	KubernetesCA = "kubernetes"
	EtcdCA       = "etcd"
	FrontProxyCA = "front-proxy"
)

// Names that Kubernetes' own authorisation knows (the system: ones, fixed upstream) or
// that this cluster's manifests bind to a role. Nothing but the administrator is in
// system:masters, which authorisation cannot restrict.
const (
	UserKubeletPrefix     = "system:node:" // and the machine's name
	GroupKubelets         = "system:nodes"
	UserControllerManager = "system:kube-controller-manager"
	UserScheduler         = "system:kube-scheduler"
	UserKubeletClient     = "craton:apiserver-kubelet-client"
	UserOperator          = "craton:operator"
	UserAdmin             = "craton:admin"
	groupAdmin            = "system:masters"
)

// KubeletDays is how long a kubelet's certificates last, also those that the controller manager signs.
const KubeletDays = 90

// IdentitySignIn is the name of the certificate with which Dex serves.
const IdentitySignIn = "dex"

// IdentityConsole is the name of the certificate with which the Console serves.
const IdentityConsole = "console"

// IdentityIngress is the name of the certificate with which the ingress controller serves the
// console's name, and whatever name it has no other certificate for.
const IdentityIngress = "ingress"

// IdentityMetricsServer is the name of the certificate with which the metrics server serves, by
// which the API servers know it.
const IdentityMetricsServer = "metrics-server"

// yearDays is the life of every identity. It is the shortest that leaves room for
// somebody to come back to a cluster that was off: nothing renews a certificate on a
// machine that is not running. Kubelets' certificates are not among these: the cluster
// itself signs and rotates them.
const yearDays = 365

const (
	server = "server"
	client = "client"
)

// identitiesOf are the certificates to issue, sorted by name. Each master has its own of
// each, so that no key leaves its machine and one machine can be shut out alone.
func identitiesOf(c *cluster.Cluster, network Network, machines []Machine) []Identity {
	ids := []Identity{{
		Name: "admin", CA: KubernetesCA, CommonName: UserAdmin, Organizations: []string{groupAdmin},
		Usages: []string{client}, Days: yearDays,
	}}
	if c.Options.SignIn {
		// Under the console's name it is what the API server reaches by the service's address,
		// and users by the ingress.
		ids = append(ids, Identity{
			Name: IdentitySignIn, CA: KubernetesCA, CommonName: network.Console,
			DNSNames: []string{network.Console}, Addresses: []netip.Addr{network.ServiceSignIn},
			Usages: []string{server}, Days: yearDays,
		})
	}
	if c.Options.Console {
		ids = append(ids, Identity{
			Name: IdentityConsole, CA: KubernetesCA, CommonName: network.Console,
			DNSNames: []string{network.Console}, Usages: []string{server}, Days: yearDays,
		})
	}
	if c.Options.Ingress && c.IngressCertificate == nil {
		ids = append(ids, Identity{
			Name: IdentityIngress, CA: KubernetesCA, CommonName: network.Console,
			DNSNames: []string{network.Console}, Usages: []string{server}, Days: yearDays,
		})
	}
	if c.Options.MetricsServer {
		name := IdentityMetricsServer + ".kube-system.svc"
		ids = append(ids, Identity{
			Name: IdentityMetricsServer, CA: KubernetesCA, CommonName: name,
			DNSNames: []string{name}, Usages: []string{server}, Days: yearDays,
		})
	}
	for _, m := range machines {
		if m.Role != contract.Master {
			continue
		}
		add := func(id Identity) {
			id.Name += "-" + m.Name
			id.Machine, id.Days = m.Name, yearDays
			ids = append(ids, id)
		}
		// The load balancer passes TLS through, so its name is the API's; clients inside
		// the cluster use the service's names and address. The master's own address is
		// for what the service's endpoints and other masters dial.
		add(Identity{
			Name: "kube-apiserver", CA: KubernetesCA, CommonName: "kube-apiserver",
			DNSNames: []string{
				network.APIServer,
				"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			},
			Addresses: []netip.Addr{network.ServiceAPI, m.Address},
			Usages:    []string{server},
		})
		clients := []struct{ name, ca, user string }{
			{"apiserver-kubelet-client", KubernetesCA, UserKubeletClient},
			{"kube-controller-manager", KubernetesCA, UserControllerManager},
			{"kube-scheduler", KubernetesCA, UserScheduler},
			{"craton-operator", KubernetesCA, UserOperator},
			{"front-proxy-client", FrontProxyCA, "front-proxy-client"},
		}
		if c.Etcd != "external" {
			clients = append(clients, struct{ name, ca, user string }{"apiserver-etcd-client", EtcdCA, "kube-apiserver-etcd-client"})
			// A member dials itself with its serving certificate, and its peers with its
			// peer certificate: both are used as clients too.
			both := []string{server, client}
			add(Identity{
				Name: "etcd-server", CA: EtcdCA, CommonName: m.Name,
				Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), m.Address}, Usages: both,
			})
			add(Identity{
				Name: "etcd-peer", CA: EtcdCA, CommonName: m.Name,
				Addresses: []netip.Addr{m.Address}, Usages: both,
			})
		}
		for _, cl := range clients {
			add(Identity{Name: cl.name, CA: cl.ca, CommonName: cl.user, Usages: []string{client}})
		}
	}
	slices.SortFunc(ids, func(a, b Identity) int { return cmp.Compare(a.Name, b.Name) })
	return ids
}
