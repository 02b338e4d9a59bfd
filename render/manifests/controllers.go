package manifests

import (
	"fmt"
	"net"
	"path"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/part"
)

// election is on even with one master: with it, the programs wait for an API server that is
// not there yet; without it, they end and are started again later and later. They ask every
// second, so that nothing is lost at the first start. Whoever finds another one's lease waits
// for as long as it lasts, from when he first saw it: that is most of the time for which
// nobody leads after a leader's sudden end.
var election = []string{
	"--leader-elect=true",
	"--leader-elect-lease-duration=10s",
	"--leader-elect-renew-deadline=8s",
	"--leader-elect-retry-period=1s",
}

// controllerManager signs kubelets' certificates but approves none: the operator does, which
// checks them against the plan. Its own port answers health checks and nothing else, since
// it is given no means to ask who is asking.
func controllerManager(p *plan.Plan) (program, error) {
	const name = "kube-controller-manager"
	kubeconfig := firstboot.KubeconfigPath(name)
	return program{
		name: name,
		command: append([]string{
			"/usr/local/bin/kube-controller-manager",
			"--kubeconfig=" + kubeconfig,
			"--bind-address=" + serveOn,
			"--secure-port=" + strconv.Itoa(managerPort),
			"--permit-port-sharing=true",
			// Its successor need not wait till its lease runs out.
			"--feature-gates=ControllerManagerReleaseLeaderElectionLockOnExit=true",
			"--controllers=*,token-cleaner-controller,-certificatesigningrequest-approving-controller",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + firstboot.ServiceAccountKey,
			"--root-ca-file=" + firstboot.KubernetesCA,
			"--cluster-name=" + p.Cluster,
			"--cluster-signing-cert-file=" + firstboot.KubernetesCA,
			"--cluster-signing-key-file=" + firstboot.KubernetesCAKey,
			// Long enough for a machine that was off for a season to come back.
			fmt.Sprintf("--cluster-signing-duration=%dh", 24*plan.KubeletDays),
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
		startup:  part.Get(corev1.URISchemeHTTPS, part.Loopback, managerPort, "/healthz"),
		patience: 3,
		address:  part.Loopback, standIn: loopbackOther,
	}, nil
}

func scheduler(p *plan.Plan) (program, error) {
	const name = "kube-scheduler"
	kubeconfig := firstboot.KubeconfigPath(name)
	return program{
		name: name,
		command: append([]string{
			"/usr/local/bin/kube-scheduler",
			"--kubeconfig=" + kubeconfig,
			"--bind-address=" + serveOn,
			"--secure-port=" + strconv.Itoa(schedulerPort),
			"--permit-port-sharing=true",
			"--profiling=false",
		}, election...),
		files: []string{kubeconfig},
		cpu:   "50m", memory: "40Mi",
		startup:  part.Get(corev1.URISchemeHTTPS, part.Loopback, schedulerPort, "/healthz"),
		patience: 3,
		address:  part.Loopback, standIn: loopbackOther,
	}, nil
}

// The programs of the image of craton's own.
const (
	operatorName     = "craton-operator"
	checkpointerName = "craton-checkpointer"
)

// operator is craton's own program.
func operator(p *plan.Plan, m *plan.Machine, images Images, _ Bring) (program, error) {
	image, err := imageOf(images, operatorName)
	kubeconfig := firstboot.KubeconfigPath(operatorName)
	command := []string{
		"/usr/local/bin/" + operatorName,
		"--kubeconfig=" + kubeconfig,
		"--healthz=" + net.JoinHostPort(part.Loopback, strconv.Itoa(operatorHealthPort)),
		"--leader-elect=true", // more masters may come
	}
	files := []string{kubeconfig}
	if err == nil {
		var flags, more []string
		flags, more, err = operatorEtcd(p)
		command, files = append(command, flags...), append(files, more...)
	}
	return program{
		name: operatorName, image: image,
		command: command,
		// The collector is asked to trade some time for memory.
		env:   map[string]string{"GOGC": "50", "GOMEMLIMIT": "28MiB"},
		files: files,
		cpu:   "10m", memory: "40Mi",
		startup: part.Get(corev1.URISchemeHTTP, part.Loopback, operatorHealthPort, "/healthz"),
	}, err
}

// checkpointer starts stand-ins, and ends them. It is the machine's kubelet to the API, with
// that one's certificate: it may read what is meant for its own machine.
func checkpointer(p *plan.Plan, m *plan.Machine, images Images, _ Bring) (program, error) {
	image, err := imageOf(images, operatorName)
	var flags []string
	dirs := []dir{{firstboot.KubeletPKIDir, true}, {path.Dir(firstboot.RuntimeSocket), true}, {firstboot.ManifestDir, false}, {CheckpointDir, false}}
	if etcdKind(p) == etcdSelfHosted {
		flags, dirs = []string{"--etcd-data=" + etcdDataPath}, append(dirs, dir{etcdDir, true})
	}
	api := func(host string) string { return "https://" + net.JoinHostPort(host, apiPort(p)) }
	return program{
		name: checkpointerName, image: image,
		command: append([]string{
			"/usr/local/bin/" + checkpointerName,
			"--node=" + m.Name,
			"--api-own=" + api(m.Address.String()),
			"--api=" + api(p.Network.APIServer),
			"--ca=" + firstboot.KubernetesCA,
			"--certificates=" + firstboot.KubeletPKIDir,
			"--runtime=" + firstboot.RuntimeSocket,
			"--manifests=" + firstboot.ManifestDir,
			"--checkpoints=" + CheckpointDir,
			"--healthz=" + net.JoinHostPort(part.Loopback, strconv.Itoa(checkpointerHealthPort)),
		}, flags...),
		env:   map[string]string{"GOGC": "50", "GOMEMLIMIT": "12MiB"},
		files: []string{firstboot.KubernetesCA},
		dirs:  dirs,
		cpu:   "10m", memory: "20Mi",
		startup: part.Get(corev1.URISchemeHTTP, part.Loopback, checkpointerHealthPort, "/healthz"),
	}, err
}
