// Package prometheus keeps a day of the cluster's metrics, and says what an operator must know:
// its alerts. It reads what the node exporter, cAdvisor, kubelets and API servers serve to
// masters, from a master; which ports that takes is the contract's business.
//
// It has no port of a machine. Whoever the API lets may ask it through the API's proxy; other pods
// may not (guard.go).
package prometheus

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/contract"
	"craton.dev/craton/render/part"
)

const (
	name = "prometheus"
	port = 9090

	configDir = "/etc/prometheus"
	configKey = "prometheus.yaml"
	rulesKey  = "rules.yaml"
	dataDir   = "/data"
)

// Part is Prometheus.
var Part = part.Part{Name: name, Payload: []string{name, guardImage}, Objects: objects}

// objects have one of it: two would keep the same metrics twice. Where its master is away it is
// on another one after the time that pods have for that, and begins anew there.
func objects(in part.Input) ([]runtime.Object, error) {
	image, err := in.Image(name)
	if err != nil {
		return nil, err
	}
	onMasters, err := part.On(contract.Master)
	if err != nil {
		return nil, err
	}
	data := map[string]string{}
	how, err := config(in.Plan)
	if err != nil {
		return nil, err
	}
	for key, value := range map[string]any{configKey: how, rulesKey: rules()} {
		text, err := yaml.Marshal(value)
		if err != nil {
			return nil, err
		}
		data[key] = string(text)
	}
	data[guardKey] = guard(in.Plan)
	labels := map[string]string{"k8s-app": name}
	sa, subject := part.Account(name)
	pod := corev1.PodSpec{
		ServiceAccountName: name,
		DNSPolicy:          corev1.DNSDefault,
		PriorityClassName:  part.ClusterCritical,
		EnableServiceLinks: new(false),
		Affinity:           onMasters,
		Tolerations:        append(part.Tolerations(in.Plan), away(corev1.TaintNodeUnreachable), away(corev1.TaintNodeNotReady)),
		SecurityContext:    part.AsNobody(),
		Containers: []corev1.Container{{
			Name: name, Image: image,
			Command: []string{
				"/usr/local/bin/prometheus",
				"--config.file=" + configDir + "/" + configKey,
				// Machines come and go without it being started anew.
				"--config.auto-reload", "--config.auto-reload-interval=5s",
				"--web.listen-address=:" + strconv.Itoa(port),
				"--storage.tsdb.path=" + dataDir,
				"--storage.tsdb.retention.time=24h", "--storage.tsdb.retention.size=512MB",
			},
			ImagePullPolicy: corev1.PullIfNotPresent,
			SecurityContext: part.Restricted(),
			Env: []corev1.EnvVar{
				// The collector is asked to trade some time for memory.
				{Name: "GOGC", Value: "40"},
			},
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("90Mi"),
			}},
			ReadinessProbe: part.PodProbe("/-/ready", port, 2),
			LivenessProbe:  part.PodProbe("/-/healthy", port, 10),
		}},
	}
	part.Mount(&pod, "config", configDir, true, part.ConfigVolume(name))
	if err := guarded(in, &pod); err != nil {
		return nil, err
	}
	part.Mount(&pod, "data", dataDir, false, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		SizeLimit: new(resource.MustParse("1Gi")),
	}})
	return []runtime.Object{
		sa,
		part.ClusterRole("craton:prometheus",
			part.Rule("", []string{"nodes/metrics"}, "get"),
			rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}},
		),
		part.BindCluster("craton:prometheus", "craton:prometheus", subject),
		&corev1.ConfigMap{TypeMeta: part.Kind("v1", "ConfigMap"), ObjectMeta: part.Meta(name), Data: data},
		&corev1.Service{TypeMeta: part.Kind("v1", "Service"), ObjectMeta: part.Meta(name), Spec: corev1.ServiceSpec{
			Selector: labels,
			Ports:    []corev1.ServicePort{{Name: "http", Port: port, TargetPort: intstr.FromInt32(port), Protocol: corev1.ProtocolTCP}},
		}},
		&appsv1.Deployment{TypeMeta: part.Kind("apps/v1", "Deployment"), ObjectMeta: part.Meta(name), Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": name, part.PlatformLabel: "true"}},
				Spec:       pod,
			},
		}},
	}, nil
}

// away is how long it waits for its machine to come back.
func away(taint string) corev1.Toleration {
	return corev1.Toleration{Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(60))}
}
