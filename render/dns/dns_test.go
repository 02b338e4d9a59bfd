package dns_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"craton.dev/craton/golden"
	"craton.dev/craton/plan"
	render "craton.dev/craton/render/dns"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/internal/example"
)

func zone(t *testing.T, p *plan.Plan) []byte {
	t.Helper()
	z, err := render.Zone(p)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// records reads a zone with another's parser.
func records(t *testing.T, z []byte) (addresses map[string][]string, serial uint32) {
	t.Helper()
	addresses = map[string][]string{}
	parser := dns.NewZoneParser(strings.NewReader(string(z)), "", "")
	soa, ns := 0, 0
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		switch rr := rr.(type) {
		case *dns.SOA:
			soa++
			serial = rr.Serial
		case *dns.NS:
			ns++
		case *dns.A:
			addresses[rr.Hdr.Name] = append(addresses[rr.Hdr.Name], rr.A.String())
		default:
			t.Errorf("unexpected record %s", rr)
		}
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	if soa != 1 || ns != 1 {
		t.Errorf("%d SOA and %d NS records: a zone has one of each here", soa, ns)
	}
	return addresses, serial
}

// TestZone protects that a server reads from the file exactly the plan's names.
func TestZone(t *testing.T) {
	p := example.Plan(t, 1, 1)
	z := zone(t, p)
	golden.Check(t, "zone", z)
	want := map[string][]string{"ns.example.com.": {"10.32.0.2"}}
	for _, n := range p.Names {
		want[n.Name+"."] = n.Targets
	}
	got, _ := records(t, z)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-plan +zone):\n%s", diff)
	}
}

// TestSerial protects what makes servers reload: a changed record changes the serial, and
// nothing else does.
func TestSerial(t *testing.T) {
	p := example.Plan(t, 1, 1)
	_, a := records(t, zone(t, p))
	_, b := records(t, zone(t, p))
	p.Names[0].Targets = []string{"10.32.0.10", "10.32.0.11"}
	_, c := records(t, zone(t, p))
	if a != b || a == c {
		t.Errorf("serials %d, %d with the same records and %d with others", a, b, c)
	}
	p.Names[0].Name = "elsewhere.example.net"
	if _, err := render.Zone(p); err == nil || !strings.Contains(err.Error(), "elsewhere.example.net") {
		t.Errorf("a name out of the zone: %v", err)
	}
}

// TestCorefile protects the resolver's configuration.
func TestCorefile(t *testing.T) {
	golden.Check(t, "Corefile", render.Corefile(render.Options{
		Origin: "example.com.", ZoneFile: "/run/demo/zone", Listen: netip.MustParseAddr("10.32.0.2"),
		RegistryHosts: firstboot.RegistryHosts(), Registry: netip.MustParseAddr("10.32.0.4"),
	}))
}
