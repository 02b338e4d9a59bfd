// Package dns writes a plan's names as a zone file, and the configuration of the embedded
// platform's resolver (CoreDNS) that serves it.
//
// It is for the names that the document gives a cluster, seen from outside. Names inside
// the cluster are the cluster DNS's business.
package dns

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"regexp"
	"strings"

	"craton.dev/craton/plan"
)

// Origin is the zone of a plan's names, with a dot at its end: the cluster's subdomain.
func Origin(p *plan.Plan) string {
	_, subdomain, _ := strings.Cut(p.Network.APIServer, ".")
	return subdomain + "."
}

// ttl is short, so that a name that moves with the plan is seen to move. Seconds.
const ttl = 5

// Zone is the zone file (RFC 1035, section 5) of the subdomain. Its serial number is made
// from the records: the same records give the same bytes, other records another serial,
// which is what makes a server read them. The error names a record that does not belong in
// the zone.
func Zone(p *plan.Plan) ([]byte, error) {
	origin := Origin(p)
	var records strings.Builder
	// A zone needs the name of its server; no zone above delegates to it.
	for _, r := range p.Network.Resolvers {
		fmt.Fprintf(&records, "ns.%s\tIN\tA\t%s\n", origin, r)
	}
	for _, n := range p.Names {
		name := n.Name + "."
		if name != origin && !strings.HasSuffix(name, "."+origin) {
			return nil, fmt.Errorf("dns: %s is not in the zone %s", n.Name, origin)
		}
		for _, target := range n.Targets {
			fmt.Fprintf(&records, "%s\tIN\t%s\t%s\n", name, n.Type, target)
		}
	}
	serial := fnv.New32a()
	serial.Write([]byte(records.String()))
	return fmt.Appendf(nil, "$TTL %d\n%s\tIN\tSOA\tns.%s hostmaster.%s %d 60 10 600 %d\n%s\tIN\tNS\tns.%s\n%s",
		ttl, origin, origin, origin, serial.Sum32(), ttl, origin, origin, records.String()), nil
}

// Options say where the resolver listens and what it answers for.
type Options struct {
	// Origin is the zone that ZoneFile holds.
	Origin   string
	ZoneFile string
	// Listen is the resolver's own address.
	Listen netip.Addr
	// RegistryHosts are the names that are answered with Registry.
	RegistryHosts []string
	Registry      netip.Addr
}

// Corefile is CoreDNS's configuration: the zone, read again within a quarter of a second of a
// change, each answer with its addresses in another order, so that clients, which take the
// first, spread over them; the registries; and "no such name" for everything else, since nothing else can be
// reached anyway and a name that fails at once is better than one that hangs.
func Corefile(opt Options) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s {\n\tbind %s\n\terrors\n\tfile %s {\n\t\treload 250ms\n\t}\n\tloadbalance\n}\n", opt.Origin, opt.Listen, opt.ZoneFile)
	fmt.Fprintf(&b, ". {\n\tbind %s\n\terrors\n", opt.Listen)
	if len(opt.RegistryHosts) > 0 && opt.Registry.IsValid() {
		names := make([]string, len(opt.RegistryHosts))
		for i, n := range opt.RegistryHosts {
			names[i] = strings.ReplaceAll(regexp.QuoteMeta(n), `\.`, "[.]")
		}
		match := "^(" + strings.Join(names, "|") + ")[.]$"
		fmt.Fprintf(&b, "\ttemplate IN A . {\n\t\tmatch %s\n\t\tanswer \"{{ .Name }} 60 IN A %s\"\n\t\tfallthrough\n\t}\n", match, opt.Registry)
		// The name is there, with no record of another type (AAAA).
		fmt.Fprintf(&b, "\ttemplate IN ANY . {\n\t\tmatch %s\n\t\trcode NOERROR\n\t\tfallthrough\n\t}\n", match)
	}
	b.WriteString("\ttemplate ANY ANY . {\n\t\trcode NXDOMAIN\n\t}\n}\n")
	return []byte(b.String())
}
