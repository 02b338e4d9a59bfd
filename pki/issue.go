package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"time"

	"craton.dev/craton/plan"
)

const (
	// authorityLife is long because a cluster's authority cannot be changed while it runs.
	authorityLife = 10 * 365 * 24 * time.Hour
	// serverLife is that of certificates that the plan does not name: the registry's.
	serverLife = 365 * 24 * time.Hour
	// backdate lets machines whose clocks are a little behind accept a new certificate.
	backdate = 5 * time.Minute
)

// The words of plan.Identity.Usages.
var usages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
}

func newAuthority(name string, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name, Organization: []string{"craton"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // signs leaves, no further authority
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Pair{}, err
	}
	return encodePair(der, key)
}

// issue makes a certificate with exactly the identity's names and usages, with a new key.
func issue(id plan.Identity, ca Pair, now time.Time) (Pair, error) {
	extended, err := extendedUsages(id.Usages)
	if err != nil {
		return Pair{}, err
	}
	if id.Days <= 0 {
		return Pair{}, fmt.Errorf("a life of %d days: expected at least one day", id.Days)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.CommonName, Organization: id.Organizations},
		DNSNames:    id.DNSNames,
		IPAddresses: addresses(id.Addresses),
		NotAfter:    now.Add(time.Duration(id.Days) * 24 * time.Hour),
		ExtKeyUsage: extended,
	}
	return sign(template, ca, now)
}

// IssueServer makes a serving certificate, valid for a year, for things that are not in
// the plan: the embedded platform's registry. Nothing is kept on the disk.
func IssueServer(ca Pair, names []string, addrs []netip.Addr, now time.Time) (Pair, error) {
	if len(names)+len(addrs) == 0 {
		return Pair{}, fmt.Errorf("a serving certificate needs a name or an address")
	}
	template := &x509.Certificate{
		DNSNames:    names,
		IPAddresses: addresses(addrs),
		NotAfter:    now.Add(serverLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(names) > 0 {
		template.Subject.CommonName = names[0]
	}
	return sign(template, ca, now)
}

// IssueKubelet makes a machine's kubelet its first certificate as a client, which lasts as long as those that it asks for
// later. It is for the machine that a cluster begins with, where there is no API yet to ask for one. Nothing is kept
// on the disk.
func IssueKubelet(ca Pair, machine string, now time.Time) (Pair, error) {
	return issue(plan.Identity{
		CommonName: plan.UserKubeletPrefix + machine, Organizations: []string{plan.GroupKubelets},
		Usages: []string{"client"}, Days: plan.KubeletDays,
	}, ca, now)
}

func sign(template *x509.Certificate, ca Pair, now time.Time) (Pair, error) {
	parent, signer, err := parsePair(ca)
	if err != nil {
		return Pair{}, fmt.Errorf("its authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template.SerialNumber = serial()
	template.NotBefore = now.Add(-backdate)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	if template.NotAfter.After(parent.NotAfter) {
		template.NotAfter = parent.NotAfter
	}
	if template.NotBefore.Before(parent.NotBefore) {
		template.NotBefore = parent.NotBefore
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return Pair{}, err
	}
	return encodePair(der, key)
}

// current says whether a certificate is what its identity asks for, and is valid. Unless it may
// be old, a third of its life has to be left.
func current(cert *x509.Certificate, id plan.Identity, ca Pair, now time.Time, old bool) bool {
	parent, _, err := parsePair(ca)
	if err != nil || cert.CheckSignatureFrom(parent) != nil {
		return false
	}
	life := cert.NotAfter.Sub(cert.NotBefore)
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return false
	}
	// Where the authority itself ends soon, a new certificate would end no later.
	if !old && cert.NotAfter.Sub(now) < life/3 && cert.NotAfter.Before(parent.NotAfter) {
		return false
	}
	extended, err := extendedUsages(id.Usages)
	if err != nil {
		return false
	}
	var addrs []netip.Addr
	for _, ip := range cert.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		addrs = append(addrs, a.Unmap())
	}
	return cert.Subject.CommonName == id.CommonName && !cert.IsCA &&
		life <= time.Duration(id.Days)*24*time.Hour+backdate &&
		sameSet(cert.Subject.Organization, id.Organizations) &&
		sameSet(cert.DNSNames, id.DNSNames) &&
		sameSet(text(addrs), text(id.Addresses)) &&
		sameSet(cert.ExtKeyUsage, extended)
}

func extendedUsages(names []string) ([]x509.ExtKeyUsage, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no usage: expected server, client or both")
	}
	var out []x509.ExtKeyUsage
	for _, n := range names {
		u, ok := usages[n]
		if !ok {
			return nil, fmt.Errorf("usage %q: expected server or client", n)
		}
		out = append(out, u)
	}
	return out, nil
}

func addresses(list []netip.Addr) []net.IP {
	var out []net.IP
	for _, a := range list {
		out = append(out, net.IP(a.AsSlice()))
	}
	return out
}

func text(list []netip.Addr) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

func sameSet[T interface{ ~int | ~string }](a, b []T) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil { // never: crypto/rand ends the program instead
		return big.NewInt(time.Now().UnixNano())
	}
	return n.Add(n, big.NewInt(1))
}
