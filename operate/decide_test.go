package operate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// testInventory has a master, a worker and a worker that joins with no token.
func testInventory() *inventory.Inventory {
	return inventory.From(&plan.Plan{Cluster: "demo", Machines: []plan.Machine{
		{Name: "demo-master-1", Role: "master", Address: netip.MustParseAddr("10.32.0.10"),
			Labels: map[string]string{"node-role.kubernetes.io/master": ""}, Taints: []string{"node-role.kubernetes.io/master:NoSchedule"}},
		{Name: "demo-worker-1", Role: "worker", Address: netip.MustParseAddr("10.32.1.0"),
			Labels: map[string]string{"node-role.kubernetes.io/node": "true"}},
		{Name: "demo-worker-2", Role: "worker", Address: netip.MustParseAddr("10.32.1.1")},
	}}, map[string]string{"demo-master-1": "master", "demo-worker-1": "worker"})
}

// request is a certificate request as PEM, made with a new key.
func request(t *testing.T, template x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func nodeSubject(machine string) pkix.Name {
	return pkix.Name{CommonName: "system:node:" + machine, Organization: []string{"system:nodes"}}
}

// asked is a request as it arrives: what it asks for and who asked.
type asked struct {
	template x509.CertificateRequest
	signer   string
	usages   []certificatesv1.KeyUsage
	user     string
	groups   []string
	raw      func([]byte) []byte
}

func (a asked) csr(t *testing.T) *certificatesv1.CertificateSigningRequest {
	data := request(t, a.template)
	if a.raw != nil {
		data = a.raw(data)
	}
	return &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		Request: data, SignerName: a.signer, Usages: a.usages, Username: a.user, Groups: a.groups,
	}}
}

// joining is demo-worker-1 joining; serves is it asking for its serving certificate.
func joining() asked {
	return asked{
		template: x509.CertificateRequest{Subject: nodeSubject("demo-worker-1")},
		signer:   manifests.SignerKubeletClient,
		usages:   []certificatesv1.KeyUsage{"digital signature", "client auth"},
		user:     "system:bootstrap:worker",
		groups:   []string{"system:bootstrappers", manifests.BootstrapGroup, "system:authenticated"},
	}
}

func serves() asked {
	return asked{
		template: x509.CertificateRequest{
			Subject: nodeSubject("demo-worker-1"), DNSNames: []string{"demo-worker-1"}, IPAddresses: []net.IP{net.IPv4(10, 32, 1, 0)},
		},
		signer: manifests.SignerKubeletServing,
		usages: []certificatesv1.KeyUsage{"digital signature", "server auth"},
		user:   "system:node:demo-worker-1",
		groups: []string{"system:nodes", "system:authenticated"},
	}
}

