package manifests

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// election is on even with one master: with it, the programs wait for an API server that is
// not there yet; without it, they end and are started again later and later. They ask every
// second, so that nothing is lost at the first start.
var election = []string{
	"--leader-elect=true",
	"--leader-elect-lease-duration=15s",
	"--leader-elect-renew-deadline=10s",
	"--leader-elect-retry-period=1s",
}

// controllerManager signs kubelets' certificates but approves none: the operator does, which
// checks them against the plan. Its own port answers health checks and nothing else, since
// it is given no means to ask who is asking.
func controllerManager(p *plan.Plan, m *plan.Machine) (staticPod, error) {
	const name = "kube-controller-manager"
	kubeconfig := firstboot.KubeconfigPath(name)
	return staticPod{
		name: name,
		command: append([]string{
			"/usr/local/bin/kube-controller-manager",
			"--kubeconfig=" + kubeconfig,
			"--bind-address=" + loopback,
			"--secure-port=" + strconv.Itoa(managerPort),
			"--controllers=*,token-cleaner-controller,-certificatesigningrequest-approving-controller",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + firstboot.ServiceAccountKey,
			"--root-ca-file=" + firstboot.KubernetesCA,
			"--cluster-name=" + p.Cluster,
			"--cluster-signing-cert-file=" + firstboot.KubernetesCA,
			"--cluster-signing-key-file=" + firstboot.KubernetesCAKey,
			// Long enough for a machine that was off for a season to come back.
			"--cluster-signing-duration=2160h",
			"--allocate-node-cidrs=true",
			"--cluster-cidr=" + p.Network.Pods.String(),
			"--node-cidr-mask-size=" + strconv.Itoa(nodeMaskBits),
			"--service-cluster-ip-range=" + p.Network.Services.String(),
			"--profiling=false",
			// At the default of 20 a second its controllers, which start one after another,
			// take more than six seconds till the one that signs certificates. The API has
			// its own limits.
			"--kube-api-qps=200",
			"--kube-api-burst=400",
		}, election...),
		files: []string{kubeconfig, firstboot.KubernetesCA, firstboot.KubernetesCAKey, firstboot.ServiceAccountKey},
		cpu:   "100m", memory: "80Mi",
		startup: get(corev1.URISchemeHTTPS, loopback, managerPort, "/healthz"),
	}, nil
}

func scheduler(p *plan.Plan, m *plan.Machine) (staticPod, error) {
	const name = "kube-scheduler"
	kubeconfig := firstboot.KubeconfigPath(name)
	return staticPod{
		name: name,
		command: append([]string{
			"/usr/local/bin/kube-scheduler",
			"--kubeconfig=" + kubeconfig,
			"--bind-address=" + loopback,
			"--secure-port=" + strconv.Itoa(schedulerPort),
			"--profiling=false",
		}, election...),
		files: []string{kubeconfig},
		cpu:   "50m", memory: "40Mi",
		startup: get(corev1.URISchemeHTTPS, loopback, schedulerPort, "/healthz"),
	}, nil
}

// operator is craton's own program. It elects a leader where there are several masters.
func operator(p *plan.Plan, m *plan.Machine) (staticPod, error) {
	const name = "craton-operator"
	kubeconfig := firstboot.KubeconfigPath(name)
	return staticPod{
		name: name,
		command: []string{
			"/usr/local/bin/craton-operator",
			"--kubeconfig=" + kubeconfig,
			"--healthz=" + net.JoinHostPort(loopback, strconv.Itoa(operatorHealthPort)),
			"--leader-elect=" + strconv.FormatBool(len(masters(p)) > 1),
		},
		// The collector is asked to trade some time for memory.
		env:   map[string]string{"GOGC": "50", "GOMEMLIMIT": "36MiB"},
		files: []string{kubeconfig},
		cpu:   "10m", memory: "40Mi",
		startup: get(corev1.URISchemeHTTP, loopback, operatorHealthPort, "/healthz"),
	}, nil
}
