package etcd

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Server is how a machine's etcd listens and trusts. etcd ignores every flag beside
// --config-file, so all of it stands in the file.
type Server struct {
	// ClientURL is where it listens for clients and says so.
	ClientURL string
	// MetricsURL is plain HTTP for the kubelet's probes; "" for none.
	MetricsURL string
	// CA is what both clients and peers have to show a certificate of.
	CA                string
	Cert, Key         string
	PeerCert, PeerKey string
}

// config is etcd's own file. Fields that are not here have its defaults.
type config struct {
	Name                string `json:"name"`
	DataDir             string `json:"data-dir"`
	ListenClientURLs    string `json:"listen-client-urls"`
	AdvertiseClientURLs string `json:"advertise-client-urls"`
	ListenPeerURLs      string `json:"listen-peer-urls"`
	AdvertisePeerURLs   string `json:"initial-advertise-peer-urls"`
	ListenMetricsURLs   string `json:"listen-metrics-urls,omitempty"`
	InitialCluster      string `json:"initial-cluster"`
	InitialClusterState string `json:"initial-cluster-state"`
	InitialClusterToken string `json:"initial-cluster-token"`

	Client security `json:"client-transport-security"`
	Peer   security `json:"peer-transport-security"`

	TLSMinVersion string `json:"tls-min-version"`
	// The JSON gateway is a second way in that nothing uses.
	EnableGRPCGateway bool `json:"enable-grpc-gateway"`
}

type security struct {
	Cert         string `json:"cert-file"`
	Key          string `json:"key-file"`
	CA           string `json:"trusted-ca-file"`
	RequireCerts bool   `json:"client-cert-auth"`
}

const (
	stateNew      = "new"
	stateExisting = "existing"
)

// initial are the members by which etcd finds the others at its first start. It compares
// the list with the running cluster's, but by the addresses only.
func initial(name string, own uint64, members []Member) string {
	var parts []string
	for _, m := range members {
		called := m.Name
		switch {
		case m.ID == own:
			called = name
		case called == "":
			called = fmt.Sprintf("%x", m.ID)
		}
		for _, url := range m.PeerURLs {
			parts = append(parts, called+"="+url)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func (o *Options) config(state, initialCluster, token string) ([]byte, error) {
	s := o.Server
	return yaml.Marshal(config{
		Name: o.Name, DataDir: o.DataDir,
		ListenClientURLs: s.ClientURL, AdvertiseClientURLs: s.ClientURL,
		ListenPeerURLs: o.PeerURL, AdvertisePeerURLs: o.PeerURL,
		ListenMetricsURLs: s.MetricsURL,
		InitialCluster:    initialCluster, InitialClusterState: state, InitialClusterToken: token,
		Client:        security{s.Cert, s.Key, s.CA, true},
		Peer:          security{s.PeerCert, s.PeerKey, s.CA, true},
		TLSMinVersion: "TLS1.3",
	})
}
