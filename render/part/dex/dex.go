// Package dex lets people sign in: Dex behind the console's name, its state in Kubernetes; what
// groups may do; and by what the API server knows Dex's tokens (package render/manifests puts
// that on masters).
//
// The program is the payload's: Dex's own server with a limit to attempts. A person's side of it
// is package signin. Who checks a password, other than for users of the cluster file, is
// somebody else's.
package dex

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

const name = "dex"

// Part is Dex.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects, Checks: checks}

const (
	// servicePort is that of the issuer's URL, which has none; podPort is Dex's own.
	servicePort = 443
	podPort     = 5554

	// Keys of the secret, and where its files are in a pod.
	configKey = "config.json"
	certKey   = corev1.TLSCertKey
	keyKey    = corev1.TLSPrivateKeyKey
	configDir = "/etc/dex"
)

// objects has Dex on masters: what it holds (keys that sign tokens, directories' passwords) is
// then on no machine that runs users' pods, unless masters do.
func objects(in part.Input) ([]runtime.Object, error) {
	image, err := in.Image(name)
	if err != nil {
		return nil, err
	}
	pair, ok := in.Secrets.Pairs[plan.IdentitySignIn]
	if !ok {
		return nil, errors.New("manifests: there is no certificate for dex: the secrets were made for another plan, make them again")
	}
	config, err := Config(in.Plan, in.Secrets, Storage{Type: "kubernetes", Config: map[string]any{
		"inCluster": true, "crdHandling": "check",
	}}, Serve{Address: ":" + port(podPort), Cert: configDir + "/" + certKey, Key: configDir + "/" + keyKey})
	if err != nil {
		return nil, err
	}
	master, err := part.MasterLabel()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{configKey: config, certKey: pair.Cert, keyKey: pair.Key}
	secret := part.Meta(part.NameOf(name, data))
	labels := map[string]string{"k8s-app": name}
	sa, subject := part.Account(name)
	pod := corev1.PodSpec{
		ServiceAccountName: name,
		DNSPolicy:          corev1.DNSDefault,
		PriorityClassName:  part.ClusterCritical,
		EnableServiceLinks: new(false),
		NodeSelector:       map[string]string{master: ""},
		Tolerations:        part.Tolerations(in.Plan),
		SecurityContext:    part.AsNobody(),
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: 100,
				PodAffinityTerm: corev1.PodAffinityTerm{
					TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
				},
			}},
		}},
		Containers: []corev1.Container{{
			Name: name, Image: image, Command: []string{"/usr/local/bin/dex", "serve", configDir + "/" + configKey},
			ImagePullPolicy: corev1.PullIfNotPresent,
			SecurityContext: part.Restricted(),
			Env: append(part.APIEnv(in.Plan),
				// The collector is asked to trade some time for memory.
				corev1.EnvVar{Name: "GOGC", Value: "50"}, corev1.EnvVar{Name: "GOMEMLIMIT", Value: "48MiB"}),
			Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: podPort}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("40Mi"),
			}},
			ReadinessProbe: part.Probe(part.Get(corev1.URISchemeHTTPS, "", podPort, Path+"/healthz"), 2, 3),
			LivenessProbe:  part.Probe(part.Get(corev1.URISchemeHTTPS, "", podPort, Path+"/.well-known/openid-configuration"), 10, 5),
		}},
	}
	part.Mount(&pod, "config", configDir, true, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secret.Name, DefaultMode: new(int32(0o440)),
	}})
	if in := in.Plan.File.SignIn; len(in.OIDC)+len(in.LDAP)+len(in.GitHub) > 0 {
		// The public authorities are the machine's: the image has none.
		const authorities = "/etc/ssl/certs"
		part.Mount(&pod, "authorities", authorities, true, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{
			Path: authorities, Type: new(corev1.HostPathDirectory),
		}})
	}
	out := append(definitions(), sa,
		&rbacv1.Role{TypeMeta: part.Kind(part.RBACVersion, "Role"), ObjectMeta: part.Meta(name), Rules: []rbacv1.PolicyRule{
			part.Rule(group, []string{"*"}, "create", "get", "list", "watch", "update", "patch", "delete"),
		}},
		&rbacv1.RoleBinding{TypeMeta: part.Kind(part.RBACVersion, "RoleBinding"), ObjectMeta: part.Meta(name),
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{subject},
		},
		&corev1.Secret{TypeMeta: part.Kind("v1", "Secret"), ObjectMeta: secret, Data: data},
		part.Route{Name: name, Path: Path, Service: name, Port: servicePort}.Object(in.Plan),
		&corev1.Service{TypeMeta: part.Kind("v1", "Service"), ObjectMeta: part.ServesTLS(part.Meta(name)), Spec: corev1.ServiceSpec{
			ClusterIP: in.Plan.Network.ServiceSignIn.String(), Selector: labels,
			Ports: []corev1.ServicePort{{Name: "https", Port: servicePort, TargetPort: intstr.FromInt32(podPort), Protocol: corev1.ProtocolTCP}},
		}},
		part.OnMasters(in, name, pod),
	)
	return append(out, roles(in.Plan.File)...), nil
}

// checks ask the whole way of a user's browser, where there is an ingress.
func checks(p *plan.Plan) ([]part.Check, error) {
	if _, ok := p.IngressController(); !ok {
		return nil, nil
	}
	return []part.Check{{
		Sentence: "people find where to sign in",
		From:     contract.UserNetwork, URL: Issuer(p) + "/.well-known/openid-configuration", Status: 200, Contains: Issuer(p),
		Operation: "use-console",
	}}, nil
}
