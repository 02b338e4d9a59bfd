package plan

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// everywhere is every IPv4 address.
var everywhere = netip.MustParsePrefix("0.0.0.0/0")

// peersOf resolves each peer of the contract to the shortest list of prefixes that holds
// exactly its addresses. A peer that the cluster has not resolves to an empty list.
func peersOf(c *cluster.Cluster, network Network, machines []Machine) (map[contract.Peer][]netip.Prefix, error) {
	registries, err := registriesOf(c, network)
	if err != nil {
		return nil, err
	}
	etcd, err := externalEtcdOf(c)
	if err != nil {
		return nil, err
	}
	var clocks []netip.Prefix
	for i, text := range c.TimeServers {
		a, err := parseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("timeServers[%d]: %w", i, err)
		}
		clocks = append(clocks, single(a))
	}
	var balancer, resolvers []netip.Prefix
	if network.LoadBalancer.IsValid() {
		balancer = append(balancer, single(network.LoadBalancer))
	}
	for _, a := range network.Resolvers {
		resolvers = append(resolvers, single(a))
	}
	return map[contract.Peer][]netip.Prefix{
		contract.All:           {everywhere},
		contract.UserNetwork:   {network.User},
		contract.Masters:       addresses(machines, contract.Master),
		contract.InfraNodes:    addresses(machines, contract.Infra),
		contract.Workers:       addresses(machines, contract.Worker),
		contract.Registries:    cover(registries),
		contract.ExternalEtcd:  cover(etcd),
		contract.LoadBalancers: cover(balancer),
		contract.Resolvers:     cover(resolvers),
		contract.TimeServers:   cover(clocks),
	}, nil
}

// registriesOf are the addresses that images may come from: any, unless the file names
// some. The platform's own registry is always among them, since machines have no other
// source there.
func registriesOf(c *cluster.Cluster, network Network) ([]netip.Prefix, error) {
	if len(c.Registries) == 0 {
		return []netip.Prefix{everywhere}, nil
	}
	var out []netip.Prefix
	for i, text := range c.Registries {
		p, err := parsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("registries[%d]: %w", i, err)
		}
		out = append(out, p)
	}
	if network.Registry.IsValid() {
		out = append(out, single(network.Registry))
	}
	return out, nil
}

func externalEtcdOf(c *cluster.Cluster) ([]netip.Prefix, error) {
	if c.ExternalEtcd == nil {
		return nil, nil
	}
	var out []netip.Prefix
	for i, text := range c.ExternalEtcd.Endpoints {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("externalEtcd.endpoints[%d]: %q is no URL: want https://ADDRESS:PORT", i, text)
		}
		a, err := parseAddr(u.Hostname())
		if err != nil {
			return nil, fmt.Errorf("externalEtcd.endpoints[%d]: %w", i, err)
		}
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || !egressOpens(contract.ExternalEtcd, uint16(port)) {
			return nil, fmt.Errorf("externalEtcd.endpoints[%d]: %s: no clause lets masters out to port %q of an external etcd: serve etcd on the port of clause master.egress.external-etcd", i, text, u.Port())
		}
		out = append(out, single(a))
	}
	return out, nil
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// addresses covers the addresses of a role's machines.
func addresses(machines []Machine, role contract.Role) []netip.Prefix {
	var of []netip.Prefix
	for i := range machines {
		if machines[i].Role == role {
			of = append(of, single(machines[i].Address))
		}
	}
	return cover(of)
}

// used are the peers that some rule names.
func used(peers map[contract.Peer][]netip.Prefix, rules []Rule) map[contract.Peer][]netip.Prefix {
	out := map[contract.Peer][]netip.Prefix{}
	for _, r := range rules {
		for _, p := range r.Peers {
			out[p] = peers[p]
			if out[p] == nil {
				out[p] = []netip.Prefix{}
			}
		}
	}
	return out
}
