package dex

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// group is the API group of Dex's state.
const group = "dex.coreos.com"

// definitions are the kinds in which Dex keeps its state, as Dex itself would make them; but
// then it would need the right to make any. The names are upstream's, odd plurals too.
func definitions() []runtime.Object {
	var out []runtime.Object
	for _, k := range []struct{ kind, singular, plural string }{
		{"AuthCode", "authcode", "authcodes"},
		{"AuthRequest", "authrequest", "authrequests"},
		{"Connector", "connector", "connectors"},
		{"DeviceRequest", "devicerequest", "devicerequests"},
		{"DeviceToken", "devicetoken", "devicetokens"},
		{"OAuth2Client", "oauth2client", "oauth2clients"},
		{"OfflineSessions", "offlinesessions", "offlinesessionses"},
		{"Password", "password", "passwords"},
		{"RefreshToken", "refreshtoken", "refreshtokens"},
		{"SigningKey", "signingkey", "signingkeies"},
	} {
		out = append(out, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": k.plural + "." + group},
			"spec": map[string]any{
				"group": group, "scope": "Namespaced",
				"names": map[string]any{"kind": k.kind, "listKind": k.kind + "List", "singular": k.singular, "plural": k.plural},
				"versions": []any{map[string]any{
					"name": "v1", "served": true, "storage": true,
					"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
				}},
			},
		}})
	}
	return out
}
