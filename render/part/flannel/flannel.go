// Package flannel is the pods' network between machines: VXLAN on the contract's port, from
// the machine's own address. It writes the machine's CNI configuration itself. Which pods
// may talk to which is not its business.
package flannel

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/render/part"
)

const name = "flannel"

// Part is flannel.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects}

const (
	// clauseVXLAN has the port.
	clauseVXLAN = "master.ingress.vxlan"
	// healthPort is on loopback, where no clause is about it.
	healthPort = 10246
)

func objects(in part.Input) ([]runtime.Object, error) {
	vxlan, err := part.Port(clauseVXLAN)
	if err != nil {
		return nil, err
	}
	sa, subject := part.Account(name)
	ds, err := part.Daemon(in, name, []string{
		"/usr/local/bin/flanneld",
		"-iface=$(HOST_IP)",
		"-network=" + in.Plan.Network.Pods.String(),
		"-port=" + strconv.Itoa(vxlan),
		"-healthz=" + net.JoinHostPort(part.Loopback, strconv.Itoa(healthPort)),
	}, healthPort)
	if err != nil {
		return nil, err
	}
	pod := &ds.Spec.Template.Spec
	folder := corev1.HostPathDirectoryOrCreate
	part.Mount(pod, "cni", "/etc/cni/net.d", false, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc/cni/net.d", Type: &folder}})
	part.Mount(pod, "tmp", "/tmp", false, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}})
	return []runtime.Object{
		sa,
		part.ClusterRole("craton:flannel",
			part.Rule("", []string{"nodes"}, "get", "list", "watch"),
			part.Rule("", []string{"nodes/status"}, "patch"),
		),
		part.BindCluster("craton:flannel", "craton:flannel", subject),
		ds,
	}, nil
}
