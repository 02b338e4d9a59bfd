package firstboot

// Where things are on a machine. Package manifests and the platforms name them from here.
const (
	// PKIDir holds certificates and keys. An identity <name>-<machine> of the plan is
	// <name>.crt and <name>.key in it, unless it is in a kubeconfig.
	PKIDir = "/etc/kubernetes/pki"
	// ManifestDir is where a master's kubelet looks for static pods.
	ManifestDir = "/etc/kubernetes/manifests"

	// KubernetesCA is on every machine, its key on masters: the controller manager signs
	// kubelets' certificates.
	KubernetesCA    = PKIDir + "/ca.crt"
	KubernetesCAKey = PKIDir + "/ca.key"
	// EtcdCA is the authority that masters trust for etcd, the cluster's own or, where
	// etcd is external, the user's.
	EtcdCA       = PKIDir + "/etcd-ca.crt"
	FrontProxyCA = PKIDir + "/front-proxy-ca.crt"
	// ServiceAccountKey signs service account tokens, ServiceAccountPublic verifies them.
	ServiceAccountKey    = PKIDir + "/service-account.key"
	ServiceAccountPublic = PKIDir + "/service-account.pub"
	// Encryption is the API server's EncryptionConfiguration.
	Encryption = "/etc/kubernetes/encryption.yaml"

	// KubeletPKIDir holds the certificates that the kubelet asks for and renews itself.
	KubeletPKIDir = "/var/lib/kubelet/pki"
	// RuntimeSocket is where the container runtime is asked what runs.
	RuntimeSocket = "/run/containerd/containerd.sock"

	// KubeletKubeconfig is by whose name the kubelet talks to the API once it has joined.
	KubeletKubeconfig = "/var/lib/kubelet/kubeconfig"
	// RegistryDir says for each registry whom to trust.
	RegistryDir = "/etc/containerd/certs.d"

	kubeletConfig       = "/etc/kubernetes/kubelet.yaml"
	bootstrapKubeconfig = "/etc/kubernetes/bootstrap.kubeconfig"
	containerdConfig    = "/etc/containerd/config.toml"
)

// CertPath is where an identity's certificate is on a master; identity is its name without
// the machine's, for instance "kube-apiserver".
func CertPath(identity string) string { return PKIDir + "/" + identity + ".crt" }

// KeyPath is where an identity's key is on a master.
func KeyPath(identity string) string { return PKIDir + "/" + identity + ".key" }

// KubeconfigPath is where the kubeconfig of an identity is that talks to the API, for
// instance "kube-scheduler".
func KubeconfigPath(identity string) string { return "/etc/kubernetes/" + identity + ".kubeconfig" }
