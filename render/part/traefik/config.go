package traefik

import (
	"encoding/json"
	"errors"
	"fmt"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

// healthPath is where the ingress itself answers, at the console's name.
const healthPath = "/ingress/health"

// Config is Traefik's dynamic configuration, in JSON, which is YAML: what does not come from
// objects of Kubernetes. It holds keys, whole rather than by their files' names: then a
// certificate that is replaced is a change of this file, on which Traefik acts, and connections
// that there are go on.
func Config(p *plan.Plan, s *pki.Secrets) ([]byte, error) {
	pair, ok := s.Pairs[plan.IdentityIngress]
	if !ok {
		return nil, errors.New("manifests: there is no certificate for the ingress: the secrets were made for another plan, make them again")
	}
	own := map[string]any{"certFile": string(pair.Cert), "keyFile": string(pair.Key)}
	return json.MarshalIndent(map[string]any{
		"tls": map[string]any{
			"options": map[string]any{"default": map[string]any{"minVersion": "VersionTLS12"}},
			"stores":  map[string]any{"default": map[string]any{"defaultCertificate": own}},
		},
		"http": map[string]any{
			"routers": map[string]any{"health": map[string]any{
				"rule":        fmt.Sprintf("Host(`%s`) && Path(`%s`)", p.Network.Console, healthPath),
				"entryPoints": []string{"https"}, "service": "ping@internal",
			}},
			"serversTransports": map[string]any{part.PlatformTransport: map[string]any{
				"serverName": p.Network.Console, "rootCAs": []string{string(s.Authorities[pki.KubernetesCA].Cert)},
			}},
		},
	}, "", "  ")
}
