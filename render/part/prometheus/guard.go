package prometheus

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

const (
	// guardImage is the component of the payload whose image has nft.
	guardImage = "kube-proxy"
	guardKey   = "guard.nft"
)

// guard is the pod's own packet filter, for nft. Prometheus asks nobody who they are, and no rule of
// the fabric is between pods. API servers, through which people ask, are on masters. They come with the
// master's address, or with one of the first two among its pods', which are the machine's own: of
// flannel's interface, and of its pods' gateway. So does the kubelet of the pod's machine.
func guard(p *plan.Plan) string {
	var masters []string
	for _, m := range p.OfRole(contract.Master) {
		masters = append(masters, m.Address.String())
	}
	var host [4]byte // the bits that tell a machine's pods from its own addresses
	for i := cluster.PodPrefixBits; i < 31; i++ {
		host[i/8] |= 1 << (7 - i%8)
	}
	at := "tcp dport " + strconv.Itoa(port) + " accept"
	return strings.Join([]string{
		"table inet guard",
		"delete table inet guard", // where the pod begins anew
		"table inet guard {",
		"	chain input {",
		"		type filter hook input priority filter; policy drop;",
		"		iif lo accept",
		"		ct state established,related accept",
		fmt.Sprintf("		ip saddr { %s } %s", strings.Join(masters, ", "), at),
		fmt.Sprintf("		ip saddr %s ip saddr & %s == 0.0.0.0 %s", p.Network.Pods, netip.AddrFrom4(host), at),
		"	}",
		"}",
	}, "\n") + "\n"
}

// guarded adds the container that loads the guard before Prometheus is started.
func guarded(in part.Input, pod *corev1.PodSpec) error {
	image, err := in.Image(guardImage)
	if err != nil {
		return err
	}
	may := part.Restricted("NET_ADMIN")
	may.RunAsNonRoot, may.RunAsUser = new(false), new(int64(0)) // others get no capability with them into a program
	pod.InitContainers = append(pod.InitContainers, corev1.Container{
		Name: "guard", Image: image, Command: []string{"/usr/sbin/nft", "--file", configDir + "/" + guardKey},
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: may,
		VolumeMounts:    []corev1.VolumeMount{{Name: "config", MountPath: configDir, ReadOnly: true}},
	})
	return nil
}
