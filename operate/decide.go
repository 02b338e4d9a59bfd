package operate

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// bootstrapPrefix and a token's id are the name of who asks with that token.
const bootstrapPrefix = "system:bootstrap:"

// ours says whether a request is one that the operator decides: of a signer of kubelets'
// certificates, and not decided yet.
func ours(csr *certificatesv1.CertificateSigningRequest) bool {
	switch csr.Spec.SignerName {
	case manifests.SignerKubeletClient, manifests.SignerKubeletServing:
	default:
		return false
	}
	return len(csr.Status.Certificate) == 0 && !slices.ContainsFunc(csr.Status.Conditions,
		func(c certificatesv1.CertificateSigningRequestCondition) bool {
			return c.Type == certificatesv1.CertificateApproved || c.Type == certificatesv1.CertificateDenied
		})
}

// decide says whether a request for a kubelet's certificate is to be approved, and why or
// why not. A machine of the plan gets a client certificate in its own name, asked for with
// its own token or with the certificate that it has, and a serving certificate for its own
// name and planned address, asked for with its client certificate. All else is denied.
func decide(csr *certificatesv1.CertificateSigningRequest, inv *inventory.Inventory) (approve bool, reason string) {
	request, err := parse(csr.Spec.Request)
	if err != nil {
		return false, err.Error()
	}
	machine, err := subject(request, inv)
	if err != nil {
		return false, err.Error()
	}
	switch csr.Spec.SignerName {
	case manifests.SignerKubeletClient:
		err = clientRequest(csr, request, machine)
		reason = "client certificate of machine " + machine.Name
	case manifests.SignerKubeletServing:
		err = servingRequest(csr, request, machine)
		reason = "serving certificate of machine " + machine.Name + " at its planned address"
	default:
		err = fmt.Errorf("signer %q is not one of kubelets' certificates", csr.Spec.SignerName)
	}
	if err != nil {
		return false, err.Error()
	}
	return true, reason
}

// parse is strict where the signer is not: a request with more in it than it signs is one
// that somebody made for a purpose.
func parse(data []byte) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New("expected exactly one certificate request in PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the certificate request cannot be read: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed with its own key: %w", err)
	}
	return request, nil
}

// subject is the machine of the plan that a request is for. The subject holds a name and a
// group, both of them a node's, and no further attribute.
func subject(request *x509.CertificateRequest, inv *inventory.Inventory) (*inventory.Machine, error) {
	s := request.Subject
	name, ok := strings.CutPrefix(s.CommonName, manifests.KubeletPrefix)
	if !ok {
		return nil, fmt.Errorf("common name %q: expected %s<machine>", s.CommonName, manifests.KubeletPrefix)
	}
	if !slices.Equal(s.Organization, []string{manifests.KubeletGroup}) {
		return nil, fmt.Errorf("organizations %q: expected %s alone", s.Organization, manifests.KubeletGroup)
	}
	if len(s.Names) != 2 {
		return nil, fmt.Errorf("subject %q: expected a common name and an organization only", s)
	}
	machine := inv.Machine(name)
	if machine == nil {
		return nil, fmt.Errorf("the plan has no machine %q", name)
	}
	return machine, nil
}

func clientRequest(csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest, m *inventory.Machine) error {
	if n := len(request.DNSNames) + len(request.IPAddresses) + len(request.EmailAddresses) + len(request.URIs); n > 0 {
		return fmt.Errorf("%d alternative names: expected none in a client certificate", n)
	}
	if err := usages(csr, certificatesv1.UsageClientAuth); err != nil {
		return err
	}
	if byNode(csr, m) {
		return nil
	}
	if m.TokenID != "" && csr.Spec.Username == bootstrapPrefix+m.TokenID && slices.Contains(csr.Spec.Groups, manifests.BootstrapGroup) {
		return nil
	}
	return fmt.Errorf("asked for by %q: expected machine %s itself or its own bootstrap token", csr.Spec.Username, m.Name)
}

func servingRequest(csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest, m *inventory.Machine) error {
	if !byNode(csr, m) {
		return fmt.Errorf("asked for by %q: expected %s", csr.Spec.Username, manifests.KubeletPrefix+m.Name)
	}
	if err := usages(csr, certificatesv1.UsageServerAuth); err != nil {
		return err
	}
	if len(request.EmailAddresses)+len(request.URIs) > 0 {
		return errors.New("mail or URI names: expected the machine's name and address only")
	}
	if len(request.DNSNames)+len(request.IPAddresses) == 0 {
		return errors.New("no alternative name: expected the machine's name or address")
	}
	for _, name := range request.DNSNames {
		if name != m.Name {
			return fmt.Errorf("name %q: expected %s", name, m.Name)
		}
	}
	for _, ip := range request.IPAddresses {
		if ip.String() != m.Address.String() {
			return fmt.Errorf("address %s: the plan gives %s the address %s", ip, m.Name, m.Address)
		}
	}
	return nil
}

func byNode(csr *certificatesv1.CertificateSigningRequest, m *inventory.Machine) bool {
	return csr.Spec.Username == manifests.KubeletPrefix+m.Name && slices.Contains(csr.Spec.Groups, manifests.KubeletGroup)
}

// usages accepts what a kubelet asks for: with a key of an elliptic curve two usages, with
// an RSA key a third.
func usages(csr *certificatesv1.CertificateSigningRequest, purpose certificatesv1.KeyUsage) error {
	allowed := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, purpose}
	if !slices.Contains(csr.Spec.Usages, purpose) {
		return fmt.Errorf("usages %q: expected %q", csr.Spec.Usages, purpose)
	}
	for _, u := range csr.Spec.Usages {
		if !slices.Contains(allowed, u) {
			return fmt.Errorf("usage %q: expected %q and no other purpose", u, purpose)
		}
	}
	return nil
}
