package traefik

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

// Gateway objects are the successors of Ingress objects. Kubernetes does not know their kinds by
// itself, so they come with the option, of the version that the payload's Traefik knows, and go with it.

// gatewayDefinitions are Gateway API's own, of its standard channel, without descriptions: see
// scripts/gateway-definitions.
//
//go:embed gateway/definitions.json
var gatewayDefinitions []byte

const (
	gatewayGroup = "gateway.networking.k8s.io"
	// gatewayController is by what Traefik knows the classes that are its own.
	gatewayController = "traefik.io/gateway-controller"
)

// gatewayObjects are the kinds, and a class of Traefik's own, of the same name as that of Ingress objects.
func gatewayObjects() ([]runtime.Object, error) {
	var out []runtime.Object
	for line := range bytes.Lines(gatewayDefinitions) {
		definition := &unstructured.Unstructured{}
		if err := json.Unmarshal(line, &definition.Object); err != nil {
			return nil, fmt.Errorf("manifests: the definitions of Gateway API: %w", err)
		}
		out = append(out, definition)
	}
	return append(out, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gatewayGroup + "/v1", "kind": "GatewayClass",
		"metadata": map[string]any{"name": part.IngressClass},
		"spec":     map[string]any{"controllerName": gatewayController},
	}}), nil
}

// gatewayRules are what Traefik may besides: see these objects, by what they choose namespaces, and
// the authorities of backends, which are ConfigMaps; and say in the objects' status what became of them.
func gatewayRules() []rbacv1.PolicyRule {
	kinds := []string{"gatewayclasses", "gateways", "httproutes", "grpcroutes", "backendtlspolicies"}
	var status []string
	for _, kind := range kinds {
		status = append(status, kind+"/status")
	}
	return []rbacv1.PolicyRule{
		part.Rule("", []string{"namespaces", "configmaps"}, "list", "watch"),
		part.Rule(gatewayGroup, append(kinds, "referencegrants"), "get", "list", "watch"),
		part.Rule(gatewayGroup, status, "update"),
	}
}

// gatewayFlags are Traefik's for that.
func gatewayFlags(p *plan.Plan) []string {
	return []string{
		"--providers.kubernetesgateway=true",
		"--providers.kubernetesgateway.throttleduration=500ms",
		"--providers.kubernetesgateway.statusaddress.hostname=" + p.Network.Console,
	}
}