// TestDecide protects the cluster's identities: each line is a machine that needs its
// certificate, or an attempt to get somebody else's.
func TestDecide(t *testing.T) {
	for name, test := range map[string]struct {
		from   func() asked
		change func(*asked)
		want   string // "" where it is approved, else a part of the reason
	}{
		"a machine joins":           {joining, func(*asked) {}, ""},
		"with an RSA key":           {joining, func(a *asked) { a.usages = append(a.usages, "key encipherment") }, ""},
		"a machine renews":          {joining, func(a *asked) { a.user, a.groups = "system:node:demo-worker-1", []string{"system:nodes"} }, ""},
		"another machine's token":   {joining, func(a *asked) { a.user = "system:bootstrap:master" }, "own bootstrap token"},
		"another node's name":       {joining, func(a *asked) { a.template.Subject = nodeSubject("demo-master-1") }, "own bootstrap token"},
		"a token of no machine":     {joining, func(a *asked) { a.user = "system:bootstrap:nobody" }, "own bootstrap token"},
		"a token without its group": {joining, func(a *asked) { a.groups = []string{"system:bootstrappers"} }, "own bootstrap token"},
		"an empty token":            {joining, func(a *asked) { a.template.Subject = nodeSubject("demo-worker-2"); a.user = "system:bootstrap:" }, "own bootstrap token"},
		"another node renews it":    {joining, func(a *asked) { a.user, a.groups = "system:node:demo-worker-2", []string{"system:nodes"} }, "asked for by"},
		"a node outside the group":  {joining, func(a *asked) { a.user, a.groups = "system:node:demo-worker-1", nil }, "asked for by"},
		"a machine not in the plan": {joining, func(a *asked) { a.template.Subject = nodeSubject("demo-worker-9") }, "no machine"},
		"a user of the control plane": {joining, func(a *asked) {
			a.template.Subject.CommonName = "system:kube-controller-manager"
		}, "common name"},
		"masters' group":          {joining, func(a *asked) { a.template.Subject.Organization = []string{"system:masters"} }, "organizations"},
		"a second group":          {joining, func(a *asked) { a.template.Subject.Organization = []string{"system:nodes", "system:masters"} }, "organizations"},
		"no group":                {joining, func(a *asked) { a.template.Subject.Organization = nil }, "organizations"},
		"more in the subject":     {joining, func(a *asked) { a.template.Subject.OrganizationalUnit = []string{"x"} }, "subject"},
		"names in a client's":     {joining, func(a *asked) { a.template.DNSNames = []string{"demo-worker-1"} }, "alternative names"},
		"addresses in a client's": {joining, func(a *asked) { a.template.IPAddresses = []net.IP{net.IPv4(10, 32, 1, 0)} }, "alternative names"},
		"server as well":          {joining, func(a *asked) { a.usages = append(a.usages, "server auth") }, "usage"},
		"a usage too many":        {joining, func(a *asked) { a.usages = append(a.usages, "cert sign") }, "usage"},
		"no client":               {joining, func(a *asked) { a.usages = []certificatesv1.KeyUsage{"digital signature"} }, "usages"},
		"no usages":               {joining, func(a *asked) { a.usages = nil }, "usages"},
		"another signer":          {joining, func(a *asked) { a.signer = "kubernetes.io/kube-apiserver-client" }, "signer"},
		"not PEM":                 {joining, func(a *asked) { a.raw = func([]byte) []byte { return []byte("?") } }, "exactly one"},
		"two requests":            {joining, func(a *asked) { a.raw = func(d []byte) []byte { return append(d, d...) } }, "exactly one"},
		"a broken signature": {joining, func(a *asked) {
			a.raw = func(d []byte) []byte {
				block, _ := pem.Decode(d)
				block.Bytes[len(block.Bytes)-1] ^= 1
				return pem.EncodeToMemory(block)
			}
		}, "not signed with its own key"},

		"a kubelet serves":          {serves, func(*asked) {}, ""},
		"at its address only":       {serves, func(a *asked) { a.template.DNSNames = nil }, ""},
		"another machine's address": {serves, func(a *asked) { a.template.IPAddresses = []net.IP{net.IPv4(10, 32, 0, 10)} }, "10.32.0.10"},
		"one address more":          {serves, func(a *asked) { a.template.IPAddresses = append(a.template.IPAddresses, net.IPv4(127, 0, 0, 1)) }, "127.0.0.1"},
		"the API's name":            {serves, func(a *asked) { a.template.DNSNames = append(a.template.DNSNames, "demo-k8s.example.com") }, "demo-k8s"},
		"a wildcard":                {serves, func(a *asked) { a.template.DNSNames = []string{"*"} }, "name"},
		"a mail address":            {serves, func(a *asked) { a.template.EmailAddresses = []string{"a@example.com"} }, "mail"},
		"a URI":                     {serves, func(a *asked) { a.template.URIs = []*url.URL{{Scheme: "spiffe", Host: "x"}} }, "URI"},
		"serving no name":           {serves, func(a *asked) { a.template.DNSNames, a.template.IPAddresses = nil, nil }, "no alternative name"},
		"serving for another":       {serves, func(a *asked) { a.user = "system:node:demo-master-1" }, "asked for by"},
		"serving by token":          {serves, func(a *asked) { a.user, a.groups = joining().user, joining().groups }, "asked for by"},
		"serving by an admin":       {serves, func(a *asked) { a.user, a.groups = "root", []string{"system:masters"} }, "asked for by"},
		"serving as a client":       {serves, func(a *asked) { a.usages = joining().usages }, "usages"},
		"serving and client":        {serves, func(a *asked) { a.usages = append(a.usages, "client auth") }, "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			a := test.from()
			test.change(&a)
			approve, reason := decide(a.csr(t), testInventory())
			if approve != (test.want == "") || !strings.Contains(reason, test.want) {
				t.Errorf("approve %t because %q, want reason %q", approve, reason, test.want)
			}
			if reason == "" {
				t.Error("no reason")
			}
		})
	}
}

// TestTwoNames protects against a subject that different readers read differently.
func TestTwoNames(t *testing.T) {
	a := joining()
	cn := []int{2, 5, 4, 3}
	a.template.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: []int{2, 5, 4, 10}, Value: "system:nodes"}, {Type: cn, Value: "system:node:demo-master-1"}, {Type: cn, Value: "system:node:demo-worker-1"},
	}}
	if approve, reason := decide(a.csr(t), testInventory()); approve || !strings.Contains(reason, "subject") {
		t.Errorf("approve %t because %q", approve, reason)
	}
}

// TestRemoved protects against a machine that the plan no longer has: neither its token nor
// its own certificate gets it another one.
func TestRemoved(t *testing.T) {
	shrunk := inventory.From(&plan.Plan{}, nil)
	renews := joining()
	renews.user, renews.groups = "system:node:demo-worker-1", []string{"system:nodes"}
	for _, a := range []asked{joining(), renews, serves()} {
		for _, inv := range []*inventory.Inventory{shrunk, nil} {
			if approve, reason := decide(a.csr(t), inv); approve || !strings.Contains(reason, "no machine") {
				t.Errorf("%s: approve %t because %q", a.user, approve, reason)
			}
		}
	}
}

// TestOurs protects other signers' requests, and decisions that were made.
func TestOurs(t *testing.T) {
	csr := joining().csr(t)
	if !ours(csr) {
		t.Error("a new request is not ours")
	}
	other := csr.DeepCopy()
	other.Spec.SignerName = "example.com/other"
	signed := csr.DeepCopy()
	signed.Status.Certificate = []byte("c")
	for name, c := range map[string]*certificatesv1.CertificateSigningRequest{"another signer's": other, "a signed one": signed} {
		if ours(c) {
			t.Errorf("%s is ours", name)
		}
	}
	for _, decided := range []certificatesv1.RequestConditionType{"Approved", "Denied"} {
		c := csr.DeepCopy()
		c.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: decided}}
		if ours(c) {
			t.Errorf("one that is %s is ours", decided)
		}
	}
}

// FuzzDecide protects the operator from a request that is made to break it: no request's
// bytes panic, and bytes alone never get a name that its asker has not.
func FuzzDecide(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Add([]byte{})
	inv := testInventory()
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, block := range [][]byte{data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: data})} {
			csr := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
				Request: block, SignerName: manifests.SignerKubeletClient, Usages: joining().usages,
				Username: "system:bootstrap:nobody", Groups: joining().groups,
			}}
			if approve, reason := decide(csr, inv); approve || reason == "" {
				t.Errorf("approve %t because %q", approve, reason)
			}
		}
	})
}
