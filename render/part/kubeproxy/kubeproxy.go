// Package kubeproxy carries services and node ports to pods, by nftables. It opens nothing:
// which ports of a machine are reached at all is the plan's business.
package kubeproxy

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/render/part"
)

const name = "kube-proxy"

// Part is kube-proxy.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects}

// Ports on part.Loopback, where no clause is about them.
const (
	healthPort  = 10256
	metricsPort = 10249
)

// The kernel's limits on connections are those of the machine's host, which it never
// touches: every limit that it would set is zero.
func objects(in part.Input) ([]runtime.Object, error) {
	config, err := yaml.Marshal(map[string]any{
		"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
		"kind":               "KubeProxyConfiguration",
		"mode":               "nftables",
		"clusterCIDR":        in.Plan.Network.Pods.String(),
		"healthzBindAddress": net.JoinHostPort(part.Loopback, strconv.Itoa(healthPort)),
		"metricsBindAddress": net.JoinHostPort(part.Loopback, strconv.Itoa(metricsPort)),
		// Node ports are on the machine's own address only.
		"nodePortAddresses": []string{"primary"},
		"conntrack": map[string]any{
			"maxPerCore": 0, "min": 0,
			"tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
		},
	})
	if err != nil {
		return nil, err
	}
	sa, subject := part.Account(name)
	ds, err := part.Daemon(in, name, []string{
		"/usr/local/bin/kube-proxy",
		"--config=/etc/kube-proxy/config.yaml",
		"--hostname-override=$(NODE_NAME)",
	}, healthPort)
	if err != nil {
		return nil, err
	}
	part.Mount(&ds.Spec.Template.Spec, "config", "/etc/kube-proxy", true, part.ConfigVolume(name))
	return []runtime.Object{
		sa,
		part.BindCluster("craton:kube-proxy", "system:node-proxier", subject),
		&corev1.ConfigMap{TypeMeta: part.Kind("v1", "ConfigMap"), ObjectMeta: part.Meta(name), Data: map[string]string{"config.yaml": string(config)}},
		ds,
	}, nil
}
