// Package traefik is the ingress: Traefik, which leads what users ask for, by host and path, to
// services. It serves Ingress objects of its class and those that have none.
//
// The ways to it differ. By node ports it runs on masters, whose node ports the document
// opens, in pods' network; a load balancer is in front. By host ports it runs on infra machines,
// or else on workers, in the machine's network; the console's name leads there. Either
// way it is on each of these machines, sees its clients' own addresses, and makes way for its
// successor only when that one is ready.
//
// Which objects lead where is their own parts' business (part.Route). The load balancer is
// package render/haproxy's, and the program, with what it does differently from upstream's,
// the payload's (payload/source/traefik).
package traefik

import (
	"errors"
	"fmt"
	"net/netip"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

const (
	name    = "ingress" // its objects have the name by which users know it
	program = "traefik"
)

// Part is Traefik.
var Part = part.Part{Name: name, Payload: []string{program}, Objects: objects, Checks: checks}

const (
	// Ports of pods with a network of their own: those that users know, since a Gateway object's
	// listener is found by its port.
	httpsPort = plan.HTTPSPort
	httpPort  = plan.HTTPPort
	// healthPort is that of the process's own health; of a pod in the machine's network it is
	// open to the machine only.
	healthPort = 8082

	configDir  = "/etc/traefik"
	configFile = "platform.yaml"

	// Seconds. A pod that is to end goes on taking connections while others still send some its
	// way, then lets the requests end that it has.
	acceptsOn = 5
	drains    = 30
	// reads is how long a request by HTTP/1.1 may take to be read, and with Traefik its answer ends
	// with that too. It is the load balancer's limit to a connection: with Traefik's own minute,
	// events and logs that somebody follows would end.
	reads = 60 * 60

	controller = "traefik.io/ingress-controller"
)

func objects(in part.Input) ([]runtime.Object, error) {
	where, ok := in.Plan.IngressController()
	if !ok {
		return nil, errors.New("manifests: the plan has no ingress controller: set options.ingress")
	}
	config, err := Config(in.Plan, in.Secrets)
	if err != nil {
		return nil, err
	}
	daemons, err := daemonSet(in, where)
	if err != nil {
		return nil, err
	}
	sa, subject := part.Account(name)
	// Certificates of users' own are secrets wherever they have their Ingress objects, so it
	// may read all of them: the one wide right that it has.
	rules := []rbacv1.PolicyRule{
		part.Rule("", []string{"services", "secrets", "nodes"}, "list", "watch"),
		part.Rule("discovery.k8s.io", []string{"endpointslices"}, "list", "watch"),
		part.Rule("networking.k8s.io", []string{"ingresses", "ingressclasses"}, "list", "watch"),
		part.Rule("networking.k8s.io", []string{"ingresses/status"}, "update"),
	}
	var out []runtime.Object
	if in.Plan.File.Options.Gateway {
		if out, err = gatewayObjects(); err != nil { // before the pods, which look for these kinds
			return nil, err
		}
		rules = append(rules, gatewayRules()...)
	}
	out = append(out,
		sa,
		part.ClusterRole("craton:ingress", rules...),
		part.BindCluster("craton:ingress", "craton:ingress", subject),
		&corev1.Secret{TypeMeta: part.Kind("v1", "Secret"), ObjectMeta: part.Meta(name), Data: map[string][]byte{configFile: config}},
		&networkingv1.IngressClass{
			TypeMeta: part.Kind("networking.k8s.io/v1", "IngressClass"),
			ObjectMeta: metav1.ObjectMeta{Name: part.IngressClass, Annotations: map[string]string{
				networkingv1.AnnotationIsDefaultIngressClass: "true",
			}},
			Spec: networkingv1.IngressClassSpec{Controller: controller},
		},
		daemons,
	)
	if !where.HostPorts {
		out = append(out, service(where))
	}
	return out, nil
}

// service gives the pods node ports. Local: what comes to a machine goes to the pod on it, with
// its sender's address; machines without one answer nobody.
func service(where plan.Ingress) *corev1.Service {
	port := func(name string, port int32, node uint16) corev1.ServicePort {
		return corev1.ServicePort{
			Name: name, Port: port, TargetPort: intstr.FromString(name), NodePort: int32(node), Protocol: corev1.ProtocolTCP,
		}
	}
	return &corev1.Service{TypeMeta: part.Kind("v1", "Service"), ObjectMeta: part.Meta(name), Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: labels(),
		ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
		Ports: []corev1.ServicePort{
			port("https", plan.HTTPSPort, where.HTTPS), port("http", plan.HTTPPort, where.HTTP), port("health", healthPort, where.Health),
		},
	}}
}

func labels() map[string]string { return map[string]string{"k8s-app": name} }

