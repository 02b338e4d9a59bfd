package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/cloud/aws"
	"craton.dev/craton/cloud/terraform"
	"craton.dev/craton/contract"
	"craton.dev/craton/filter"
	"craton.dev/craton/filter/rules"
	"craton.dev/craton/packets"
	"craton.dev/craton/plan"
)

// surveyed is all that is known before anything is judged.
type surveyed struct {
	site
	opt     Options
	files   []file
	cloud   cloud.Document
	roles   map[contract.Role][]string // names of groups and files
	views   map[contract.Role][]*view
	guesses []string
	reached map[*filter.Rule]bool // of machines' own rules, those that judged packets come to
	plan    *plan.Plan            // of the cluster file; nil where there is none
}

// file is a packet filter's rules.
type file struct {
	name  string
	rules *filter.Ruleset
	// families are those that the file has a word on: iptables keeps them apart.
	families filter.Families
}

// survey reads the documents and finds out who is who in them.
func survey(sources []Source, opt Options) (*surveyed, error) {
	s := &surveyed{opt: opt, roles: map[contract.Role][]string{}, views: map[contract.Role][]*view{}, reached: map[*filter.Rule]bool{},
		site: site{space: packets.NewSpace(0), places: map[string]*place{}}}
	for _, src := range sources {
		if err := s.read(src); err != nil {
			return nil, err
		}
	}
	if len(s.files)+len(s.cloud.Groups) == 0 {
		return nil, fmt.Errorf("%s: there are no rules to audit: %s", sources[0].Name, strings.Join(s.nothing(), "; "))
	}
	if opt.Cluster != nil {
		var err error
		if s.plan, err = plan.Make(opt.Cluster); err != nil {
			return nil, err
		}
	}
	for _, n := range opt.PodNetwork {
		s.pods = append(s.pods, packets.Prefix(n))
	}
	if s.plan != nil && s.pods == nil {
		s.pods = []packets.Range{packets.Prefix(s.plan.Network.Pods)}
	}
	networks := opt.NodeNetwork
	if len(networks) == 0 && len(s.cloud.Networks) > 0 {
		networks = s.cloud.Networks
		s.guess("machines have their addresses in %s, the networks of the document: --node-network says otherwise", prefixes(networks))
	}
	for _, n := range networks {
		s.nodes = append(s.nodes, packets.Prefix(n))
	}
	if err := s.known(); err != nil {
		return nil, err
	}
	s.guessGroups()
	if err := s.guessFiles(); err != nil {
		return nil, err
	}
	s.strangers()
	return s, s.look()
}

// nothing says what there is in documents without rules.
func (s *surveyed) nothing() []string {
	out := slices.Clone(s.guesses)
	for _, n := range s.cloud.Notes {
		out = append(out, n.Place.String()+": "+n.Text)
	}
	return out
}

func (s *surveyed) guess(format string, args ...any) {
	s.guesses = append(s.guesses, fmt.Sprintf(format, args...))
}

// policies finds Kubernetes' network policies, as YAML or as JSON.
var policies = regexp.MustCompile(`(?m)^\s*"?kind"?: *"?(Global|Cilium|CiliumClusterwide|Admin)?NetworkPolicy"?\s*,?\s*$`)

// read adds one document; its kind is seen from its content.
func (s *surveyed) read(src Source) error {
	if policies.Match(src.Data) {
		s.guess("%s is left out: %s", src.Name, terraform.NetworkPolicies)
		return nil
	}
	start := bytes.TrimLeft(src.Data, " \t\r\n\ufeff")
	if len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		var kinds map[string]json.RawMessage
		if err := json.Unmarshal(src.Data, &kinds); err != nil {
			return fmt.Errorf("%s:%d: this is no JSON that is known here: %w", src.Name, line(src.Data, err), err)
		}
		var doc *cloud.Document
		var err error
		switch has := func(key string) bool { _, ok := kinds[key]; return ok }; {
		case has("nftables"):
			return s.readRules(src)
		case has("NetworkAcls"):
			doc, err = aws.ReadACLs(src.Name, src.Data)
		case has("SecurityGroups"), has("SecurityGroupRules"):
			doc, err = aws.Read(src.Name, src.Data)
		case has("terraform_version"), has("planned_values"), has("values") && has("format_version"), has("resources") && has("version"):
			doc, err = terraform.Read(src.Name, src.Data)
		default:
			return fmt.Errorf("%s: this JSON has %s: expected that of nft, of AWS's describe-security-groups, or of a plan or state of Terraform or OpenTofu (terraform show -json)",
				src.Name, cmp.Or(strings.Join(slices.Sorted(maps.Keys(kinds)), ", "), "nothing in it"))
		}
		if err != nil {
			return err
		}
		s.cloud.Groups = append(s.cloud.Groups, doc.Groups...)
		s.cloud.Networks = append(s.cloud.Networks, doc.Networks...)
		s.cloud.Users = append(s.cloud.Users, doc.Users...)
		s.cloud.Notes = append(s.cloud.Notes, doc.Notes...)
		s.guesses = append(s.guesses, doc.LeftOut...)
		return nil
	}
	return s.readRules(src)
}

