package part

import (
	"maps"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/plan"
)

// IngressClass is the class of Ingress objects that the platform's ingress controller serves,
// and those without a class with them.
const IngressClass = "traefik"

// Route is a way from the console's name, through the ingress, to a service of a part: a value
// among the part's objects. Where the cluster has no ingress controller it does no harm, since
// nobody reads it.
type Route struct {
	// Name is the Ingress object's own.
	Name string
	// Path is a prefix, such as "/dex"; the longest one that fits a request counts.
	Path string
	// Service is in Namespace, and Port is one of its ports.
	Service string
	Port    int32
}

// Object is the route's Ingress object.
func (r Route) Object(p *plan.Plan) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		TypeMeta: Kind("networking.k8s.io/v1", "Ingress"), ObjectMeta: Meta(r.Name),
		Spec: networkingv1.IngressSpec{
			IngressClassName: new(IngressClass),
			Rules: []networkingv1.IngressRule{{
				Host: p.Network.Console,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{
						Path: r.Path, PathType: new(networkingv1.PathTypePrefix),
						Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
							Name: r.Service, Port: networkingv1.ServiceBackendPort{Number: r.Port},
						}},
					}},
				}},
			}},
		},
	}
}

// ServesTLS marks the service of a route whose pods speak TLS, with a certificate of the
// cluster's own authority for the console's name: the ingress verifies that.
func ServesTLS(m metav1.ObjectMeta) metav1.ObjectMeta {
	m.Annotations = maps.Clone(m.Annotations)
	if m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	m.Annotations["traefik.ingress.kubernetes.io/service.serversscheme"] = "https"
	m.Annotations["traefik.ingress.kubernetes.io/service.serverstransport"] = PlatformTransport + "@file"
	return m
}

// PlatformTransport is the ingress controller's name for how it reaches pods that serve TLS by
// the console's name.
const PlatformTransport = "platform"
