package manifests

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/plan"
)

// kubeProxy makes services work, by nftables. The kernel's limits on connections are those
// of the machine's host, which it never touches: every limit that it would set is zero.
func kubeProxy(p *plan.Plan, images Images) ([]runtime.Object, error) {
	const name = "kube-proxy"
	config, err := yaml.Marshal(map[string]any{
		"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
		"kind":               "KubeProxyConfiguration",
		"mode":               "nftables",
		"clusterCIDR":        p.Network.Pods.String(),
		"healthzBindAddress": net.JoinHostPort(loopback, strconv.Itoa(proxyHealthPort)),
		"metricsBindAddress": net.JoinHostPort(loopback, strconv.Itoa(proxyMetricsPort)),
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
	sa, subject := account(name)
	ds, err := daemon(p, images, name, name, []string{
		"/usr/local/bin/kube-proxy",
		"--config=/etc/kube-proxy/config.yaml",
		"--hostname-override=$(NODE_NAME)",
	}, proxyHealthPort)
	if err != nil {
		return nil, err
	}
	mount(&ds.Spec.Template.Spec, "config", "/etc/kube-proxy", true, configVolume(name))
	return []runtime.Object{
		sa,
		bindCluster("craton:kube-proxy", "system:node-proxier", subject),
		&corev1.ConfigMap{TypeMeta: kind("v1", "ConfigMap"), ObjectMeta: inSystem(name), Data: map[string]string{"config.yaml": string(config)}},
		ds,
	}, nil
}
