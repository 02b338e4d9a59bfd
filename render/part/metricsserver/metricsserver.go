// Package metricsserver says what pods and machines use: kubectl top, and what scales by use.
// It asks every kubelet, by the certificate that the cluster signed for it, and is asked
// through the API server, which knows it by a certificate of the same authority.
package metricsserver

import (
	"encoding/base64"
	"errors"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

const (
	name = "metrics-server"

	servicePort = 443
	podPort     = 4443
	certDir     = "/etc/metrics-server"
	// authority is the cluster's, as every service account has it.
	authority = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"

	group, version = "metrics.k8s.io", "v1beta1"
)

// Part is the metrics server.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects}

// objects have it on masters: those alone may reach every kubelet.
func objects(in part.Input) ([]runtime.Object, error) {
	image, err := in.Image(name)
	if err != nil {
		return nil, err
	}
	pair, ok := in.Secrets.Pairs[plan.IdentityMetricsServer]
	if !ok {
		return nil, errors.New("manifests: there is no certificate for metrics-server: the secrets were made for another plan, make them again")
	}
	onMasters, err := part.On(contract.Master)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{"k8s-app": name}
	onMasters.PodAntiAffinity = &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100,
			PodAffinityTerm: corev1.PodAffinityTerm{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
			},
		}},
	}
	sa, subject := part.Account(name)
	pod := corev1.PodSpec{
		ServiceAccountName: name,
		DNSPolicy:          corev1.DNSDefault,
		PriorityClassName:  part.ClusterCritical,
		EnableServiceLinks: new(false),
		Affinity:           onMasters,
		Tolerations:        part.Tolerations(in.Plan),
		SecurityContext:    part.AsNobody(),
		Containers: []corev1.Container{{
			Name: name, Image: image,
			Command: []string{
				"/usr/local/bin/metrics-server",
				"--secure-port=" + strconv.Itoa(podPort),
				"--tls-cert-file=" + certDir + "/" + corev1.TLSCertKey,
				"--tls-private-key-file=" + certDir + "/" + corev1.TLSPrivateKeyKey,
				"--kubelet-certificate-authority=" + authority,
				"--kubelet-preferred-address-types=" + string(corev1.NodeInternalIP),
				"--kubelet-use-node-status-port",
				// The shortest time between two questions, and what a kubelet has for an answer.
				"--metric-resolution=10s", "--kubelet-request-timeout=8s",
				"--profiling=false",
			},
			ImagePullPolicy: corev1.PullIfNotPresent,
			SecurityContext: part.Restricted(),
			Env: append(part.APIEnv(in.Plan),
				// The collector is asked to trade some time for memory.
				corev1.EnvVar{Name: "GOGC", Value: "50"}),
			Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: podPort}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("40Mi"),
			}},
			// It is ready when it has asked the kubelets twice.
			ReadinessProbe: part.Probe(part.Get(corev1.URISchemeHTTPS, "", podPort, "/readyz"), 1, 10),
			LivenessProbe:  part.Probe(part.Get(corev1.URISchemeHTTPS, "", podPort, "/livez"), 10, 5),
		}},
	}
	part.Mount(&pod, "certificate", certDir, true, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: name, DefaultMode: new(int32(0o440)),
	}})
	reader := part.ClusterRole("craton:metrics-reader", part.Rule(group, []string{"nodes", "pods"}, "get", "list", "watch"))
	// Whoever may see pods may see what they use: Kubernetes adds it to its own roles.
	reader.Labels = map[string]string{}
	for _, role := range []string{"view", "edit", "admin"} {
		reader.Labels["rbac.authorization.k8s.io/aggregate-to-"+role] = "true"
	}
	return []runtime.Object{
		sa,
		part.ClusterRole("craton:metrics-server",
			part.Rule("", []string{"nodes/metrics"}, "get"),
			part.Rule("", []string{"pods", "nodes"}, "get", "list", "watch"),
		),
		part.BindCluster("craton:metrics-server", "craton:metrics-server", subject),
		// It asks the API server who is asking, and what they may.
		part.BindCluster("craton:metrics-server-delegator", "system:auth-delegator", subject),
		&rbacv1.RoleBinding{TypeMeta: part.Kind(part.RBACVersion, "RoleBinding"), ObjectMeta: part.Meta(name),
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "extension-apiserver-authentication-reader"},
			Subjects: []rbacv1.Subject{subject},
		},
		reader,
		&corev1.Secret{TypeMeta: part.Kind("v1", "Secret"), ObjectMeta: part.Meta(name), Type: corev1.SecretTypeTLS, Data: map[string][]byte{
			corev1.TLSCertKey: pair.Cert, corev1.TLSPrivateKeyKey: pair.Key,
		}},
		&corev1.Service{TypeMeta: part.Kind("v1", "Service"), ObjectMeta: part.Meta(name), Spec: corev1.ServiceSpec{
			Selector: labels,
			Ports:    []corev1.ServicePort{{Name: "https", Port: servicePort, TargetPort: intstr.FromInt32(podPort), Protocol: corev1.ProtocolTCP}},
		}},
		part.OnMasters(in, name, pod),
		aggregated(in.Secrets.Authorities[pki.KubernetesCA].Cert),
	}, nil
}

// aggregated has the API server pass on what is asked of the group, to a service that shows a
// certificate of this authority.
func aggregated(authority []byte) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": version + "." + group},
		"spec": map[string]any{
			"group": group, "version": version,
			"groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"caBundle": base64.StdEncoding.EncodeToString(authority),
			"service":  map[string]any{"name": name, "namespace": part.Namespace, "port": int64(servicePort)},
		},
	}}
}
