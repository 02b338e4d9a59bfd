package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testPlan() *plan.Plan {
	return &plan.Plan{
		Machines: []plan.Machine{{Name: "a-master-1"}, {Name: "a-worker-1"}},
		Identities: []plan.Identity{
			{Name: "admin", CA: plan.KubernetesCA, CommonName: "boss", Organizations: []string{"system:masters"}, Usages: []string{"client"}, Days: 365},
			{Name: "api", CA: plan.KubernetesCA, CommonName: "api", DNSNames: []string{"a-k8s.example.com"}, Addresses: []netip.Addr{netip.MustParseAddr("10.32.0.10")}, Usages: []string{"server"}, Days: 365},
			{Name: "peer", CA: plan.EtcdCA, CommonName: "peer", Usages: []string{"server", "client"}, Days: 90},
		},
	}
}

func ensure(t *testing.T, dir string, p *plan.Plan, now time.Time) *Secrets {
	t.Helper()
	s, err := Ensure(dir, p, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files are the folder's files and their content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		if !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(dir, path)
			out[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestChains protects what a certificate is for: it verifies under its own authority for its
// own names and usages, and under no other authority and for nothing else.
func TestChains(t *testing.T) {
	p := testPlan()
	s := ensure(t, t.TempDir(), p, t0)
	for _, id := range p.Identities {
		cert, _, err := parsePair(s.Pairs[id.Name])
		if err != nil {
			t.Fatal(err)
		}
		if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("%s: it is more than a leaf that signs: %v", id.Name, cert.KeyUsage)
		}
		if got, want := cert.NotBefore, t0.Add(-5*time.Minute); !got.Equal(want) {
			t.Errorf("%s: valid from %s, want %s", id.Name, got, want)
		}
		if got, want := cert.NotAfter, t0.AddDate(0, 0, id.Days); !got.Equal(want) {
			t.Errorf("%s: valid to %s, want %s", id.Name, got, want)
		}
		if cert.Subject.CommonName != id.CommonName || !slices.Equal(cert.Subject.Organization, id.Organizations) ||
			!slices.Equal(cert.DNSNames, id.DNSNames) || !slices.Equal(text(netAddrs(cert)), text(id.Addresses)) {
			t.Errorf("%s: names %v %v %v", id.Name, cert.Subject, cert.DNSNames, cert.IPAddresses)
		}
		for authority, pair := range s.Authorities {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(pair.Cert)
			for usage, ext := range usages {
				_, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{ext}, CurrentTime: t0.Add(time.Hour)})
				want := authority == id.CA && slices.Contains(id.Usages, usage)
				if (err == nil) != want {
					t.Errorf("%s under %s as %s: %v, want ok=%t", id.Name, authority, usage, err, want)
				}
			}
		}
	}
	// An authority may sign leaves, no further authorities.
	for name, pair := range s.Authorities {
		ca, _, err := parsePair(pair)
		if err != nil {
			t.Fatal(err)
		}
		if !ca.IsCA || ca.MaxPathLen != 0 || !ca.MaxPathLenZero {
			t.Errorf("authority %s: IsCA %t, path length %d", name, ca.IsCA, ca.MaxPathLen)
		}
	}
}

func netAddrs(cert *x509.Certificate) []netip.Addr {
	var out []netip.Addr
	for _, ip := range cert.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		out = append(out, a.Unmap())
	}
	return out
}

// TestAgain protects running clusters: a second run changes no byte, and files are nobody
// else's to read, even where they were before.
func TestAgain(t *testing.T) {
	dir := t.TempDir()
	ensure(t, dir, testPlan(), t0)
	first := files(t, dir)
	if err := os.Chmod(filepath.Join(dir, "encryption.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	ensure(t, dir, testPlan(), t0.AddDate(0, 1, 0)) // 2/3 of the shortest life is left
	second := files(t, dir)
	for name, data := range first {
		if second[name] != data {
			t.Errorf("%s changed", name)
		}
	}
	if len(first) != len(second) || len(first) != 11 {
		t.Errorf("%d files, then %d; want 11: four authorities, three certificates, two tokens, two others", len(first), len(second))
	}
}

// TestReissue protects that a certificate follows its identity and its age, and that
// nothing else is issued anew with it.
func TestReissue(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*plan.Identity)
		days   int // from the first run to the second
		again  bool
	}{
		"nothing":               {func(*plan.Identity) {}, 0, false},
		"a name more":           {func(i *plan.Identity) { i.DNSNames = append(slices.Clone(i.DNSNames), "b") }, 0, true},
		"a name less":           {func(i *plan.Identity) { i.DNSNames = nil }, 0, true},
		"another address":       {func(i *plan.Identity) { i.Addresses = []netip.Addr{netip.MustParseAddr("10.32.0.11")} }, 0, true},
		"another common name":   {func(i *plan.Identity) { i.CommonName = "other" }, 0, true},
		"a group":               {func(i *plan.Identity) { i.Organizations = []string{"g"} }, 0, true},
		"another usage":         {func(i *plan.Identity) { i.Usages = []string{"client"} }, 0, true},
		"another authority":     {func(i *plan.Identity) { i.CA = plan.EtcdCA }, 0, true},
		"a shorter life":        {func(i *plan.Identity) { i.Days = 30 }, 0, true},
		"a third and more left": {func(*plan.Identity) {}, 243, false},
		"less than a third":     {func(*plan.Identity) {}, 244, true},
		"ended":                 {func(*plan.Identity) {}, 400, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, p := t.TempDir(), testPlan()
			before := ensure(t, dir, p, t0)
			p = testPlan()
			test.change(&p.Identities[1])
			after := ensure(t, dir, p, t0.AddDate(0, 0, test.days))
			if got := !bytes.Equal(before.Pairs["api"].Cert, after.Pairs["api"].Cert); got != test.again {
				t.Errorf("issued anew: %t, want %t", got, test.again)
			}
			if !bytes.Equal(before.Authorities[plan.KubernetesCA].Key, after.Authorities[plan.KubernetesCA].Key) {
				t.Error("the authority changed")
			}
			// What was issued is there for the next run.
			if third := ensure(t, dir, p, t0.AddDate(0, 0, test.days)); !bytes.Equal(third.Pairs["api"].Cert, after.Pairs["api"].Cert) {
				t.Error("the next run issued it once more")
			}
		})
	}
}

