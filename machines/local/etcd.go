package local

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// There is no way out of the embedded platform, so an etcd of the user's, outside of the
// cluster, cannot be reached from it. It plays the part of the outside world, and where the
// cluster file asks for it, that etcd's part too: a real one, with a member at each of the
// file's endpoints, in the outside network. The file asks for it by naming the files of its
// certificates, which are in the cluster's folder and go with it.

// The files that a cluster file names for the etcd that is played here, below etcdDir.
const (
	etcdCA   = "ca.crt"
	etcdCert = "client.crt"
	etcdKey  = "client.key"
)

const (
	processEtcd = "etcd-"
	// etcdAuthority signs the played etcd's certificates.
	etcdAuthority = "outside-etcd"
)

// EtcdDir is the folder of the etcd that is played here.
func (p *Platform) EtcdDir() string { return p.path("etcd") }

// PlaysEtcd tells whether the plan's external etcd is one that is played here.
func (p *Platform) PlaysEtcd(pl *plan.Plan) bool {
	return pl.File != nil && pl.File.ExternalEtcd != nil && pl.File.ExternalEtcd.CAFile == filepath.Join(p.EtcdDir(), etcdCA)
}

// PrepareEtcd makes the files that the cluster file names, where the etcd is played here.
func (p *Platform) PrepareEtcd(pl *plan.Plan) error {
	if !p.PlaysEtcd(pl) {
		return nil
	}
	_, err := p.etcdSecrets(pl)
	return err
}

func (p *Platform) etcdSecrets(pl *plan.Plan) (*pki.Secrets, error) {
	addresses, err := etcdAddresses(pl)
	if err != nil {
		return nil, err
	}
	var members []netip.Addr
	for _, a := range addresses {
		members = append(members, a.Addr())
	}
	both := []string{"server", "client"}
	const days = 365
	s, err := pki.Ensure(filepath.Join(p.EtcdDir(), "pki"), &plan.Plan{Identities: []plan.Identity{
		{Name: "member", CA: etcdAuthority, CommonName: "member", Addresses: members, Usages: both, Days: days},
		{Name: "client", CA: etcdAuthority, CommonName: "client", Usages: both[1:], Days: days},
	}}, time.Now())
	if err != nil {
		return nil, fmt.Errorf("certificates of the external etcd that is played here: %w", err)
	}
	member, client := s.Pairs["member"], s.Pairs["client"]
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{etcdCA, s.Authorities[etcdAuthority].Cert, 0o644},
		{etcdCert, client.Cert, 0o644}, {etcdKey, client.Key, 0o600},
		{"member.crt", member.Cert, 0o644}, {"member.key", member.Key, 0o600},
	} {
		if err := writeFile(filepath.Join(p.EtcdDir(), f.name), f.data, f.mode); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// etcdAddresses are the endpoints of an external etcd, in the file's order.
func etcdAddresses(pl *plan.Plan) ([]netip.AddrPort, error) {
	if pl.File == nil || pl.File.ExternalEtcd == nil {
		return nil, nil
	}
	var all []netip.AddrPort
	for i, text := range pl.File.ExternalEtcd.Endpoints {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("externalEtcd.endpoints[%d]: %w", i, err)
		}
		a, err := netip.ParseAddrPort(u.Host)
		if err != nil {
			return nil, fmt.Errorf("externalEtcd.endpoints[%d]: %w", i, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// outsideEtcd are the addresses at which the outside network has an external etcd. One
// among the cluster's own addresses is somebody else's, or nobody's.
func outsideEtcd(pl *plan.Plan) []netip.Addr {
	endpoints, err := etcdAddresses(pl)
	if err != nil {
		return nil // there is no plan of such a file
	}
	var all []netip.Addr
	for _, e := range endpoints {
		if n := pl.Network; !n.Machines.Contains(e.Addr()) && !n.User.Contains(e.Addr()) {
			all = append(all, e.Addr())
		}
	}
	return all
}

// startEtcd starts the members that do not run, where the etcd is played here.
func (p *Platform) startEtcd(ctx context.Context, pl *plan.Plan) error {
	if !p.PlaysEtcd(pl) {
		return nil
	}
	if _, err := p.etcdSecrets(pl); err != nil {
		return err
	}
	endpoints, err := etcdAddresses(pl)
	if err != nil {
		return err
	}
	peer := func(e netip.AddrPort) string {
		return "https://" + netip.AddrPortFrom(e.Addr(), e.Port()+1).String()
	}
	var cluster []string
	for i, e := range endpoints {
		cluster = append(cluster, processEtcd+strconv.Itoa(i+1)+"="+peer(e))
	}
	file := func(name string) string { return filepath.Join(p.EtcdDir(), name) }
	for i, e := range endpoints {
		name := processEtcd + strconv.Itoa(i+1)
		client := "https://" + e.String()
		if err := os.MkdirAll(file(name), 0o700); err != nil {
			return err
		}
		if err := p.keep(name, outsideNS, []string{
			p.Image.EtcdProgram, "--name=" + name, "--data-dir=" + file(name), "--logger=zap", "--log-level=warn",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer(e), "--initial-advertise-peer-urls=" + peer(e),
			"--initial-cluster=" + strings.Join(cluster, ","), "--initial-cluster-token=" + p.Cluster,
			"--client-cert-auth", "--trusted-ca-file=" + file(etcdCA),
			"--cert-file=" + file("member.crt"), "--key-file=" + file("member.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + file(etcdCA),
			"--peer-cert-file=" + file("member.crt"), "--peer-key-file=" + file("member.key"),
		}, nil, nil); err != nil {
			return err
		}
	}
	for i, e := range endpoints {
		if err := p.awaitListener(ctx, processEtcd+strconv.Itoa(i+1), e); err != nil {
			return err
		}
	}
	return nil
}

// EtcdRests tells whether the etcd is played here, and one of its members does not run: then
// it is no answer that it does not answer, before Prepare has started it.
func (p *Platform) EtcdRests(pl *plan.Plan) bool {
	return p.PlaysEtcd(pl) && slices.ContainsFunc(p.etcdProcesses(), func(name string) bool { return !p.process(name).alive() })
}

// etcdProcesses are the members that were started.
func (p *Platform) etcdProcesses() []string {
	files, _ := filepath.Glob(p.path("run", processEtcd+"*.pid"))
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".pid"))
	}
	return names
}
