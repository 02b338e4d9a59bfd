package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"craton.dev/craton/contract"
	"craton.dev/craton/faults/load"
	"craton.dev/craton/pki"
)

// Kinds of etcd.
const (
	internal   = "internal"
	external   = "external"
	selfHosted = "selfHosted"
)

// endpoints are those of an external etcd, outside of the cluster.
var endpoints = []string{"https://192.0.2.21:2379", "https://192.0.2.22:2379", "https://192.0.2.23:2379"}

// targets are what the load uses: the API as the user network sees it, and each member of
// etcd as seen from its own machine.
func (l *lab) targets() (api load.Target, members []load.Target, err error) {
	config, err := l.config()
	if err != nil {
		return api, nil, err
	}
	secure, err := rest.TLSConfigFor(config)
	if err != nil {
		return api, nil, err
	}
	c := l.cluster
	address := c.Plan.Network.LoadBalancer
	if !address.IsValid() {
		address = c.Plan.Machines[0].Address
	}
	api = load.Target{
		Name: "API", URL: "https://" + netip.AddrPortFrom(address, c.Plan.Network.APIPort).String(),
		TLS: secure, Dial: c.Platform.Dial,
	}
	members, err = l.members()
	return api, members, err
}

// members are those of etcd: an internal one's as seen from their own machines, an external
// one's as its clients see them, which are the masters.
func (l *lab) members() ([]load.Target, error) {
	c := l.cluster
	ca, client := c.Secrets.Authorities[pki.EtcdCA], func(machine string) pki.Pair { return c.Secrets.Pairs["etcd-server-"+machine] }
	if l.etcd == external {
		theirs, pair, err := pki.ReadExternalEtcd(c.Plan.File.ExternalEtcd)
		if err != nil {
			return nil, err
		}
		ca, client = theirs, func(string) pki.Pair { return pair }
	}
	port, err := etcdPort()
	if err != nil {
		return nil, err
	}
	var members []load.Target
	add := func(at, from string) error {
		secure, err := etcdTLS(ca, client(from))
		if err != nil {
			return fmt.Errorf("etcd's certificate for %s: %w", from, err)
		}
		members = append(members, load.Target{Name: at, URL: at, TLS: secure, Dial: l.dialFrom(from)})
		return nil
	}
	masters := l.machines(contract.Master)
	if l.etcd == external {
		for _, at := range endpoints {
			if err := add(at, masters[0]); err != nil {
				return nil, err
			}
		}
		return members, nil
	}
	for _, m := range c.Plan.OfRole(contract.Master) {
		if err := add("https://"+netip.AddrPortFrom(m.Address, port).String(), m.Name); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// dialFrom connects from a machine's place in the network.
func (l *lab) dialFrom(machine string) load.Dial {
	platform := l.cluster.Platform
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = platform.In(machine, func() (err error) {
			conn, err = (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

const dialLimit = 2 * time.Second

func etcdTLS(ca, client pki.Pair) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca.Cert) {
		return nil, errors.New("there is no authority of etcd")
	}
	cert, err := tls.X509KeyPair(client.Cert, client.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{cert}}, nil
}

// endpointAddress is the address of the external etcd's n-th member.
func endpointAddress(n int) string {
	u, err := url.Parse(endpoints[n])
	if err != nil {
		return "" // they are constants
	}
	return u.Hostname()
}

// etcdPort is where members serve their clients.
func etcdPort() (uint16, error) {
	const id = "master.ingress.etcd-client"
	c, ok := contract.ByID(id)
	if !ok || len(c.Ports) != 1 {
		return 0, fmt.Errorf("the contract has no clause %s with one port", id)
	}
	return c.Ports[0].First, nil
}
