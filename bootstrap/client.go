package bootstrap

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
)

// Admin is the identity of the cluster's administrator in the plan.
const Admin = "admin"

// Kubeconfig is the administrator's kubeconfig for this host: it reaches the API by the
// gateway's loopback port and verifies the API's own name.
func (c *Cluster) Kubeconfig() ([]byte, error) {
	if c.Secrets == nil {
		if err := c.loadSecrets(); err != nil {
			return nil, err
		}
	}
	port, err := c.Platform.APIPort()
	if err != nil {
		return nil, err
	}
	pair, ok := c.Secrets.Pairs[Admin]
	if !ok {
		return nil, fmt.Errorf("cluster %s has no certificate for %s: run `craton up` again", c.Name, Admin)
	}
	return pki.Kubeconfig(pki.Client{
		Server:        "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		TLSServerName: c.Plan.Network.APIServer,
		CA:            c.Secrets.Authorities[pki.KubernetesCA].Cert,
		Pair:          pair,
		Context:       c.Name,
		User:          c.Name + "-" + Admin,
	})
}

// config is a client's configuration for the API. Limits on the client's side would only
// slow the few requests of a bring-up; the API has its own.
func (c *Cluster) config() (*rest.Config, error) {
	kubeconfig, err := c.Kubeconfig()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.Timeout = 20 * time.Second
	config.UserAgent = "craton"
	// The API would say at each run that it has a newer name for the document's label.
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

func (c *Cluster) clientset() (*kubernetes.Clientset, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// awaitAPI waits until the API says that it is ready.
func (c *Cluster) awaitAPI(ctx context.Context) error {
	client, err := c.clientset()
	if err != nil {
		return err
	}
	c.opt.say("waiting for the API at %s", c.Plan.Network.APIServer)
	return c.await(ctx, 5*time.Minute, 50*time.Millisecond, func(ctx context.Context) (string, error) {
		if err := askAPI(ctx, client, 3*time.Second); err != nil {
			return "the API is not ready: " + err.Error(), nil
		}
		return "", nil
	})
}

// askAPI asks the API once whether it is ready.
func askAPI(ctx context.Context, client *kubernetes.Clientset, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	asked := client.Discovery().RESTClient()
	err := asked.Get().AbsPath("/readyz").Do(ctx).Error()
	if err != nil {
		// A connection whose other end has fallen silent would be used again and again.
		utilnet.CloseIdleConnectionsFor(asked.(*rest.RESTClient).Client.Transport)
	}
	return err
}

// kubeconfigFile is the administrator's kubeconfig in the cluster's folder.
const kubeconfigFile = "kubeconfig"

func (c *Cluster) kubeconfigPath() string { return filepath.Join(c.Dir, kubeconfigFile) }

// KubeconfigFile writes the kubeconfig into the cluster's folder, 0600, and returns its path.
func (c *Cluster) KubeconfigFile() (string, error) {
	b, err := c.Kubeconfig()
	if err != nil {
		return "", err
	}
	path := c.kubeconfigPath()
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return path, nil
	}
	return path, c.keep(kubeconfigFile, b)
}

// Kubectl is the path of the payload's kubectl, which is built where it is missing.
func (c *Cluster) Kubectl(ctx context.Context) (string, error) {
	built, err := payload.Build(ctx, payload.Options{Cache: c.opt.Cache, Want: []string{"kubectl"}})
	if err != nil {
		return "", err
	}
	return built.HostBin("kubectl"), nil
}
