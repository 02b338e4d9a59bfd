// Package parts lists the parts of the platform that run on Kubernetes. A new one is a
// package of its own below render/part and a line here. What a part consists of is package
// part's business, and which of them a cluster has is the plan's.
package parts

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/part/cadvisor"
	"craton.dev/craton/render/part/console"
	"craton.dev/craton/render/part/coredns"
	"craton.dev/craton/render/part/dex"
	"craton.dev/craton/render/part/flannel"
	"craton.dev/craton/render/part/kubeproxy"
	"craton.dev/craton/render/part/metricsserver"
	"craton.dev/craton/render/part/nodeexporter"
	"craton.dev/craton/render/part/prometheus"
	"craton.dev/craton/render/part/traefik"
)

// All are the parts, in the order in which they are applied: first what machines wait for.
func All() []part.Part {
	return []part.Part{
		kubeproxy.Part,
		flannel.Part,
		coredns.Part,
		dex.Part,
		console.Part,
		traefik.Part,
		nodeexporter.Part,
		cadvisor.Part,
		metricsserver.Part,
		prometheus.Part,
	}
}

// Chosen are the parts that a plan has.
func Chosen(p *plan.Plan) []part.Part {
	return slices.DeleteFunc(All(), func(one part.Part) bool { return !slices.Contains(p.Components, one.Name) })
}

// Kinds are the kinds of objects that parts may have: where to look for what is left of a
// part that is no longer chosen. What makes pods comes first, and rights last.
func Kinds() []schema.GroupVersionKind {
	kinds := func(group, version string, names ...string) (out []schema.GroupVersionKind) {
		for _, name := range names {
			out = append(out, schema.GroupVersionKind{Group: group, Version: version, Kind: name})
		}
		return out
	}
	return slices.Concat(
		kinds("apiregistration.k8s.io", "v1", "APIService"), // nobody asks for what is about to go
		kinds("apps", "v1", "Deployment", "DaemonSet"),
		kinds("", "v1", "Service", "ConfigMap", "Secret", "ServiceAccount"),
		kinds("networking.k8s.io", "v1", "Ingress", "IngressClass"),
		kinds("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), // with all that is of this kind
		kinds("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "RoleBinding", "ClusterRole", "Role"),
	)
}

// Payload names the components of the payload that a plan's parts run.
func Payload(p *plan.Plan) []string {
	var names []string
	for _, one := range Chosen(p) {
		names = append(names, one.Payload...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