func daemonSet(in part.Input, where plan.Ingress) (*appsv1.DaemonSet, error) {
	image, err := in.Image(program)
	if err != nil {
		return nil, err
	}
	label, value, err := roleLabel(where.Role)
	if err != nil {
		return nil, err
	}
	container := corev1.Container{
		Name: program, Image: image, Command: append([]string{"/usr/local/bin/" + program}, flags(in.Plan, where)...),
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: part.Restricted(),
		Env: append(part.APIEnv(in.Plan), part.FieldEnv("HOST_IP", "status.hostIP"),
			// The collector is asked to trade some time for memory.
			corev1.EnvVar{Name: "GOGC", Value: "50"}),
		// All that users ask for goes through it: on a machine that is busy it gets as much as the names' server.
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("60Mi"),
		}},
	}
	pod := corev1.PodSpec{
		ServiceAccountName:            name,
		DNSPolicy:                     corev1.DNSDefault,
		PriorityClassName:             part.ClusterCritical,
		EnableServiceLinks:            new(false),
		NodeSelector:                  map[string]string{label: value},
		Tolerations:                   part.Tolerations(in.Plan),
		TerminationGracePeriodSeconds: new(int64(acceptsOn + drains + 5)),
		SecurityContext:               part.Seccomp(),
	}
	host := ""
	if where.HostPorts {
		// A user who is not root gets no capability with him into a program. The new one and the
		// old one are on the same ports for a while, for which neither may name them here.
		pod.HostNetwork = true
		host = part.Loopback
		container.SecurityContext = part.Restricted("NET_BIND_SERVICE")
	} else {
		// A user who is not root may listen on all ports of this network, which is the pod's alone.
		pod.SecurityContext = part.AsNobody()
		pod.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}
		container.Ports = []corev1.ContainerPort{
			{Name: "https", ContainerPort: httpsPort}, {Name: "http", ContainerPort: httpPort}, {Name: "health", ContainerPort: healthPort},
		}
	}
	health := part.Get(corev1.URISchemeHTTP, host, healthPort, "/ping")
	container.ReadinessProbe = part.Probe(health, 1, 2)
	container.LivenessProbe = part.Probe(health, 10, 6)
	container.LivenessProbe.InitialDelaySeconds = 30
	pod.Containers = []corev1.Container{container}
	part.Mount(&pod, "config", configDir, true, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: name, DefaultMode: new(int32(0o440)),
	}})
	return &appsv1.DaemonSet{TypeMeta: part.Kind("apps/v1", "DaemonSet"), ObjectMeta: part.Meta(name), Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels()},
		// On host ports, either of two processes may answer for the other's health. That one is
		// ready after this long says that it is not the other one only.
		MinReadySeconds: 5,
		UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
			Type: appsv1.RollingUpdateDaemonSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDaemonSet{
				MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromInt32(1)),
			},
		},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": name, part.PlatformLabel: "true"}},
			Spec:       pod,
		},
	}}, nil
}

// roleLabel is the label that the contract gives machines of a role.
func roleLabel(role contract.Role) (key, value string, err error) {
	id := map[contract.Role]string{
		contract.Master: "master.machine.kubelet", contract.Infra: "infra.machine.label", contract.Worker: "worker.machine.kubelet",
	}[role]
	return part.MachineLabel(id)
}

// flags are Traefik's own, by upstream's reference.
func flags(p *plan.Plan, where plan.Ingress) []string {
	https, http, health := fmt.Sprintf(":%d", httpsPort), fmt.Sprintf(":%d", httpPort), fmt.Sprintf(":%d", healthPort)
	if where.HostPorts {
		https, http = fmt.Sprintf("$(HOST_IP):%d", where.HTTPS), fmt.Sprintf("$(HOST_IP):%d", where.HTTP)
		health = part.Loopback + health
	}
	points := []struct{ name, address string }{{"https", https}}
	if where.HTTP != 0 {
		points = append(points, struct{ name, address string }{"http", http})
	}
	out := []string{
		"--providers.file.directory=" + configDir,
		"--providers.kubernetesingress=true",
		"--providers.kubernetesingress.strictprefixmatching=true",
		"--providers.kubernetesingress.ingressendpoint.hostname=" + p.Network.Console,
		"--providers.providersthrottleduration=500ms",
		"--ping.manualrouting=true",
		"--entrypoints.health.address=" + health,
		"--entrypoints.https.asdefault=true",
		"--entrypoints.https.http.tls=true",
	}
	if p.File.Options.Gateway {
		out = append(out, gatewayFlags(p)...)
	}
	if where.HTTP != 0 {
		out = append(out, fmt.Sprintf("--entrypoints.http.http.redirections.entrypoint.to=:%d", plan.HTTPSPort))
	}
	for _, point := range points {
		flag := func(name string, value any) {
			out = append(out, fmt.Sprintf("--entrypoints.%s.%s=%v", point.name, name, value))
		}
		flag("address", point.address)
		flag("transport.lifecycle.requestacceptgracetimeout", acceptsOn)
		flag("transport.lifecycle.gracetimeout", drains)
		flag("transport.respondingtimeouts.readtimeout", reads)
		if where.HostPorts {
			flag("reuseport", true)
		}
		if p.Network.Ingress.IsValid() {
			// Nobody but the load balancer is believed where somebody else comes from.
			flag("proxyprotocol.trustedips", netip.PrefixFrom(p.Network.LoadBalancer, p.Network.LoadBalancer.BitLen()))
		}
	}
	return out
}

// checks ask the whole way that a user's browser goes.
func checks(p *plan.Plan) ([]part.Check, error) {
	return []part.Check{{
		Sentence: "the ingress answers at the console's name",
		From:     contract.UserNetwork, URL: "https://" + p.Network.Console + healthPath, Status: 200, Contains: "OK",
		Operation: "use-console",
	}}, nil
}
