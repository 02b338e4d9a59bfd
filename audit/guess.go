package audit

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/contract"
	"craton.dev/craton/packets"
)

// likely are words by which people name what is a role's.
var likely = map[contract.Role]*regexp.Regexp{
	contract.Master: regexp.MustCompile(`(?i)(^|[^a-z])(masters?|control[-_ ]?planes?|controllers?|apiservers?)([^a-z]|$)`),
	contract.Worker: regexp.MustCompile(`(?i)(^|[^a-z])(workers?|nodes?|compute|kubelets?)([^a-z]|$)`),
	contract.Infra:  regexp.MustCompile(`(?i)(^|[^a-z])(infra|ingress|edge)([^a-z]|$)`),
}

// balancing are words by which people name load balancers' groups.
var balancing = regexp.MustCompile(`(?i)(^|[^a-z])(elb|alb|nlb|lb|load[-_ ]?balancers?)([^a-z]|$)`)

// looksLike is the role that a name speaks of; a name that speaks of masters and nodes
// ("master-node") is the masters'.
func looksLike(name string) (contract.Role, bool) {
	if balancing.MatchString(name) {
		return "", false
	}
	for _, role := range []contract.Role{contract.Master, contract.Infra, contract.Worker} {
		if likely[role].MatchString(name) {
			return role, true
		}
	}
	return "", false
}

// guessGroups finds the roles' groups by the machines that have them, and by their names,
// where no role was given any.
func (s *surveyed) guessGroups() {
	if len(s.cloud.Groups) == 0 {
		return
	}
	add := func(role contract.Role, name, because string) {
		g := s.cloud.Find(name)
		if g != nil {
			for _, n := range g.Names {
				if slices.Contains(s.roles[role], n) {
					return
				}
			}
		} else if slices.Contains(s.roles[role], name) {
			return
		}
		s.roles[role] = append(s.roles[role], name)
		s.guess("%s has the rules of %s: %s; --role %s=… says otherwise", role, name, because, role)
	}
	given := len(s.roles) > 0
	if !given {
		for _, u := range s.cloud.Users {
			if role, ok := looksLike(u.Name); ok && !u.Balancer {
				for _, g := range u.Groups {
					add(role, g, u.Name+" has it")
				}
			}
		}
		for _, g := range s.cloud.Groups {
			for _, n := range g.Names {
				if role, ok := looksLike(n); ok && !g.Everyone {
					add(role, g.Names[0], "its name")
					break
				}
			}
			for _, r := range g.Rules {
				for _, t := range r.Targets {
					if role, ok := looksLike(t); ok {
						add(role, t, "the tag's name")
					}
				}
			}
		}
	}
	if s.opt.Peers[contract.LoadBalancers] == nil {
		for _, g := range s.cloud.Groups {
			byUser := slices.ContainsFunc(s.cloud.Users, func(u user) bool {
				return u.Balancer && slices.ContainsFunc(g.Names, func(n string) bool { return slices.Contains(u.Groups, n) })
			})
			if byUser || slices.ContainsFunc(g.Names, balancing.MatchString) {
				s.know(string(contract.LoadBalancers), false, s.at("group "+g.Names[0], false).ranges)
				s.guess("load balancers have group %s", g.Names[len(g.Names)-1])
			}
		}
	}
}

// guessFiles finds out whose each packet filter is: a machine's of one role, or a router's
// between machines.
func (s *surveyed) guessFiles() error {
	for i := range s.files {
		f := &s.files[i]
		// Sets that are named like peers of the contract say who is where.
		for _, peer := range allPeers {
			ranges, ok := f.rules.Sets[string(peer)]
			if p := s.places[string(peer)]; !ok || p != nil && p.known {
				continue
			}
			nodes := slices.ContainsFunc(machineRoles, func(r contract.Role) bool { return plural(r) == peer })
			s.know(string(peer), nodes, ranges)
			s.guess("%s are the addresses of set %q in %s", peer, peer, f.name)
		}
	}
	for i := range s.files {
		f := &s.files[i]
		if slices.ContainsFunc(machineRoles, func(r contract.Role) bool {
			return slices.Contains(s.roles[r], f.name) || slices.Contains(s.roles[r], filepath.Base(f.name))
		}) {
			continue
		}
		own, forwards := map[contract.Role]bool{}, false
		for _, c := range f.rules.Chains {
			for _, role := range machineRoles {
				if strings.HasPrefix(c.Name, string(role)+".") && len(c.Rules) > 0 {
					own[role] = true
				}
			}
			forwards = forwards || c.Hook == "forward" && len(c.Rules) > 0
		}
		known := 0
		for _, role := range machineRoles {
			if p := s.places[string(plural(role))]; p != nil && p.known {
				known++
			}
		}
		role, named := looksLike(filepath.Base(f.name))
		switch {
		case forwards && known > 0 && !named:
			s.guess("%s are the rules of a router between the machines", f.name)
			continue
		case len(own) == 1:
			for r := range own {
				role = r
			}
			named = true
		}
		if !named {
			return fmt.Errorf("%s: nothing says whose rules these are: name a role's file, as in --role %s=%s, or for a router's rules the roles' addresses, as in --role %s=10.0.0.10",
				f.name, contract.Worker, f.name, contract.Master)
		}
		s.roles[role] = append(s.roles[role], f.name)
		s.guess("%s are the rules of a %s: --role %s=… says otherwise", f.name, role, role)
	}
	return nil
}

// strangers gives each group that no role has a place of its own, so that what it may
// reach is told by its name.
func (s *surveyed) strangers() {
	for _, role := range machineRoles {
		if len(s.roles[role]) > 0 {
			s.at(string(plural(role)), true)
		}
	}
	for _, peer := range allPeers {
		if p := s.places[string(peer)]; p == nil && !slices.Contains([]contract.Peer{contract.All, contract.Masters, contract.Workers, contract.InfraNodes}, peer) {
			s.at(string(peer), false)
		}
	}
	// Nobody says which registries there are: any address may be one, as in the document.
	if p := s.places[string(contract.Registries)]; !p.known {
		p.ranges, p.known = []packets.Range{packets.IPv4}, true
	}
}

// allPeers are the peers of the contract.
var allPeers = []contract.Peer{
	contract.All, contract.UserNetwork, contract.Masters, contract.InfraNodes, contract.Workers, contract.Registries,
	contract.ExternalEtcd, contract.LoadBalancers, contract.Resolvers, contract.TimeServers,
}

// members are the addresses of a group's machines: of the roles that have it, or its own.
func (s *surveyed) members(group string) ([]packets.Range, bool) {
	if group == cloud.OwnNetworks {
		// That all machines are there as well is seen from the node network.
		return s.nodes, s.nodes != nil
	}
	g := s.cloud.Find(group)
	names := []string{group}
	if g != nil {
		names = g.Names
	}
	var out []packets.Range
	for _, role := range machineRoles {
		if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(s.roles[role], n) }) {
			out = append(out, s.at(string(plural(role)), true).ranges...)
		}
	}
	for _, n := range names {
		if p := s.places["group "+n]; p != nil {
			out = append(out, p.ranges...)
		}
	}
	if out == nil {
		out = s.at("group "+names[0], false).ranges
	}
	return out, true
}
