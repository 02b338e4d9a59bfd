package audit

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// place is a set of addresses with a name: those of a role's machines, of a peer, of a
// group's machines. Where nobody says which they are, they stand for themselves in a block
// of addresses that no host can have (240.0.0.0/4), and networks are looked at one by one
// for whether they hold the real ones.
type place struct {
	name   string
	ranges []packets.Range
	known  bool
	// nodes is set for machines of the node network.
	nodes bool
}

// reserved is where unknown addresses get their blocks, each a network of blockBits.
var reserved = netip.MustParsePrefix("240.0.0.0/4")

const blockBits = 20

// site is who is where.
type site struct {
	space  *packets.Space
	blocks int
	places map[string]*place // by name
	nodes  []packets.Range   // the node network; nil where nobody knows it
	pods   []packets.Range   // where pods and services have their addresses
	cached *names
}

// names is what is asked of places often, till there are more of them.
type names struct {
	places int
	sorted []string
	taken  []packets.Range // of places whose addresses are known
	nobody map[packets.Dimension]packets.Set
}

// cache are the places as they are now.
func (s *site) cache() *names {
	if s.cached != nil && s.cached.places == len(s.places) {
		return s.cached
	}
	c := &names{places: len(s.places), sorted: slices.Sorted(maps.Keys(s.places)), taken: slices.Concat(s.pods, loopback), nobody: map[packets.Dimension]packets.Set{}}
	for _, p := range s.places {
		if p.known && !covers(p.ranges, []packets.Range{packets.IPv4}) {
			c.taken = append(c.taken, p.ranges...)
		}
	}
	for _, d := range []packets.Dimension{packets.Source, packets.Destination} {
		var somebody []packets.Range
		for name, p := range s.places {
			if p.nodes || strings.HasPrefix(name, "group ") {
				somebody = append(somebody, p.ranges...)
			}
		}
		c.nobody[d] = s.space.Within(d, packets.Prefix(reserved)).Minus(s.space.Within(d, somebody...)).Or(s.space.Within(d, loopback...))
	}
	s.cached = c
	return c
}

// at is the place of a name; it is made where there is none yet.
func (s *site) at(name string, nodes bool) *place {
	if p := s.places[name]; p != nil {
		return p
	}
	if s.blocks < 1<<(blockBits-reserved.Bits())-1 {
		s.blocks++
	}
	first := packets.Prefix(reserved).First
	first.Lo += uint64(s.blocks) << (32 - blockBits)
	p := &place{name: name, nodes: nodes, ranges: []packets.Range{packets.Prefix(netip.PrefixFrom(packets.ToAddress(first), blockBits))}}
	s.places[name] = p
	return p
}

// know makes a place's addresses known.
func (s *site) know(name string, nodes bool, ranges []packets.Range) {
	p := s.at(name, nodes)
	if !p.known {
		p.ranges = nil
	}
	p.known = true
	p.ranges = append(p.ranges, ranges...)
}

// loopback are addresses of a machine for itself.
var loopback = []packets.Range{packets.Prefix(netip.MustParsePrefix("127.0.0.0/8")), packets.Prefix(netip.MustParsePrefix("::1/128"))}

// private are networks that hosts inside of a site have their addresses from.
var private = []packets.Range{
	packets.Prefix(netip.MustParsePrefix("10.0.0.0/8")), packets.Prefix(netip.MustParsePrefix("172.16.0.0/12")),
	packets.Prefix(netip.MustParsePrefix("192.168.0.0/16")), packets.Prefix(netip.MustParsePrefix("100.64.0.0/10")),
}

func overlap(a, b []packets.Range) bool {
	return slices.ContainsFunc(a, func(x packets.Range) bool {
		return slices.ContainsFunc(b, func(y packets.Range) bool { return x.First.Compare(y.Last) <= 0 && y.First.Compare(x.Last) <= 0 })
	})
}

// covers tells whether the ranges of a hold all of b; each range of b within one of a.
func covers(a, b []packets.Range) bool {
	return !slices.ContainsFunc(b, func(y packets.Range) bool {
		return !slices.ContainsFunc(a, func(x packets.Range) bool { return x.First.Compare(y.First) <= 0 && y.Last.Compare(x.Last) <= 0 })
	})
}

// holds says of a network whether it holds a place's addresses: surely, perhaps, or not.
func (s *site) holds(network []packets.Range, p *place) (surely, perhaps bool) {
	if p.known || covers(network, p.ranges) || overlap(network, p.ranges) {
		return false, false // real addresses speak for themselves, and so do the blocks
	}
	switch {
	case p.nodes && s.nodes != nil:
		return covers(network, s.nodes), overlap(network, s.nodes)
	case p.nodes:
		return false, overlap(network, private)
	case p.name == string(contract.UserNetwork) && s.nodes != nil && covers(s.nodes, network):
		return false, false // users are not where machines are
	}
	// Addresses that are known to be somebody's are not somebody else's as well.
	return false, !covers(s.cache().taken, network)
}

// locate adds to the networks that rules name the places that they hold.
func (s *site) locate(r *filter.Ruleset) {
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			for i := range rule.Conditions {
				s.condition(&rule.Conditions[i])
			}
			for i := range rule.Cases {
				for j := range rule.Cases[i].Conditions {
					s.condition(&rule.Cases[i].Conditions[j])
				}
			}
		}
	}
}

func (s *site) condition(c *filter.Condition) {
	var sure, perhaps []filter.Tuple
	open := false
	for _, t := range c.Any {
		a, b, differs := s.tuple(t)
		sure, perhaps, open = append(sure, a), append(perhaps, b), open || differs
	}
	for _, t := range c.Perhaps {
		_, b, _ := s.tuple(t)
		perhaps = append(perhaps, b)
	}
	if sure != nil {
		c.Any = sure
	}
	if open || c.Perhaps != nil {
		c.Perhaps = perhaps
	}
}

func (s *site) tuple(t filter.Tuple) (sure, perhaps filter.Tuple, differs bool) {
	sure, perhaps = slices.Clone(t), slices.Clone(t)
	for i, f := range t {
		if f.Dimension != packets.Source && f.Dimension != packets.Destination || len(f.Ranges) == 0 {
			continue
		}
		some, more := slices.Clone(f.Ranges), slices.Clone(f.Ranges)
		for name, p := range s.places {
			if strings.HasPrefix(name, "group ") {
				continue // no clause is about these: nothing hangs on where they are
			}
			surely, maybe := s.holds(f.Ranges, p)
			if surely {
				some = append(some, p.ranges...)
			}
			if surely || maybe {
				more = append(more, p.ranges...)
			}
			differs = differs || maybe && !surely
		}
		sure[i].Ranges, perhaps[i].Ranges = some, more
	}
	return sure, perhaps, differs
}

// plural is what a role's machines are called as peers of a clause.
func plural(role contract.Role) contract.Peer {
	switch role {
	case contract.Master:
		return contract.Masters
	case contract.Worker:
		return contract.Workers
	}
	return contract.InfraNodes
}

// machineRoles are the roles that machines have.
var machineRoles = []contract.Role{contract.Master, contract.Infra, contract.Worker}
