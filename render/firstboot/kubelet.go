package firstboot

import (
	"fmt"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// apiURL is where a machine's own programs reach the API: masters their own API server,
// which has to be there before there is anything behind the API's name.
func apiURL(p *plan.Plan, m *plan.Machine) string {
	if m.Role != contract.Master {
		return namedAPI(p)
	}
	return "https://" + net.JoinHostPort(m.Address.String(), strconv.Itoa(int(p.Network.APIPort)))
}

// namedAPI is the API by its name, which leads to any API server.
func namedAPI(p *plan.Plan) string {
	return "https://" + net.JoinHostPort(p.Network.APIServer, strconv.Itoa(int(p.Network.APIPort)))
}

func kubeletFiles(p *plan.Plan, m *plan.Machine, s *pki.Secrets, opt Options) ([]File, error) {
	ca := s.Authorities[plan.KubernetesCA].Cert
	if len(ca) == 0 {
		return nil, missing("the certificate of authority " + plan.KubernetesCA)
	}
	token := s.BootstrapTokens[m.Name]
	if token == "" {
		return nil, missing("the bootstrap token of " + m.Name)
	}
	server := apiURL(p, m)
	if opt.Joins {
		server = namedAPI(p)
	}
	bootstrap, err := pki.Kubeconfig(pki.Client{
		Server: server, CA: ca, Token: token, Context: p.Cluster, User: "bootstrap",
	})
	if err != nil {
		return nil, fmt.Errorf("firstboot: %s: %w", m.Name, err)
	}
	config, err := kubeletYAML(p, m, opt)
	if err != nil {
		return nil, err
	}
	files := []File{
		{bootstrapKubeconfig, 0o600, bootstrap},
		{kubeletConfig, 0o644, config},
		{KubernetesCA, 0o644, ca},
	}
	if given := opt.KubeletClient; len(given.Key) > 0 {
		files = append(files, File{givenCertificate, 0o600, slices.Concat(given.Cert, given.Key)})
	}
	return files, nil
}

// missing is the error of a secret that is not there.
func missing(what string) error {
	return fmt.Errorf("firstboot: the cluster's secrets lack %s: they were made for another plan, make them again", what)
}

// port is the only port of a clause of the contract.
func port(clause string) (uint16, error) {
	c, ok := contract.ByID(clause)
	if !ok || len(c.Ports) != 1 || c.Ports[0].First != c.Ports[0].Last {
		return 0, fmt.Errorf("firstboot: the contract has no clause %s with one port", clause)
	}
	return c.Ports[0].First, nil
}

// Kubelet is the file with a machine's KubeletConfiguration, which a running kubelet reads when
// it is started again.
func Kubelet(p *plan.Plan, m *plan.Machine) (File, error) {
	config, err := kubeletYAML(p, m, Options{})
	return File{kubeletConfig, 0o644, config}, err
}

// kubeletYAML is the KubeletConfiguration. The port is that of the clauses, whether or not
// the plan opens it: the kubelet always listens. The read-only one is masters', since no
// clause opens it on others.
func kubeletYAML(p *plan.Plan, m *plan.Machine, opt Options) ([]byte, error) {
	kubeletPort, err := port("worker.ingress.kubelet")
	if err != nil {
		return nil, err
	}
	var readOnly uint16
	if m.Role == contract.Master && p.File != nil && p.File.Options.ReadOnlyPort {
		if readOnly, err = port("master.ingress.kubelet-read-only"); err != nil {
			return nil, err
		}
	}
	b := fmt.Appendf(nil, kubeletTemplate, m.Address, kubeletPort, readOnly, KubernetesCA, p.Network.ServiceDNS, RuntimeSocket, KeepFree>>20)
	if m.Role == contract.Master {
		b = fmt.Appendf(b, "staticPodPath: %s\ncrashLoopBackOff:\n  maxContainerRestartPeriod: %s\n", ManifestDir, restartWithin)
	}
	if len(ImpatientClient(p)) > 0 {
		b = fmt.Appendf(b, "nodeLeaseDurationSeconds: %d\n", 4*renewLease)
	}
	if len(opt.FeatureGates) > 0 {
		var names []string
		for name := range opt.FeatureGates {
			names = append(names, name)
		}
		sort.Strings(names)
		b = append(b, "featureGates:\n"...)
		for _, name := range names {
			b = fmt.Appendf(b, "  %s: %t\n", name, opt.FeatureGates[name])
		}
	}
	return b, nil
}

// restartWithin is how long a master's kubelet waits at most before it starts again what has ended. By
// default that grows to five minutes: what ends since etcd has no quorum, or a disk is full, would
// be away for as long again after the others are back.
const restartWithin = "5s"

// KeepFree is what has to stay free on a machine's disk, in bytes: where there is less, its
// kubelet evicts pods.
const KeepFree = 1 << 30

// renewLease is how often, in seconds, a kubelet without a load balancer tells the API that
// it is alive: a quarter of nodeLeaseDurationSeconds. A kubelet mostly watches, and a watch that
// has ended begins again only after a pause of its client, which is longer each time (client-go's
// reflectors). The lease knows no pause: it goes to the next API server as soon as the
// connection is given up, or with the next renewal. By default that would come every 10 s.
const renewLease = 2

// Why what is not the default: serverTLSBootstrap makes the kubelet ask for its serving
// certificate too, which the trusted side checks against the plan; the taint keeps pods
// away until that side has put the plan's labels and taints on the node;
// nodeStatusReportFrequency is when a kubelet reports at the latest, also where nothing has
// changed: after a recovery the API has its node as it was long ago, and by default it would
// say nothing for five minutes; the disks' thresholds are amounts, since a share of a large disk is a lot of room.
const kubeletTemplate = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
port: %d
readOnlyPort: %d
healthzBindAddress: 127.0.0.1
healthzPort: 10248
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: %s
authorization:
  mode: Webhook
clusterDNS:
- %s
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://%s
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
resolvConf: /etc/resolv.conf
rotateCertificates: true
serverTLSBootstrap: true
serializeImagePulls: false
nodeStatusReportFrequency: 30s
registerWithTaints:
- key: craton.dev/uninitialized
  effect: NoSchedule
evictionHard:
  memory.available: 100Mi
  nodefs.available: %[7]dMi
  nodefs.inodesFree: 1%%
  imagefs.available: %[7]dMi
  imagefs.inodesFree: 1%%
`

// kubeletUnit has no condition: a kubelet that starts too early fails and is there again a
// second later. At its first boot a machine without static pods waits for the API.
//
// Without a load balancer, which ends connections to an API server that has fallen silent,
// the kubelet has to see that by itself: it asks a connection that has been quiet for a
// second whether it is alive, and gives it up a second later. By default it would wait for
// three quarters of a minute.
func kubeletUnit(p *plan.Plan, m *plan.Machine) Unit {
	var failover string
	for _, v := range ImpatientClient(p) {
		failover += "Environment=" + v[0] + "=" + v[1] + "\n"
	}
	// A folder that is not there when the kubelet starts is looked for every 20 s only.
	wait := "ExecStartPre=/bin/mkdir -p " + ManifestDir + "\n"
	if m.Role != contract.Master {
		wait = "TimeoutStartSec=infinity\nExecStartPre=" + joinScript + " known\n"
	}
	args := []string{
		"/usr/local/bin/kubelet",
		"--config=" + kubeletConfig,
		"--bootstrap-kubeconfig=" + bootstrapKubeconfig,
		"--kubeconfig=" + KubeletKubeconfig,
		"--node-ip=" + m.Address.String(),
		"--hostname-override=" + m.Name,
	}
	return Unit{Name: "kubelet.service", Enabled: true, Contents: `[Unit]
Description=Kubelet
Wants=containerd.service craton-join.service
After=containerd.service
StartLimitIntervalSec=0

[Service]
` + failover + wait + `ExecStart=` + strings.Join(args, " \\\n  ") + `
KillMode=process
Restart=always
RestartSec=1
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
`}
}

// ImpatientClient are the environment variables, in order, by which a client of the API on
// a machine notices within two seconds that its API server is gone (k8s.io/apimachinery,
// util/net). There are none where a load balancer looks after that.
func ImpatientClient(p *plan.Plan) [][2]string {
	if p.Network.LoadBalancer.IsValid() {
		return nil
	}
	return [][2]string{{"HTTP2_READ_IDLE_TIMEOUT_SECONDS", "1"}, {"HTTP2_PING_TIMEOUT_SECONDS", "1"}}
}
