package manifests

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/plan"
)

// flannel is the pods' network between machines: VXLAN on the contract's port, from the
// machine's own address. It writes the machine's CNI configuration itself.
func flannel(p *plan.Plan, images Images) ([]runtime.Object, error) {
	const name = "flannel"
	vxlan, err := port(clauseVXLAN)
	if err != nil {
		return nil, err
	}
	sa, subject := account(name)
	ds, err := daemon(p, images, name, name, []string{
		"/usr/local/bin/flanneld",
		"-iface=$(HOST_IP)",
		"-network=" + p.Network.Pods.String(),
		"-port=" + strconv.Itoa(vxlan),
		"-healthz=" + loopback + ":" + strconv.Itoa(flannelHealthPort),
	}, flannelHealthPort)
	if err != nil {
		return nil, err
	}
	pod := &ds.Spec.Template.Spec
	folder := corev1.HostPathDirectoryOrCreate
	mount(pod, "cni", "/etc/cni/net.d", false, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc/cni/net.d", Type: &folder}})
	mount(pod, "tmp", "/tmp", false, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}})
	return []runtime.Object{
		sa,
		clusterRole("craton:flannel",
			rule("", []string{"nodes"}, "get", "list", "watch"),
			rule("", []string{"nodes/status"}, "patch"),
		),
		bindCluster("craton:flannel", "craton:flannel", subject),
		ds,
	}, nil
}
