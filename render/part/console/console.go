// Package console runs the Console: a page for people at the console's name, behind the ingress.
//
// The program is package console (craton-console). Its pod has no right in the cluster and no
// token to ask anything with: it hands each person's own token on. People sign in at Dex, which
// the pod reaches by its service's address, as API servers do.
package console

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/part/dex"
)

const name = "console"

// Part is the Console.
var Part = part.Part{Name: name, Payload: []string{name}, Objects: objects, Checks: checks}

const (
	servicePort = 443
	podPort     = 8443
	healthPath  = "/healthz"

	// Keys of the secret, and where its files are in the pod.
	authorityKey = "ca.crt"
	certKey      = corev1.TLSCertKey
	keyKey       = corev1.TLSPrivateKeyKey
	clientKey    = "client-secret"
	cookiesKey   = "cookies"
	dir          = "/etc/console"
)

// objects has the Console on masters, as Dex: with its secrets somebody could read the tokens
// that browsers keep.
func objects(in part.Input) ([]runtime.Object, error) {
	pair, ok := in.Secrets.Pairs[plan.IdentityConsole]
	if !ok || len(in.Secrets.SignIn.ConsoleCookies) == 0 {
		return nil, errors.New("manifests: there is no certificate or no key for the Console: the secrets were made for another plan, make them again")
	}
	data := map[string][]byte{
		authorityKey: in.Secrets.Authorities[pki.KubernetesCA].Cert, certKey: pair.Cert, keyKey: pair.Key,
		clientKey: []byte(in.Secrets.SignIn.ConsoleClient), cookiesKey: in.Secrets.SignIn.ConsoleCookies,
	}
	secret := part.Meta(part.NameOf(name, data))
	pod, err := pod(in, secret.Name)
	if err != nil {
		return nil, err
	}
	// No binding names this account. Without one the pod would have the namespace's own, which
	// somebody else may have given rights.
	sa, _ := part.Account(name)
	return []runtime.Object{
		sa,
		&corev1.Secret{TypeMeta: part.Kind("v1", "Secret"), ObjectMeta: secret, Data: data},
		part.Route{Name: name, Path: "/", Service: name, Port: servicePort}.Object(in.Plan),
		&corev1.Service{TypeMeta: part.Kind("v1", "Service"), ObjectMeta: part.ServesTLS(part.Meta(name)), Spec: corev1.ServiceSpec{
			Selector: labels(),
			Ports:    []corev1.ServicePort{{Name: "https", Port: servicePort, TargetPort: intstr.FromInt32(podPort), Protocol: corev1.ProtocolTCP}},
		}},
		part.OnMasters(in, name, pod),
	}, nil
}

func pod(in part.Input, secret string) (corev1.PodSpec, error) {
	image, err := in.Image(name)
	if err != nil {
		return corev1.PodSpec{}, err
	}
	master, err := part.MasterLabel()
	if err != nil {
		return corev1.PodSpec{}, err
	}
	n := in.Plan.Network
	pod := corev1.PodSpec{
		ServiceAccountName:           name,
		AutomountServiceAccountToken: new(false),
		DNSPolicy:                    corev1.DNSDefault,
		PriorityClassName:            part.ClusterCritical,
		EnableServiceLinks:           new(false),
		NodeSelector:                 map[string]string{master: ""},
		Tolerations:                  part.Tolerations(in.Plan),
		HostAliases:                  []corev1.HostAlias{{IP: n.ServiceSignIn.String(), Hostnames: []string{n.Console}}},
		SecurityContext:              part.AsNobody(),
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: 100,
				PodAffinityTerm: corev1.PodAffinityTerm{
					TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels()},
				},
			}},
		}},
		Containers: []corev1.Container{{
			Name: name, Image: image,
			Command: []string{
				"/usr/local/bin/craton-console",
				fmt.Sprintf("--listen=:%d", podPort), "--tls-cert=" + dir + "/" + certKey, "--tls-key=" + dir + "/" + keyKey,
				"--cluster=" + in.Plan.Cluster, "--url=https://" + n.Console,
				"--api=https://" + net.JoinHostPort(n.APIServer, strconv.Itoa(int(n.APIPort))), "--api-ca=" + dir + "/" + authorityKey,
				"--issuer=" + dex.Issuer(in.Plan), "--issuer-ca=" + dir + "/" + authorityKey,
				"--client-id=" + dex.ConsoleClient, "--client-secret-file=" + dir + "/" + clientKey, "--key-file=" + dir + "/" + cookiesKey,
			},
			ImagePullPolicy: corev1.PullIfNotPresent,
			SecurityContext: part.Restricted(),
			Env: []corev1.EnvVar{
				// The collector is asked to trade some time for memory.
				{Name: "GOGC", Value: "50"}, {Name: "GOMEMLIMIT", Value: "32MiB"},
			},
			Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: podPort}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("30Mi"),
			}},
			ReadinessProbe: part.Probe(part.Get(corev1.URISchemeHTTPS, "", podPort, healthPath), 2, 3),
			LivenessProbe:  part.Probe(part.Get(corev1.URISchemeHTTPS, "", podPort, healthPath), 10, 5),
		}},
	}
	part.Mount(&pod, "config", dir, true, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secret, DefaultMode: new(int32(0o440)),
	}})
	return pod, nil
}

// checks ask the whole way of a user's browser, where there is an ingress.
func checks(p *plan.Plan) ([]part.Check, error) {
	if _, ok := p.IngressController(); !ok {
		return nil, nil
	}
	return []part.Check{{
		Sentence: "the Console answers at its name",
		From:     contract.UserNetwork, URL: "https://" + p.Network.Console + healthPath, Status: 200, Contains: "ok",
		Operation: "use-console",
	}}, nil
}

func labels() map[string]string { return map[string]string{"k8s-app": name} }
