// Package coredns is the cluster's DNS: it answers for services, and asks the machine's own
// resolvers for every other name. The names under which a cluster is known to its users are
// package render/dns's.
package coredns

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/render/part"
)

const name = "coredns"

// Part is CoreDNS.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects}

// Ports of the pods.
const (
	dnsPort    = 53
	healthPort = 8080
	readyPort  = 8181
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

// objects have a Deployment: two on different machines where there are several.
func objects(in part.Input) ([]runtime.Object, error) {
	image, err := in.Image(name)
	if err != nil {
		return nil, err
	}
	replicas := int32(min(2, len(in.Plan.Machines)))
	labels := map[string]string{"k8s-app": "kube-dns"}
	sa, subject := part.Account(name)
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
		PriorityClassName:  part.ClusterCritical,
		SecurityContext:    part.Seccomp(),
		EnableServiceLinks: new(false),
		Tolerations:        part.Tolerations(in.Plan),
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
			SecurityContext: part.Restricted("NET_BIND_SERVICE"),
			Env:             part.APIEnv(in.Plan),
			Ports:           listens,
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("40Mi"),
			}},
			LivenessProbe:  part.PodProbe("/health", healthPort, 10),
			ReadinessProbe: part.PodProbe("/ready", readyPort, 2),
		}},
	}
	part.Mount(&pod, "config", "/etc/coredns", true, part.ConfigVolume(name))
	return []runtime.Object{
		sa,
		part.ClusterRole("craton:coredns",
			part.Rule("", []string{"services", "namespaces"}, "list", "watch"),
			part.Rule("discovery.k8s.io", []string{"endpointslices"}, "list", "watch"),
		),
		part.BindCluster("craton:coredns", "craton:coredns", subject),
		&corev1.ConfigMap{TypeMeta: part.Kind("v1", "ConfigMap"), ObjectMeta: part.Meta(name), Data: map[string]string{
			"Corefile": fmt.Sprintf(corefile, dnsPort, healthPort, readyPort, part.Domain),
		}},
		&appsv1.Deployment{
			TypeMeta: part.Kind("apps/v1", "Deployment"), ObjectMeta: part.Meta(name),
			Spec: appsv1.DeploymentSpec{
				Replicas: &replicas,
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-dns", part.PlatformLabel: "true"}},
					Spec:       pod,
				},
			},
		},
		&corev1.Service{
			TypeMeta: part.Kind("v1", "Service"), ObjectMeta: part.Meta("kube-dns"),
			Spec: corev1.ServiceSpec{ClusterIP: in.Plan.Network.ServiceDNS.String(), Selector: labels, Ports: serves},
		},
	}, nil
}