// TestHeld protects the word on when certificates end: who only reads them does not put new ones
// in the place of those that are still used, and has some that are valid all the same.
func TestHeld(t *testing.T) {
	dir, p := t.TempDir(), testPlan()
	before := ensure(t, dir, p, t0).Pairs["api"].Cert
	for _, c := range []struct {
		days  int
		again bool
	}{{300, false}, {364, false}, {400, true}} {
		held, err := Held(dir, p, t0.AddDate(0, 0, c.days))
		if err != nil {
			t.Fatal(err)
		}
		if got := !bytes.Equal(held.Pairs["api"].Cert, before); got != c.again {
			t.Errorf("after %d days issued anew: %t, want %t", c.days, got, c.again)
		}
	}
}

// TestDamaged protects what cannot be made again: a file that makes no sense is named and
// left as it is, with a word on what to do.
func TestDamaged(t *testing.T) {
	for _, file := range []string{
		"authorities/kubernetes.pem", "authorities/registry.pem", "certificates/api.pem",
		"service-account.pem", "encryption.key", "bootstrap-tokens/a-worker-1",
	} {
		for what, damage := range map[string]func([]byte) []byte{
			"empty":     func([]byte) []byte { return nil },
			"garbage":   func([]byte) []byte { return []byte("?\n") },
			"cut short": func(d []byte) []byte { return d[:len(d)/2] },
		} {
			t.Run(file+" "+what, func(t *testing.T) {
				dir := t.TempDir()
				ensure(t, dir, testPlan(), t0)
				path := filepath.Join(dir, file)
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				damaged := damage(data)
				if err := os.WriteFile(path, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				_, err = Ensure(dir, testPlan(), t0)
				if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
					t.Errorf("error %v: want one that names %s and what to do", err, path)
				}
				if got, _ := os.ReadFile(path); !bytes.Equal(got, damaged) {
					t.Error("the file was written over")
				}
			})
		}
	}
}

// TestSwapped protects against a key that is not its certificate's: no server starts with it.
func TestSwapped(t *testing.T) {
	dir := t.TempDir()
	s := ensure(t, dir, testPlan(), t0)
	mixed := joinPair(Pair{Cert: s.Pairs["api"].Cert, Key: s.Pairs["admin"].Key})
	if err := os.WriteFile(filepath.Join(dir, "certificates", "api.pem"), mixed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(dir, testPlan(), t0); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("error %v", err)
	}
}

// TestClock protects authorities from a wrong clock: an error, and nothing made anew.
func TestClock(t *testing.T) {
	for _, now := range []time.Time{t0.AddDate(-1, 0, 0), t0.AddDate(11, 0, 0)} {
		dir := t.TempDir()
		ensure(t, dir, testPlan(), t0)
		before := files(t, dir)
		if _, err := Ensure(dir, testPlan(), now); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Errorf("at %s: error %v", now, err)
		}
		for name, data := range files(t, dir) {
			if before[name] != data {
				t.Errorf("at %s: %s changed", now, name)
			}
		}
	}
}

// TestKilled protects a run after one that was killed: whatever subset of files the first
// left, and with a half-written one beside them, the second completes it and keeps what was
// whole.
func TestKilled(t *testing.T) {
	whole := t.TempDir()
	ensure(t, whole, testPlan(), t0)
	all := files(t, whole)
	for missing := range all {
		dir := t.TempDir()
		for name, data := range all {
			if name == missing {
				continue
			}
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		folder, base := filepath.Split(filepath.Join(dir, missing))
		half := filepath.Join(folder, "."+base+".new")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(half, []byte("-----BEGIN"), 0o600); err != nil {
			t.Fatal(err)
		}
		ensure(t, dir, testPlan(), t0)
		if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", half)
		}
		now := files(t, dir)
		if len(now) != len(all) {
			t.Errorf("without %s: %d files, want %d", missing, len(now), len(all))
		}
		for name, data := range all {
			// Certificates are void where their authority is another one.
			if name != missing && !strings.HasPrefix(missing, "authorities/") && now[name] != data {
				t.Errorf("without %s: %s changed", missing, name)
			}
		}
	}
}

