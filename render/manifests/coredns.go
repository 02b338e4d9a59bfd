package manifests

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

const corefile = `.:%d {
    errors
    health :%d {
        lameduck 5s
    }
    ready :%d
    kubernetes %s in-addr.arpa ip6.arpa {
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
`

// coreDNS answers for services; for every other name it asks the machine's own resolvers.
// It is a Deployment: two on different machines where there are several.
func coreDNS(p *plan.Plan, images Images) ([]runtime.Object, error) {
	const name = "coredns"
	image := images(name)
	if image == "" {
		return nil, fmt.Errorf("manifests: there is no image for %s", name)
	}
	replicas := int32(min(2, len(p.Machines)))
	labels := map[string]string{"k8s-app": "kube-dns"}
	sa, subject := account(name)
	dnsPorts := func(make func(name string, protocol corev1.Protocol)) {
		make("dns", corev1.ProtocolUDP)
		make("dns-tcp", corev1.ProtocolTCP)
	}
	var listens []corev1.ContainerPort
	var serves []corev1.ServicePort
	dnsPorts(func(name string, protocol corev1.Protocol) {
		listens = append(listens, corev1.ContainerPort{Name: name, ContainerPort: dnsPort, Protocol: protocol})
		serves = append(serves, corev1.ServicePort{Name: name, Port: dnsPort, TargetPort: intstr.FromInt32(dnsPort), Protocol: protocol})
	})
	pod := corev1.PodSpec{
		ServiceAccountName: name,
		DNSPolicy:          corev1.DNSDefault,
		PriorityClassName:  clusterCritical,
		SecurityContext:    seccomp(),
		EnableServiceLinks: new(false),
		Tolerations:        platformTolerations(p),
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: 100,
				PodAffinityTerm: corev1.PodAffinityTerm{
					TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
				},
			}},
		}},
		Containers: []corev1.Container{{
			Name: name, Image: image, Command: []string{"/usr/local/bin/coredns", "-conf", "/etc/coredns/Corefile"},
			ImagePullPolicy: corev1.PullIfNotPresent,
			SecurityContext: restricted("NET_BIND_SERVICE"),
			Env:             apiEnv(p),
			Ports:           listens,
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("40Mi"),
			}},
			LivenessProbe:  podProbe("/health", dnsHealthPort, 10),
			ReadinessProbe: podProbe("/ready", dnsReadyPort, 2),
		}},
	}
	mount(&pod, "config", "/etc/coredns", true, configVolume(name))
	return []runtime.Object{
		sa,
		clusterRole("craton:coredns",
			rule("", []string{"services", "namespaces"}, "list", "watch"),
			rule("discovery.k8s.io", []string{"endpointslices"}, "list", "watch"),
		),
		bindCluster("craton:coredns", "craton:coredns", subject),
		&corev1.ConfigMap{TypeMeta: kind("v1", "ConfigMap"), ObjectMeta: inSystem(name), Data: map[string]string{
			"Corefile": fmt.Sprintf(corefile, dnsPort, dnsHealthPort, dnsReadyPort, domain),
		}},
		&appsv1.Deployment{
			TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: inSystem(name),
			Spec: appsv1.DeploymentSpec{
				Replicas: &replicas,
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-dns", PlatformLabel: "true"}},
					Spec:       pod,
				},
			},
		},
		&corev1.Service{
			TypeMeta: kind("v1", "Service"), ObjectMeta: inSystem("kube-dns"),
			Spec: corev1.ServiceSpec{ClusterIP: p.Network.ServiceDNS.String(), Selector: labels, Ports: serves},
		},
	}, nil
}

func podProbe(path string, port, period int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds: period, FailureThreshold: 5, TimeoutSeconds: 5,
	}
}

// platformTolerations lets pods of the platform run on masters and infra machines, whatever
// taints the plan gives those to keep the user's pods away.
func platformTolerations(p *plan.Plan) []corev1.Toleration {
	seen := map[string]bool{}
	var out []corev1.Toleration
	for _, m := range p.Machines {
		if m.Role == contract.Worker {
			continue
		}
		for _, taint := range m.Taints {
			key, _, _ := strings.Cut(taint, ":")
			key, _, _ = strings.Cut(key, "=")
			if !seen[key] {
				seen[key] = true
				out = append(out, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists})
			}
		}
	}
	return out
}
