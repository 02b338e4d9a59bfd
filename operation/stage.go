package operation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// Stage is a live cluster, prepared for probes: pods of the test's own run on every machine.
type Stage struct {
	Platform *local.Platform
	Plan     *plan.Plan
	Secrets  *pki.Secrets
	// Kubeconfig is an administrator's, by the way of users.
	Kubeconfig []byte
	// Image is that of agnhost, and Images are what machines are to pull, one of each registry.
	Image  string
	Images []string
	// Start powers a machine on that is off.
	Start func(context.Context, plan.Machine) error
	// Copy writes a copy of the store's data to a file, and says of which master's and how many
	// keys are in it.
	Copy func(ctx context.Context, to string) (master string, keys int, err error)

	pods     []testPod
	dns      []netip.Addr
	service  netip.Addr
	nodePort uint16
	direct   kubernetes.Interface
}

// Admin is the administrator's identity in the plan.
const admin = "admin"

// tls is what a client of the API needs; with the administrator's certificate, or as nobody.
func (s *Stage) tls(asAdmin bool) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.Secrets.Authorities[plan.KubernetesCA].Cert) {
		return nil, errors.New("the cluster's secrets have no authority for the API")
	}
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: s.Plan.Network.APIServer}
	if asAdmin {
		pair, err := tls.X509KeyPair(s.Secrets.Pairs[admin].Cert, s.Secrets.Pairs[admin].Key)
		if err != nil {
			return nil, fmt.Errorf("the administrator's certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// api is an API server's address on a host.
func (s *Stage) api(host netip.Addr) netip.AddrPort {
	return netip.AddrPortFrom(host, s.Plan.Network.APIPort)
}

// clientAt asks the API server of a master from that machine itself, so that no rule is between.
func (s *Stage) clientAt(master plan.Machine) (kubernetes.Interface, error) {
	config, err := s.tls(true)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfigAndClient(
		&rest.Config{Host: "https://" + s.api(master.Address).String(), QPS: -1, WarningHandler: rest.NoWarnings{}},
		s.at(master.Name).client(config))
}

// userConfig is a user's client: a connection of its own from the user network.
func (s *Stage) userConfig() (*rest.Config, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Timeout, config.WarningHandler = -1, 2*patience, rest.NoWarnings{}
	// A dialer of its own keeps client-go from using a connection of before.
	config.Dial = (&net.Dialer{Timeout: patience}).DialContext
	return config, nil
}

func (s *Stage) userClient() (kubernetes.Interface, error) {
	config, err := s.userConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func (s *Stage) master() plan.Machine { return s.Plan.OfRole(contract.Master)[0] }

// askChecks tries an operation by the checks of a part.
func askChecks(checks []check) func(context.Context, *Stage) (string, error) {
	return func(ctx context.Context, s *Stage) (string, error) {
		err := each(checks, func(c check) error { return s.ask(ctx, c) })
		return fmt.Sprintf("%d questions, such as %s", len(checks), checks[0].URL), err
	}
}

func (s *Stage) ask(ctx context.Context, c check) error {
	from := s.user()
	for peer, role := range map[contract.Peer]contract.Role{
		contract.Masters: contract.Master, contract.InfraNodes: contract.Infra, contract.Workers: contract.Worker,
	} {
		if machines := s.Plan.OfRole(role); c.From == peer && len(machines) > 0 {
			from = s.at(machines[0].Name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	err := Ask(ctx, s.Plan, s.Secrets, c, func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if _, err := netip.ParseAddr(host); err == nil {
			return from.dial(ctx, network, address)
		}
		found, err := s.resolve(ctx, from, host)
		if err != nil {
			return nil, err
		}
		return from.dial(ctx, network, net.JoinHostPort(found[0], port))
	})
	if err != nil {
		return fmt.Errorf("from %s: %w", from.name, err)
	}
	return nil
}

// resolve asks the machines' resolver for one of the cluster's names.
func (s *Stage) resolve(ctx context.Context, from place, name string) ([]string, error) {
	found, err := from.lookup(ctx, "udp", netip.AddrPortFrom(s.Plan.Network.Resolvers[0], dnsPort), name)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("the resolver has no address for %s", name)
	}
	return found, err
}

const dnsPort = 53

func hostPort(a netip.Addr, port uint16) string {
	return net.JoinHostPort(a.String(), strconv.Itoa(int(port)))
}

// settleTime is how long the stage's own pods may take.
const settleTime = 90 * time.Second