func (s *surveyed) readRules(src Source) error {
	r, err := rules.Read(src.Name, src.Data)
	if err == nil && len(r.Chains) == 0 {
		err = fmt.Errorf("%s: there are no rules in it: expected rules of nftables or iptables, or JSON of a cloud", src.Name)
	}
	if err != nil {
		return err
	}
	f := file{src.Name, r, filter.V4 | filter.V6}
	if rules.IPTables(src.Data) {
		f.families = 0
		for _, c := range r.Chains {
			f.families |= c.Families
		}
	}
	s.files = append(s.files, f)
	return nil
}

// line is where in a text JSON is wrong.
func line(data []byte, err error) int {
	offset := len(data)
	if syntax, ok := err.(*json.SyntaxError); ok {
		offset = min(offset, int(syntax.Offset))
	}
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// known takes down what the options say of roles and peers.
func (s *surveyed) known() error {
	for role, names := range s.opt.Roles {
		for _, n := range names {
			if ranges, ok := address(n); ok {
				s.know(string(plural(role)), true, ranges)
				continue
			}
			if s.cloud.Find(n) == nil && !s.tagged(n) && s.file(n) == nil {
				return fmt.Errorf("--role %s=%s: no document has a group or file of that name, and it is no address; there are %s", role, n, s.listed())
			}
			s.roles[role] = append(s.roles[role], n)
		}
	}
	for peer, names := range s.opt.Peers {
		for _, n := range names {
			ranges, ok := address(n)
			if !ok {
				if s.cloud.Find(n) == nil {
					return fmt.Errorf("peer %s: %q is neither an address nor a group of a document; there are %s", peer, n, s.listed())
				}
				ranges = s.at("group "+n, false).ranges
			}
			s.know(string(peer), false, ranges)
		}
	}
	return nil
}

// address reads an address or a network.
func address(text string) ([]packets.Range, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return []packets.Range{packets.Prefix(p)}, true
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return []packets.Range{packets.One(packets.Address(a))}, true
	}
	return nil, false
}

func (s *surveyed) file(name string) *file {
	for i := range s.files {
		if s.files[i].name == name || filepath.Base(s.files[i].name) == name {
			return &s.files[i]
		}
	}
	return nil
}

// tagged tells whether some rule is for machines with this tag.
func (s *surveyed) tagged(name string) bool {
	for _, g := range s.cloud.Groups {
		for _, r := range g.Rules {
			if slices.Contains(r.Targets, name) {
				return true
			}
		}
	}
	return false
}

// listed are the names that can be given, the first of each group.
func (s *surveyed) listed() string {
	var out []string
	for _, g := range s.cloud.Groups {
		out = append(out, g.Names[len(g.Names)-1])
	}
	for _, f := range s.files {
		out = append(out, f.name)
	}
	const most = 12
	if len(out) > most {
		return strings.Join(out[:most], ", ") + fmt.Sprintf(" and %d more", len(out)-most)
	}
	return strings.Join(out, ", ")
}

// roleNames are the names of each role for the report.
func (s *surveyed) roleNames() map[contract.Role][]string {
	out := map[contract.Role][]string{}
	for role, names := range s.roles {
		out[role] = names
	}
	for role := range s.views {
		if out[role] == nil {
			out[role] = []string{}
			if p := s.places[string(plural(role))]; p != nil && p.known {
				out[role] = s.names(p.ranges)
			}
		}
	}
	return out
}

func prefixes(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}
