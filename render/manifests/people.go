package manifests

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests/inventory"
	"craton.dev/craton/render/part"
)

// forPeople is what people look at in the Console: what is open and why, and when
// certificates end. Nothing in the cluster acts on it.
func forPeople(p *plan.Plan, s *pki.Secrets) ([]runtime.Object, error) {
	held, err := inventory.ContractOf(p)
	if err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	certificates, err := certificatesOf(p, s)
	if err != nil {
		return nil, err
	}
	var out []runtime.Object
	for _, one := range []struct {
		name, key string
		value     any
	}{{ContractConfigMap, ContractKey, held}, {CertificatesConfigMap, CertificatesKey, certificates}} {
		text, err := json.Marshal(one.value)
		if err != nil {
			return nil, fmt.Errorf("manifests: %w", err)
		}
		out = append(out, &corev1.ConfigMap{
			TypeMeta:   part.Kind("v1", "ConfigMap"),
			ObjectMeta: metav1.ObjectMeta{Name: one.name, Namespace: System},
			Data:       map[string]string{one.key: string(text)},
		})
	}
	return out, nil
}

// mostCertificates bounds the list: a ConfigMap takes a megabyte. Authorities and masters'
// come first.
const mostCertificates = 2000

func certificatesOf(p *plan.Plan, s *pki.Secrets) (*inventory.Certificates, error) {
	out := &inventory.Certificates{Certificates: []inventory.Certificate{}}
	add := func(c inventory.Certificate, text []byte) error {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil // there is nothing to tell of it
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("manifests: certificate %s: %w: make the secrets again", c.Name, err)
		}
		c.Begins, c.Ends = parsed.NotBefore.UTC(), parsed.NotAfter.UTC()
		out.Certificates = append(out.Certificates, c)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Authorities)) {
		if err := add(inventory.Certificate{Name: name + "-ca", Authority: name}, s.Authorities[name].Cert); err != nil {
			return nil, err
		}
	}
	for _, id := range p.Identities {
		pair, ok := s.Pairs[id.Name]
		if !ok || len(out.Certificates) >= mostCertificates {
			continue
		}
		if err := add(inventory.Certificate{Name: id.Name, Machine: id.Machine, Authority: id.CA, Usages: id.Usages}, pair.Cert); err != nil {
			return nil, err
		}
	}
	return out, nil
}
