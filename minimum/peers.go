package minimum

import "craton.dev/craton/contract"

// peer is what somebody else asks for. Theirs are recommendations with room for what users run, or
// measurements of their own parts alone; the page says so.
type peer struct {
	who    string
	role   contract.Role
	memory string
	cores  string
	disk   string
	source string
}

// peers are in the order of the page: each with the page that says so.
var peers = []peer{
	{"kubeadm", contract.Master, "2 GB", "2", "", "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/"},
	{"kubeadm", contract.Worker, "2 GB", "", "", "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/"},
	{"k3s", contract.Master, "2 GB", "2", "", "https://docs.k3s.io/installation/requirements"},
	{"k3s", contract.Worker, "512 MB", "1", "", "https://docs.k3s.io/installation/requirements"},
	{"k3s, its server with one agent, measured", contract.Master, "1450 M (embedded etcd)", "5% of a core", "", "https://docs.k3s.io/reference/resource-profiling"},
	{"k3s, its agent alone, measured", contract.Worker, "275 M", "3% of a core", "", "https://docs.k3s.io/reference/resource-profiling"},
	{"k0s", contract.Master, "1 GB", "1", "0.5 GB and the system's", "https://docs.k0sproject.io/stable/system-requirements/"},
	{"k0s", contract.Worker, "0.5 GB", "1", "1.6 GB and the system's", "https://docs.k0sproject.io/stable/system-requirements/"},
	{"Talos", contract.Master, "2 GiB", "2", "10 GiB", "https://docs.siderolabs.com/talos/v1.14/getting-started"},
	{"Talos", contract.Worker, "1 GiB", "1", "10 GiB", "https://docs.siderolabs.com/talos/v1.14/getting-started"},
	{"OpenShift", contract.Master, "16 GB", "4", "100 GB", "https://github.com/openshift/openshift-docs/blob/main/modules/installation-minimum-resource-requirements.adoc"},
	{"OpenShift", contract.Worker, "8 GB", "2", "100 GB", "https://github.com/openshift/openshift-docs/blob/main/modules/installation-minimum-resource-requirements.adoc"},
}