// TestTokens protects joining: each machine has a token of its own, of the form that the
// API server accepts, and two that are the same are refused.
func TestTokens(t *testing.T) {
	dir := t.TempDir()
	s := ensure(t, dir, testPlan(), t0)
	a, b := s.BootstrapTokens["a-master-1"], s.BootstrapTokens["a-worker-1"]
	if !tokenForm.MatchString(a) || !tokenForm.MatchString(b) || TokenID(a) == TokenID(b) {
		t.Errorf("tokens %q and %q", a, b)
	}
	if err := os.WriteFile(filepath.Join(dir, "bootstrap-tokens", "a-master-1"), []byte(b), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(dir, testPlan(), t0); err == nil || !strings.Contains(err.Error(), "a-master-1 and a-worker-1") {
		t.Errorf("error %v", err)
	}
}

// TestIssueServer protects the registry's certificate: it serves its names and is no client.
func TestIssueServer(t *testing.T) {
	s := ensure(t, t.TempDir(), testPlan(), t0)
	pair, err := IssueServer(s.Registry, []string{"quay.io", "registry.k8s.io"}, []netip.Addr{netip.MustParseAddr("10.32.0.4")}, t0)
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := parsePair(pair)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.Registry.Cert)
	for _, name := range []string{"quay.io", "registry.k8s.io", "10.32.0.4"} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: t0}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: t0, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("it is a client's certificate too")
	}
	if _, err := IssueServer(s.Registry, nil, nil, t0); err == nil {
		t.Error("a certificate for nothing was issued")
	}
}

// TestIngressCertificate protects that the ingress has the user's certificate where the file names one,
// and that one that no browser would take is refused before anything starts.
func TestIngressCertificate(t *testing.T) {
	dir, p := t.TempDir(), testPlan()
	authority := ensure(t, dir, p, t0).Authorities[plan.KubernetesCA]
	write := func(name string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	made := func(host string) (cert, key string, pair Pair) {
		pair, err := IssueServer(authority, []string{host}, nil, t0)
		if err != nil {
			t.Fatal(err)
		}
		return write("cert", pair.Cert), write("key", pair.Key), pair
	}
	p.Network.Console = "a.example.com"
	cert, key, pair := made("a.example.com")
	other, otherKey, _ := made("b.example.com")
	own := &cluster.IngressCertificate{CertFile: cert, KeyFile: key}
	p.File = &cluster.Cluster{IngressCertificate: own}
	if got := ensure(t, dir, p, t0).Pairs[plan.IdentityIngress]; !bytes.Equal(got.Cert, pair.Cert) || !bytes.Equal(got.Key, pair.Key) {
		t.Error("the ingress has another certificate")
	}
	for name, c := range map[string]struct{ cert, key, says string }{
		"of another name": {other, otherKey, "ingressCertificate.certFile"},
		"another's key":   {cert, otherKey, "do not belong together"},
		"no certificate":  {cert + "x", key, "ingressCertificate.certFile"},
		"no key":          {cert, key + "x", "ingressCertificate.keyFile"},
	} {
		*own = cluster.IngressCertificate{CertFile: c.cert, KeyFile: c.key}
		if _, err := Ensure(dir, p, t0); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExternalEtcd protects that the user's own files are checked before anything starts.
func TestExternalEtcd(t *testing.T) {
	dir := t.TempDir()
	s := ensure(t, filepath.Join(dir, "theirs"), testPlan(), t0)
	put := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	e := cluster.ExternalEtcd{
		CAFile:   put("ca", s.Authorities[plan.EtcdCA].Cert),
		CertFile: put("cert", s.Pairs["peer"].Cert),
		KeyFile:  put("key", s.Pairs["peer"].Key),
	}
	p := testPlan()
	p.File = &cluster.Cluster{ExternalEtcd: &e}
	got := ensure(t, filepath.Join(dir, "ours"), p, t0)
	if !bytes.Equal(got.Pairs[ExternalEtcd].Key, s.Pairs["peer"].Key) || !bytes.Equal(got.Authorities[ExternalEtcd].Cert, s.Authorities[plan.EtcdCA].Cert) {
		t.Error("the user's files are not what was returned")
	}
	e.KeyFile = put("key", s.Pairs["admin"].Key)
	if _, err := Ensure(filepath.Join(dir, "ours"), p, t0); err == nil || !strings.Contains(err.Error(), "certFile") {
		t.Errorf("a wrong key: error %v", err)
	}
	e.CAFile = filepath.Join(dir, "nowhere")
	if _, err := Ensure(filepath.Join(dir, "ours"), p, t0); err == nil || !strings.Contains(err.Error(), "externalEtcd.caFile") {
		t.Errorf("no file: error %v", err)
	}
}
