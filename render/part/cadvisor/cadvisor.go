// Package cadvisor serves the metrics of workers' containers to masters. The program is the
// payload's: the kubelet's collector with a port of its own.
package cadvisor

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/part"
)

const (
	name   = "cadvisor"
	clause = "worker.ingress.cadvisor"
)

// Role is the only one that a clause opens the port of.
const Role = contract.Worker

// Part is cAdvisor.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects, Checks: checks}

// Port is where it is on workers.
func Port() (int, error) { return part.Port(clause) }

// objects are none where there are no workers.
func objects(in part.Input) ([]runtime.Object, error) {
	if len(in.Plan.OfRole(Role)) == 0 {
		return nil, nil
	}
	port, err := Port()
	if err != nil {
		return nil, err
	}
	var masters []string
	for _, m := range in.Plan.OfRole(contract.Master) {
		masters = append(masters, m.Address.String())
	}
	ds, err := part.Exporter{
		Name: name, Roles: []contract.Role{Role}, Port: port, Health: "/healthz", Memory: "30Mi",
		Command: []string{
			"/usr/local/bin/cadvisor",
			fmt.Sprintf("-listen=$(HOST_IP):%d", port),
			// The firewall is outside the machine: it does not see what a worker's own pods ask.
			"-peers=" + strings.Join(masters, ","),
			"-containerd=" + firstboot.RuntimeSocket,
		},
	}.DaemonSet(in)
	if err != nil {
		return nil, err
	}
	// The runtime knows which container a control group is of. Who may ask it may do
	// anything on the machine, so that the program has no more to lose as root.
	pod := &ds.Spec.Template.Spec
	part.HostPath(pod, "runtime", firstboot.RuntimeSocket, firstboot.RuntimeSocket, corev1.HostPathSocket)
	part.HostPath(pod, "sys", "/sys", "/sys", corev1.HostPathDirectory)
	return []runtime.Object{ds}, nil
}

// checks ask the first worker, from a master.
func checks(p *plan.Plan) ([]part.Check, error) {
	port, err := Port()
	if err != nil {
		return nil, err
	}
	workers := p.OfRole(Role)
	if len(workers) == 0 {
		return nil, nil
	}
	return []part.Check{{
		Sentence: fmt.Sprintf("the cAdvisor of %s serves metrics to masters", workers[0].Name),
		From:     contract.Masters,
		URL:      "http://" + net.JoinHostPort(workers[0].Address.String(), strconv.Itoa(port)) + "/metrics",
		Status:   200, Contains: "container_memory_working_set_bytes{",
	}}, nil
}
