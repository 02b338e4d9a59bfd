// Package nodeexporter serves the metrics of machines, to whom the contract's clauses on its
// port name: the program listens on its machine's address, and the plan's rules decide who
// reaches it.
package nodeexporter

import (
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

const (
	name = "node-exporter"
	// clause has the port, the same for both of Roles.
	clause = "worker.ingress.node-exporter"
	// host is where the machine's files are in a pod.
	host = "/host"
	// textfiles is the folder on a machine where others lay metrics down for it to serve.
	textfiles = "/run"
)

// Roles are those that a clause opens the port of.
var Roles = []contract.Role{contract.Master, contract.Worker}

// Textfile is the file, on masters, with what is known of the cluster outside of its machines.
const Textfile = textfiles + "/craton.prom"

// Part is the node exporter.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects, Checks: checks}

// Port is where it is on its machines.
func Port() (int, error) { return part.Port(clause) }

// collectors are what an operator looks at, and what costs next to nothing to read. The default
// ones ask for much that a machine of a cluster does not have.
var collectors = []string{
	"conntrack", "cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo", "netdev", "netstat", "pressure",
	"sockstat", "stat", "textfile", "time", "uname", "vmstat",
}

func objects(in part.Input) ([]runtime.Object, error) {
	port, err := Port()
	if err != nil {
		return nil, err
	}
	command := []string{
		"/usr/local/bin/node_exporter",
		fmt.Sprintf("--web.listen-address=$(HOST_IP):%d", port),
		"--web.max-requests=4",
		"--path.procfs=" + host + "/proc", "--path.sysfs=" + host + "/sys", "--path.rootfs=" + host,
		// What pods mount is not the machine's.
		"--collector.filesystem.mount-points-exclude=^/(dev|proc|run|sys|tmp|var/lib/(containerd|kubelet)/.+)($|/)",
		"--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|mqueue|nsfs|proc|pstore|securityfs|sysfs|tracefs)$",
		"--collector.textfile.directory=" + host + textfiles,
		"--collector.disable-defaults",
	}
	for _, c := range collectors {
		command = append(command, "--collector."+c)
	}
	ds, err := part.Exporter{
		Name: name, Command: command, Roles: Roles, Port: port, Health: "/", Memory: "20Mi",
	}.DaemonSet(in)
	if err != nil {
		return nil, err
	}
	pod := &ds.Spec.Template.Spec
	pod.SecurityContext.RunAsNonRoot, pod.SecurityContext.RunAsUser, pod.SecurityContext.RunAsGroup = new(true), new(int64(part.Nobody)), new(int64(part.Nobody))
	part.HostPath(pod, "host", "/", host, corev1.HostPathDirectory)
	return []runtime.Object{ds}, nil
}

// checks ask one machine of each role, from a master, as a Prometheus there would.
func checks(p *plan.Plan) ([]part.Check, error) {
	port, err := Port()
	if err != nil {
		return nil, err
	}
	var out []part.Check
	for _, role := range Roles {
		for _, m := range p.OfRole(role)[:min(1, len(p.OfRole(role)))] {
			out = append(out, part.Check{
				Sentence: fmt.Sprintf("the node exporter of %s serves metrics to masters", m.Name),
				From:     contract.Masters,
				URL:      "http://" + net.JoinHostPort(m.Address.String(), strconv.Itoa(port)) + "/metrics",
				Status:   200, Contains: "node_uname_info{",
			})
		}
	}
	return out, nil
}
