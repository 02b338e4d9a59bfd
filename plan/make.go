package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
)

// Make works out the plan of a cluster. The cluster is one that package cluster has
// parsed, with its defaults; an error says which field of it has no plan.
func Make(c *cluster.Cluster) (*Plan, error) { return makePlan(c, Holds(contract.IfEtcdSeed, c)) }

// Settled is the plan of a cluster whose self-hosted etcd has no temporary member any more: the
// clauses that only that one needs open nothing. Other clusters' is what Make makes.
func Settled(c *cluster.Cluster) (*Plan, error) { return makePlan(c, false) }

func makePlan(c *cluster.Cluster, seed bool) (*Plan, error) {
	network, err := networkOf(c)
	if err != nil {
		return nil, err
	}
	clauses := inForce(c)
	if !seed {
		clauses = slices.DeleteFunc(clauses, func(clause contract.Clause) bool { return clause.Condition == contract.IfEtcdSeed })
	}
	machines, err := machinesOf(c, network, clauses)
	if err != nil {
		return nil, err
	}
	peers, err := peersOf(c, network, machines)
	if err != nil {
		return nil, err
	}
	rules := rulesOf(c, clauses, peers)
	names, err := namesOf(c, network, machines)
	if err != nil {
		return nil, err
	}
	return &Plan{
		APIVersion: cluster.APIVersion,
		Kind:       "Plan",
		Cluster:    c.Name,
		Profile:    c.Profile,
		Machines:   machines,
		Rules:      rules,
		Peers:      used(peers, rules),
		Names:      names,
		Identities: identitiesOf(c, network, machines),
		Network:    network,
		Components: enabled(c),
		Seed:       seed,
		File:       c,
	}, nil
}

// Offsets of the surroundings' addresses from the base of the machine network; package
// cluster keeps everything below its first master free for them. The first address is the
// gateway's.
const (
	resolverOffset     = 2
	loadBalancerOffset = 3
	registryOffset     = 4
	ingressOffset      = 5
)

// Offsets in the service network: the first is Kubernetes' own rule, the tenth custom.
const (
	serviceAPIOffset = 1
	serviceDNSOffset = 10
	// Kubernetes gives the first sixteen addresses to nobody who does not ask for them by name.
	serviceSignInOffset = 11
)

func networkOf(c *cluster.Cluster) (Network, error) {
	n := Network{APIPort: uint16(c.APIPort), Resolvers: []netip.Addr{}}
	var err error
	if n.APIServer, err = nameFrom(apiNameClause, c); err != nil {
		return n, err
	}
	if n.Console, err = nameFrom(consoleNameClause, c); err != nil {
		return n, err
	}
	if c.APIPort < 1 || c.APIPort > 65535 {
		return n, fmt.Errorf("apiPort: %d is no port: want 1 to 65535", c.APIPort)
	}
	for _, field := range []struct {
		name, text string
		to         *netip.Prefix
	}{
		{"machineNetwork", c.MachineNetwork, &n.Machines},
		{"podNetwork", c.PodNetwork, &n.Pods},
		{"serviceNetwork", c.ServiceNetwork, &n.Services},
		{"userNetwork", c.UserNetwork, &n.User},
	} {
		prefix, err := parsePrefix(field.text)
		if err != nil {
			return n, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.to = prefix
	}
	surrounding := func(name string, network netip.Prefix, offset int) (a netip.Addr) {
		a, ok := at(network, offset)
		if !ok && err == nil {
			err = fmt.Errorf("%s: %s has no address number %d: give a larger network", name, network, offset)
		}
		return a
	}
	n.ServiceAPI = surrounding("serviceNetwork", n.Services, serviceAPIOffset)
	n.ServiceDNS = surrounding("serviceNetwork", n.Services, serviceDNSOffset)
	if c.Options.SignIn {
		n.ServiceSignIn = surrounding("serviceNetwork", n.Services, serviceSignInOffset)
	}
	if c.LoadBalancer {
		n.LoadBalancer = surrounding("machineNetwork", n.Machines, loadBalancerOffset)
		if Holds(contract.IfIngress, c) && Holds(contract.IfNodePortIngress, c) {
			n.Ingress = surrounding("machineNetwork", n.Machines, ingressOffset)
		}
	}
	if c.Platform == local {
		n.Registry = surrounding("machineNetwork", n.Machines, registryOffset)
	}
	for i, text := range c.Resolvers {
		a, e := parseAddr(text)
		if e != nil {
			return n, fmt.Errorf("resolvers[%d]: %w", i, e)
		}
		n.Resolvers = append(n.Resolvers, a)
	}
	if len(n.Resolvers) == 0 && c.Platform == local {
		n.Resolvers = append(n.Resolvers, surrounding("machineNetwork", n.Machines, resolverOffset))
	}
	return n, err
}

func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, fmt.Errorf("%q is no IPv4 network: want for instance 10.32.0.0/16", text)
	}
	return p.Masked(), nil
}

func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return a, fmt.Errorf("%q is no IPv4 address: want for instance 10.32.0.2", text)
	}
	return a, nil
}
