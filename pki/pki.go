// Package pki issues the certificates that the plan names and keeps them, with the
// cluster's other secrets, in a folder of mode 0700, each file 0600.
//
// It decides no names: who gets a certificate, with which names and for how long, is in
// the plan's identities. It does not put anything on a machine; package firstboot does.
package pki

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
)

// The names in Secrets.Authorities: the plan's, and two beside them. An external etcd cluster is the user's: its
// authority is in Secrets without a key.
const (
	KubernetesCA = plan.KubernetesCA
	EtcdCA       = plan.EtcdCA
	FrontProxyCA = plan.FrontProxyCA
	RegistryCA   = "registry"
	ExternalEtcd = "external-etcd"
)

// Pair is a certificate and its key, or a public and a private key, in PEM.
type Pair struct {
	Cert []byte
	Key  []byte
}

// Secrets are all the secrets of a cluster.
type Secrets struct {
	// Authorities are the cluster's own, by name: kubernetes, etcd, front-proxy. Where etcd
	// is external, ExternalEtcd is the user's authority, with no key.
	Authorities map[string]Pair
	// Pairs are the certificates of the plan's identities, by the identity's name. Where
	// etcd is external, ExternalEtcd is the user's client certificate.
	Pairs map[string]Pair
	// ServiceAccount signs and verifies service account tokens: Cert is the public key.
	ServiceAccount Pair
	// BootstrapTokens are the tokens by which kubelets ask for their first certificate, as
	// "id.secret", by the machine's name.
	BootstrapTokens map[string]string
	// EncryptionKey is 32 random bytes in base64, for secrets at rest in etcd.
	EncryptionKey string
	// Registry is the authority of the embedded platform's own registry. It signs nothing
	// else, and nothing of Kubernetes trusts it.
	Registry Pair
	// SignIn is empty where nobody signs in.
	SignIn SignIn
}

// Ensure makes the folder hold every secret of the plan and returns them. What is there
// and still right stays as it is; certificates that differ from the plan's identity, that
// their authority no longer vouches for, or that have less than a third of their life left
// are issued anew. A file that cannot be understood is an error that names it: it is
// never overwritten. Each file is written whole or not at all, so that Ensure can be run
// again after it was killed at any point.
func Ensure(dir string, p *plan.Plan, now time.Time) (*Secrets, error) {
	return store{dir: dir, now: now}.ensure(p)
}

// Held is Ensure for who only uses what there is: certificates are not issued anew before they
// have ended. What would be issued in passing would not be on the machines, and the folder would
// no longer tell when theirs end.
func Held(dir string, p *plan.Plan, now time.Time) (*Secrets, error) {
	return store{dir: dir, now: now, keeps: true}.ensure(p)
}

