package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauth "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// API is where a cluster's API server is.
type API struct {
	// Server is a URL: https://HOST:PORT.
	Server string
	// TLSServerName is the name to verify, where it is not the one in Server.
	TLSServerName string
	CA            []byte
}

// The flags of craton login by which kubectl has it print a token.
const (
	FlagExec    = "exec"
	FlagIssuer  = "issuer"
	FlagClient  = "client"
	FlagConnect = "connect"
)

// Kubeconfig is a kubeconfig that has no secret: whoever uses it has to sign in. name is that of
// its context; program is the craton that kubectl runs.
func Kubeconfig(name string, api API, p Place, program string) ([]byte, error) {
	return clientcmd.Write(*config(name, api, p, program))
}

// AddContext puts the same into a kubeconfig file, beside what is there, and makes it the current
// context. path is the file; "" is what kubectl itself would use.
func AddContext(path, name string, api API, p Place, program string) (file string, err error) {
	options := clientcmd.NewDefaultPathOptions()
	if path != "" {
		options.LoadingRules.ExplicitPath = path
	}
	all, err := options.GetStartingConfig()
	if err != nil {
		return "", err
	}
	mine := config(name, api, p, program)
	all.Clusters[name], all.AuthInfos[name], all.Contexts[name] = mine.Clusters[name], mine.AuthInfos[name], mine.Contexts[name]
	all.CurrentContext = name
	return options.GetDefaultFilename(), clientcmd.ModifyConfig(options, *all, false)
}

func config(name string, api API, p Place, program string) *clientcmdapi.Config {
	args := []string{"login", "--" + FlagExec, "--" + FlagIssuer + "=" + p.Issuer, "--" + FlagClient + "=" + p.Client}
	if p.Connect != "" {
		args = append(args, "--"+FlagConnect+"="+p.Connect)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: api.Server, TLSServerName: api.TLSServerName, CertificateAuthorityData: api.CA}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: clientauth.SchemeGroupVersion.String(),
		Command:    program, Args: args,
		InstallHint: "craton is not on the PATH: put the program that made this file there.",
		// The cluster's authority comes to it in the environment.
		ProvideClusterInfo: true,
		InteractiveMode:    clientcmdapi.NeverExecInteractiveMode,
	}}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return config
}

// PlaceOf finds where the user of a kubeconfig's context signs in. path "" is what kubectl would
// use, context "" the current one.
func PlaceOf(path, context string) (name string, p Place, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	all, err := rules.Load()
	if err != nil {
		return "", Place{}, err
	}
	if context == "" {
		context = all.CurrentContext
	}
	c := all.Contexts[context]
	if c == nil {
		return "", Place{}, fmt.Errorf("the kubeconfig has no context %q", context)
	}
	cluster, user := all.Clusters[c.Cluster], all.AuthInfos[c.AuthInfo]
	if cluster == nil || user == nil || user.Exec == nil || !slices.Contains(user.Exec.Args, "--"+FlagExec) {
		return "", Place{}, fmt.Errorf("context %s of the kubeconfig is not one that signs in: get one with craton kubeconfig --login", context)
	}
	p.CA = cluster.CertificateAuthorityData
	if cluster.CertificateAuthority != "" {
		if p.CA, err = os.ReadFile(cluster.CertificateAuthority); err != nil {
			return "", Place{}, err
		}
	}
	for _, f := range []struct {
		flag string
		into *string
	}{{FlagIssuer, &p.Issuer}, {FlagClient, &p.Client}, {FlagConnect, &p.Connect}} {
		for _, arg := range user.Exec.Args {
			if value, ok := cutFlag(arg, f.flag); ok {
				*f.into = value
			}
		}
	}
	return context, p, nil
}

func cutFlag(arg, flag string) (string, bool) {
	prefix := "--" + flag + "="
	if len(arg) < len(prefix) || arg[:len(prefix)] != prefix {
		return "", false
	}
	return arg[len(prefix):], true
}

// execInfo is the variable in which kubectl says for which cluster it wants a token.
const execInfo = "KUBERNETES_EXEC_INFO"

// ClusterCA is the authority of the cluster for which kubectl runs this program; nil where none
// does.
func ClusterCA() ([]byte, error) {
	info := os.Getenv(execInfo)
	if info == "" {
		return nil, nil
	}
	var said clientauth.ExecCredential
	if err := json.Unmarshal([]byte(info), &said); err != nil {
		return nil, fmt.Errorf("%s: %w: it is for kubectl to set", execInfo, err)
	}
	if said.Spec.Cluster == nil {
		return nil, nil
	}
	return said.Spec.Cluster.CertificateAuthorityData, nil
}

// Credential is the answer to kubectl: a token that is good now, and till when.
func (s Store) Credential(ctx context.Context, p Place) ([]byte, error) {
	t, err := s.Current(ctx, p)
	if err != nil {
		return nil, err
	}
	expires := metav1.NewTime(t.Expires.Add(-early))
	return json.Marshal(clientauth.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: clientauth.SchemeGroupVersion.String(), Kind: "ExecCredential"},
		Status:   &clientauth.ExecCredentialStatus{Token: t.ID, ExpirationTimestamp: &expires},
	})
}
