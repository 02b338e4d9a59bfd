// Package pki issues the certificates that the plan names and keeps them, with the
// cluster's other secrets, in a folder of mode 0700, each file 0600.
//
// It decides no names: who gets a certificate, with which names and for how long, is in
// the plan's identities.
package pki

// Pair is a certificate and its key, or a public and a private key, in PEM.
type Pair struct {
	Cert []byte
	Key  []byte
}

// Secrets are all the secrets of a cluster.
type Secrets struct {
	// Authorities are the cluster's own, by name: kubernetes, etcd, front-proxy.
	Authorities map[string]Pair
	// Pairs are the certificates of the plan's identities, by the identity's name.
	Pairs map[string]Pair
	// ServiceAccount signs and verifies service account tokens: Cert is the public key.
	ServiceAccount Pair
	// BootstrapToken is "id.secret", the token by which kubelets ask for their first certificate.
	BootstrapToken string
	// EncryptionKey is 32 random bytes in base64, for secrets at rest in etcd.
	EncryptionKey string
}