func (s store) ensure(p *plan.Plan) (*Secrets, error) {
	if err := s.prepare("", "authorities", "certificates", "bootstrap-tokens"); err != nil {
		return nil, err
	}
	out := &Secrets{Authorities: map[string]Pair{}, Pairs: map[string]Pair{}, BootstrapTokens: map[string]string{}}
	names := map[string]bool{KubernetesCA: true, FrontProxyCA: true}
	for _, id := range p.Identities {
		names[id.CA] = true
	}
	// Nothing is issued before every file has been looked at: a damaged authority must not
	// leave half of the certificates renewed.
	for name := range names {
		ca, err := s.authority(name)
		if err != nil {
			return nil, err
		}
		out.Authorities[name] = ca
	}
	var err error
	if out.Registry, err = s.authority(RegistryCA); err != nil {
		return nil, err
	}
	if out.ServiceAccount, err = s.serviceAccount(); err != nil {
		return nil, err
	}
	if out.EncryptionKey, err = s.encryptionKey(); err != nil {
		return nil, err
	}
	for _, m := range p.Machines {
		if out.BootstrapTokens[m.Name], err = s.bootstrapToken(m.Name); err != nil {
			return nil, err
		}
	}
	if err := unique(out.BootstrapTokens); err != nil {
		return nil, err
	}
	for _, id := range p.Identities {
		if out.Pairs[id.Name], err = s.certificate(id, out.Authorities[id.CA]); err != nil {
			return nil, err
		}
	}
	if p.File != nil && p.File.Options.SignIn {
		if out.SignIn, err = s.signIn(p.File); err != nil {
			return nil, err
		}
	}
	if p.File != nil && p.File.IngressCertificate != nil {
		if out.Pairs[plan.IdentityIngress], err = readIngressCertificate(p.File.IngressCertificate, p.Network.Console); err != nil {
			return nil, err
		}
	}
	if p.File != nil && p.File.ExternalEtcd != nil {
		out.Authorities[ExternalEtcd], out.Pairs[ExternalEtcd], err = ReadExternalEtcd(p.File.ExternalEtcd)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unique refuses two machines with one token: the operator tells machines apart by it.
// It happens only where somebody copied a file.
func unique(tokens map[string]string) error {
	seen := map[string]string{}
	for machine, token := range tokens {
		id, _, _ := cutToken(token)
		if other, ok := seen[id]; ok {
			return fmt.Errorf("machines %s and %s have the same bootstrap token: delete one of their files in bootstrap-tokens and run this again", min(machine, other), max(machine, other))
		}
		seen[id] = machine
	}
	return nil
}

// readIngressCertificate reads the user's certificate for the ingress. The error names the field and
// the file. That it has ended is none: what else the cluster does goes on.
func readIngressCertificate(c *cluster.IngressCertificate, name string) (pair Pair, err error) {
	if pair.Cert, err = os.ReadFile(c.CertFile); err != nil {
		return pair, fmt.Errorf("ingressCertificate.certFile: %w: put the ingress's certificate there", err)
	}
	if pair.Key, err = os.ReadFile(c.KeyFile); err != nil {
		return pair, fmt.Errorf("ingressCertificate.keyFile: %w: put the key of the ingress's certificate there", err)
	}
	leaf, _, err := parsePair(pair)
	if err != nil {
		return pair, fmt.Errorf("ingressCertificate.certFile: %s and %s: %w: expected a certificate and its key in PEM", c.CertFile, c.KeyFile, err)
	}
	if err := leaf.VerifyHostname(name); err != nil {
		return pair, fmt.Errorf("ingressCertificate.certFile: %s: %w: browsers ask for that name, get a certificate that has it", c.CertFile, err)
	}
	return pair, nil
}

// ReadExternalEtcd reads what the user has of an external etcd: the certificate of its
// authority, which comes without a key, and a client's certificate and key. The error names
// the field and the file.
func ReadExternalEtcd(e *cluster.ExternalEtcd) (ca, client Pair, err error) {
	for _, f := range []struct {
		field, path string
		into        *[]byte
	}{
		{"caFile", e.CAFile, &ca.Cert},
		{"certFile", e.CertFile, &client.Cert},
		{"keyFile", e.KeyFile, &client.Key},
	} {
		data, err := os.ReadFile(f.path)
		if err != nil {
			return ca, client, fmt.Errorf("externalEtcd.%s: %w: put the external etcd cluster's file there", f.field, err)
		}
		*f.into = data
	}
	certs, err := parseCertificates(ca.Cert)
	if err == nil && len(certs) == 0 {
		err = errors.New("no certificate in it")
	}
	if err != nil {
		return ca, client, fmt.Errorf("externalEtcd.caFile: %s: %w: expected the external etcd cluster's CA certificate in PEM", e.CAFile, err)
	}
	if _, _, err := parsePair(client); err != nil {
		return ca, client, fmt.Errorf("externalEtcd.certFile: %s and %s: %w: expected a client certificate and its key in PEM", e.CertFile, filepath.Base(e.KeyFile), err)
	}
	return ca, client, nil
}
