package pki

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Client says where an API server is and who asks. Either Token or Pair is set.
type Client struct {
	// Server is a URL: https://ADDRESS:PORT.
	Server string
	// TLSServerName is the name to verify, where it is not the one in Server.
	TLSServerName string
	CA            []byte
	Pair          Pair
	Token         string
	// Context names the context, and with it the cluster and the user.
	Context string
	User    string
}

// Kubeconfig is the client's kubeconfig, with everything in it: it names no other file.
func Kubeconfig(c Client) ([]byte, error) {
	if len(c.CA) == 0 {
		return nil, fmt.Errorf("kubeconfig %s: no CA certificate, and the API is never used unverified", c.Context)
	}
	if (c.Token == "") == (len(c.Pair.Key) == 0) {
		return nil, fmt.Errorf("kubeconfig %s: expected a token or a certificate, and not both", c.Context)
	}
	user := c.User
	if user == "" {
		user = c.Context
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Context] = &clientcmdapi.Cluster{
		Server:                   c.Server,
		TLSServerName:            c.TLSServerName,
		CertificateAuthorityData: c.CA,
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: c.Pair.Cert,
		ClientKeyData:         c.Pair.Key,
		Token:                 c.Token,
	}
	config.Contexts[c.Context] = &clientcmdapi.Context{Cluster: c.Context, AuthInfo: user}
	config.CurrentContext = c.Context
	return clientcmd.Write(*config)
}
