package firstboot

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// inKubeconfig are the users whose certificate is in a kubeconfig, not in files of its own.
var inKubeconfig = []string{plan.UserControllerManager, plan.UserScheduler, plan.UserOperator}

// MasterSecrets are the files with keys and certificates that a master of the plan has for
// its control plane, as first boot brings them. It is an error where the machine is none, or
// one of the secrets is missing.
func MasterSecrets(p *plan.Plan, machine string, s *pki.Secrets) ([]File, error) {
	for i := range p.Machines {
		if m := &p.Machines[i]; m.Name == machine && m.Role == contract.Master {
			return masterSecrets(p, m, s)
		}
	}
	return nil, fmt.Errorf("firstboot: %q is no master of cluster %s", machine, p.Cluster)
}

// masterSecrets are the keys and certificates of one master's control plane: its own
// identities, the key that signs kubelets' certificates, the one that signs service
// account tokens and the one that encrypts secrets in etcd. The keys of etcd's and the
// front proxy's authorities are on no machine: nothing in the cluster signs with them.
func masterSecrets(p *plan.Plan, m *plan.Machine, s *pki.Secrets) ([]File, error) {
	var files []File
	add := func(path string, mode int, contents []byte) error {
		if len(contents) == 0 {
			return missing("what is to be " + path + " on " + m.Name)
		}
		files = append(files, File{path, mode, contents})
		return nil
	}
	pair := func(base string, pair pki.Pair) error {
		if err := add(CertPath(base), 0o644, pair.Cert); err != nil {
			return err
		}
		return add(KeyPath(base), 0o600, pair.Key)
	}

	external := p.File != nil && p.File.Etcd == etcdExternal
	etcdCA := s.Authorities[plan.EtcdCA]
	if external {
		etcdCA = s.Authorities[pki.ExternalEtcd]
		if err := pair("apiserver-etcd-client", s.Pairs[pki.ExternalEtcd]); err != nil {
			return nil, err
		}
	}
	for _, f := range []struct {
		path     string
		mode     int
		contents []byte
	}{
		{KubernetesCAKey, 0o600, s.Authorities[plan.KubernetesCA].Key},
		{EtcdCA, 0o644, etcdCA.Cert},
		{FrontProxyCA, 0o644, s.Authorities[plan.FrontProxyCA].Cert},
		{ServiceAccountPublic, 0o644, s.ServiceAccount.Cert},
		{ServiceAccountKey, 0o600, s.ServiceAccount.Key},
	} {
		if err := add(f.path, f.mode, f.contents); err != nil {
			return nil, err
		}
	}
	for _, id := range p.Identities {
		if id.Machine != m.Name {
			continue
		}
		base := strings.TrimSuffix(id.Name, "-"+m.Name)
		if !slices.Contains(inKubeconfig, id.CommonName) {
			if err := pair(base, s.Pairs[id.Name]); err != nil {
				return nil, err
			}
			continue
		}
		if len(s.Pairs[id.Name].Key) == 0 {
			return nil, missing("the certificate " + id.Name)
		}
		kubeconfig, err := pki.Kubeconfig(pki.Client{
			Server: apiURL(p, m), CA: s.Authorities[plan.KubernetesCA].Cert,
			Pair: s.Pairs[id.Name], Context: p.Cluster, User: id.CommonName,
		})
		if err != nil {
			return nil, fmt.Errorf("firstboot: %s: %w", m.Name, err)
		}
		files = append(files, File{KubeconfigPath(base), 0o600, kubeconfig})
	}
	if s.EncryptionKey == "" {
		return nil, missing("the encryption key")
	}
	return append(files, File{Encryption, 0o600, fmt.Appendf(nil, encryptionTemplate, s.EncryptionKey)}), nil
}

// encryptionTemplate is for secrets, and for what Dex keeps: keys and sessions. It writes with
// secretbox and still reads what was written before
// encryption was turned on.
const encryptionTemplate = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - secrets
  - '*.dex.coreos.com'
  providers:
  - secretbox:
      keys:
      - name: key1
        secret: %s
  - identity: {}
`

// etcdExternal is the value of the cluster file's field etcd for a cluster of the user's.
const etcdExternal = "external"
